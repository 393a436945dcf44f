//! Who reads whom: the order of groups through the series that rules record.
//!
//! A rule that reads what another records is evaluated after it where both are due at one
//! instant, whichever file they stand in, so that a chain of rules adds no lag. Reading
//! `ALERTS` or `ALERTS_FOR_STATE` is reading alerting rules. What a rule may read is decided
//! from what is written alone: a selector reads a rule unless a matcher contradicts the name or
//! a label that is known beforehand. Too many edges cost time; one too few would cost
//! correctness.
//!
//! Cost: linear in rules and edges; a selector without a metric name looks at every rule.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::model::{ALERT_NAME, ALERTS, ALERTS_FOR_STATE, METRIC_NAME, Matcher};
use crate::promql::ast::{ExprKind, VectorSelector};
use crate::promql::{self, Expr, Features, SignatureTable};
use crate::rule::{Rule, RuleGroup, RuleKind};
use crate::template::Template;

/// The label of `ALERTS` that tells the state; not known beforehand.
const ALERT_STATE: &str = "alertstate";

/// A rule by its place: the group's index in the slice and the rule's in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleIdx {
    /// Index of the group.
    pub group: usize,
    /// Index of the rule in the group.
    pub rule: usize,
}

/// One rule may read what another makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reads {
    /// Which rule reads.
    pub reader: RuleIdx,
    /// Which rule's series, or alerts, it reads.
    pub producer: RuleIdx,
}

/// What rules make, by metric name.
pub struct Producers<'a> {
    groups: &'a [RuleGroup],
    by_name: HashMap<&'a str, Vec<RuleIdx>>,
}

impl<'a> Producers<'a> {
    /// Collects what the rules of all groups make.
    pub fn of(groups: &'a [RuleGroup]) -> Self {
        let mut by_name: HashMap<&'a str, Vec<RuleIdx>> = HashMap::new();
        for (idx, rule) in all_rules(groups) {
            let names: &[&'a str] = match &rule.kind {
                RuleKind::Recording => &[&rule.name],
                RuleKind::Alerting { .. } => &[ALERTS, ALERTS_FOR_STATE],
            };
            for name in names {
                by_name.entry(name).or_default().push(idx);
            }
        }
        Producers { groups, by_name }
    }

    /// Returns the rules whose series a selector may read, in order.
    pub fn read_by(&self, selector: &VectorSelector) -> BTreeSet<RuleIdx> {
        let matchers = &selector.matchers;
        let exact = Matcher::exact_name(matchers);
        let mut read = BTreeSet::new();
        let mut look = |name: &str, rules: &[RuleIdx]| {
            let could = |idx: &&RuleIdx| {
                let rule = &self.groups[idx.group].rules[idx.rule];
                matchers.iter().all(|m| could_match(m, name, rule))
            };
            read.extend(rules.iter().filter(could));
        };
        match exact {
            Some(name) => {
                if let Some((name, rules)) = self.by_name.get_key_value(name) {
                    look(name, rules);
                }
            }
            None => self
                .by_name
                .iter()
                .for_each(|(name, rules)| look(name, rules)),
        }
        read
    }
}

/// Tells whether a matcher could hold for the series `name` that a rule makes.
fn could_match(matcher: &Matcher, name: &str, rule: &Rule) -> bool {
    let is_alert = matches!(rule.kind, RuleKind::Alerting { .. });
    if is_alert && matcher.name == ALERT_NAME {
        return matcher.matches(&rule.name);
    }
    if is_alert && matcher.name == ALERT_STATE {
        let states: &[&str] = if name == ALERTS {
            &["pending", "firing"]
        } else {
            &[""]
        };
        return states.iter().any(|state| matcher.matches(state));
    }
    // Only alerts' labels are templates; a recording rule's are taken as they are.
    let is_template =
        |(label, value): &(String, String)| *label == matcher.name && value.contains("{{");
    is_alert && rule.labels.iter().any(is_template) || could_hold(matcher, name, &rule.labels)
}

/// Tells whether a matcher could hold for series of a name and labels; a label that is not
/// among them is not known beforehand.
fn could_hold(matcher: &Matcher, name: &str, labels: &[(String, String)]) -> bool {
    if matcher.name == METRIC_NAME {
        return matcher.matches(name);
    }
    let written = labels.iter().find(|(label, _)| *label == matcher.name);
    written.is_none_or(|(_, value)| matcher.matches(value))
}

/// Tells whether a selector may read what a recording rule records under a name, with labels.
pub fn may_read(matchers: &[Matcher], record: &str, labels: &[(String, String)]) -> bool {
    let mut all = matchers.iter();
    all.all(|matcher| could_hold(matcher, record, labels))
}

/// How groups depend on each other through what their rules make.
#[derive(Clone, Debug)]
pub struct Dependence {
    edges: Vec<Reads>,
    /// The groups from first to last by file and name, which is how ties are broken.
    by_name: Vec<usize>,
}

impl Dependence {
    /// Finds which rules read which, in `expr` and in templates' constant `query` texts.
    pub fn of(groups: &[RuleGroup], functions: &dyn SignatureTable, features: Features) -> Self {
        let producers = Producers::of(groups);
        let mut edges = BTreeSet::new();
        for (reader, rule) in all_rules(groups) {
            let queries = template_queries(rule, functions, features);
            for expr in std::iter::once(&rule.expr).chain(&queries) {
                for selector in selectors(expr) {
                    let read = producers.read_by(selector);
                    edges.extend(read.into_iter().map(|producer| Reads { reader, producer }));
                }
            }
        }
        let mut by_name: Vec<usize> = (0..groups.len()).collect();
        by_name.sort_by_key(|idx| (&groups[*idx].file, &groups[*idx].name));
        Dependence {
            edges: edges.into_iter().collect(),
            by_name,
        }
    }

    /// Returns all edges between rules, those inside a group and of a rule to itself included.
    pub fn edges(&self) -> &[Reads] {
        &self.edges
    }

    /// Returns the groups in the order in which those due at one instant are evaluated: what is
    /// read before its readers, else by file and name.
    ///
    /// Groups that read each other in a circle come in order of file and name, each as soon as
    /// all it reads outside the rest of the circle has come; the circle as a whole stands behind
    /// what it reads and before what reads it.
    pub fn order(&self) -> Vec<usize> {
        let reads = self.groups_read();
        let circles = circles(&reads, &self.by_name);
        let mut circle_of = vec![0; reads.len()];
        for (circle, groups) in circles.iter().enumerate() {
            groups.iter().for_each(|group| circle_of[*group] = circle);
        }
        // A circle is named by its first group, so circles sort as groups do.
        let between: Vec<BTreeSet<usize>> = circles
            .iter()
            .enumerate()
            .map(|(circle, groups)| {
                let read = groups.iter().flat_map(|group| &reads[*group]);
                read.map(|group| circle_of[*group])
                    .filter(|read| *read != circle)
                    .collect()
            })
            .collect();
        let all: Vec<usize> = (0..circles.len()).collect();
        let mut order = Vec::with_capacity(reads.len());
        for circle in first_things_first(&all, &between) {
            order.extend(first_things_first(&circles[circle], &reads));
        }
        order
    }

    /// Returns the groups that belong together: those that read each other, directly or through
    /// others, and those that may write the same series. Every group is in one of them, and
    /// they and the groups in them stand in the order of file and name.
    pub fn components(&self, groups: &[RuleGroup]) -> Vec<Vec<usize>> {
        let mut linked = vec![BTreeSet::new(); groups.len()];
        let reads = self.edges.iter().copied();
        let pairs = reads.map(|edge| (edge.reader.group, edge.producer.group));
        for (one, other) in pairs.chain(writers_of_the_same(groups)) {
            linked[one].insert(other);
            linked[other].insert(one);
        }
        // Linked both ways, what is connected at all is connected in a circle.
        circles(&linked, &self.by_name)
    }

    /// Returns, for each group, the other groups it reads.
    fn groups_read(&self) -> Vec<BTreeSet<usize>> {
        let mut reads = vec![BTreeSet::new(); self.by_name.len()];
        for edge in &self.edges {
            if edge.reader.group != edge.producer.group {
                reads[edge.reader.group].insert(edge.producer.group);
            }
        }
        reads
    }
}

/// Sorts `nodes` so that what a node reads stands before it. Where only circles are left, the
/// first of the nodes as given goes next. Reads of nodes not given do not count.
fn first_things_first(nodes: &[usize], reads: &[BTreeSet<usize>]) -> Vec<usize> {
    let rank: HashMap<usize, usize> = nodes
        .iter()
        .enumerate()
        .map(|(at, node)| (*node, at))
        .collect();
    let mut n_awaited = vec![0; nodes.len()];
    let mut readers = vec![Vec::new(); nodes.len()];
    for (at, node) in nodes.iter().enumerate() {
        for producer in reads[*node].iter().filter_map(|read| rank.get(read)) {
            n_awaited[at] += 1;
            readers[*producer].push(at);
        }
    }
    let mut waiting: BTreeSet<usize> = (0..nodes.len()).collect();
    let mut ready: BTreeSet<usize> = waiting
        .iter()
        .copied()
        .filter(|at| n_awaited[*at] == 0)
        .collect();
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(next) = ready.pop_first().or_else(|| waiting.first().copied()) {
        waiting.remove(&next);
        order.push(nodes[next]);
        for reader in &readers[next] {
            n_awaited[*reader] -= 1;
            if n_awaited[*reader] == 0 && waiting.contains(reader) {
                ready.insert(*reader);
            }
        }
    }
    order
}

/// Returns the strongly connected components (Tarjan's algorithm, without recursion), the nodes
/// of each and the components by their first node in the order of `by_name`.
fn circles(reads: &[BTreeSet<usize>], by_name: &[usize]) -> Vec<Vec<usize>> {
    const UNSEEN: usize = usize::MAX;
    let mut rank = vec![0; reads.len()];
    by_name
        .iter()
        .enumerate()
        .for_each(|(at, node)| rank[*node] = at);
    let mut seen_at = vec![UNSEEN; reads.len()];
    let mut lowest = vec![UNSEEN; reads.len()];
    let mut is_open = vec![false; reads.len()];
    let (mut open, mut n_seen, mut found) = (Vec::new(), 0, Vec::new());
    for root in by_name {
        if seen_at[*root] != UNSEEN {
            continue;
        }
        let mut path = vec![(*root, reads[*root].iter())];
        while let Some((node, rest)) = path.last_mut() {
            let node = *node;
            if seen_at[node] == UNSEEN {
                (seen_at[node], lowest[node], is_open[node]) = (n_seen, n_seen, true);
                n_seen += 1;
                open.push(node);
            }
            if let Some(next) = rest.next() {
                if seen_at[*next] == UNSEEN {
                    path.push((*next, reads[*next].iter()));
                } else if is_open[*next] {
                    lowest[node] = lowest[node].min(seen_at[*next]);
                }
                continue;
            }
            path.pop();
            if let Some((parent, _)) = path.last() {
                lowest[*parent] = lowest[*parent].min(lowest[node]);
            }
            if lowest[node] == seen_at[node] {
                let start = open.iter().rposition(|at| *at == node).unwrap_or(0);
                let mut circle = open.split_off(start);
                circle.iter().for_each(|at| is_open[*at] = false);
                circle.sort_by_key(|at| rank[*at]);
                found.push(circle);
            }
        }
    }
    found.sort_by_key(|circle| rank[circle[0]]);
    found
}

/// Returns pairs of groups that have rules whose series could be the same ones, by name and by
/// the labels that are known beforehand.
fn writers_of_the_same(groups: &[RuleGroup]) -> Vec<(usize, usize)> {
    let mut by_name: HashMap<(&str, bool), BTreeMap<_, Vec<usize>>> = HashMap::new();
    for (idx, rule) in all_rules(groups) {
        let is_alert = matches!(rule.kind, RuleKind::Alerting { .. });
        let by_labels = by_name.entry((&rule.name, is_alert)).or_default();
        let of_labels = by_labels.entry(&rule.labels).or_insert_with(Vec::new);
        of_labels.push(idx.group);
    }
    let mut pairs = Vec::new();
    for ((_, is_alert), by_labels) in &by_name {
        let equal = by_labels.values();
        pairs.extend(equal.flat_map(|groups| groups.windows(2).map(|two| (two[0], two[1]))));
        // Hundreds of rules may share a name; what all of them write, and differently, keeps
        // most of them apart at once.
        let known = |labels: &[(String, String)], name: &str| {
            let written = labels.iter().find(|(label, _)| label == name);
            written
                .filter(|(_, value)| !(*is_alert && value.contains("{{")))
                .map(|(_, value)| value.clone())
        };
        let all_know = |name: &str| by_labels.keys().all(|labels| known(labels, name).is_some());
        let first = by_labels.keys().next().into_iter().copied().flatten();
        let names: Vec<&str> = first
            .map(|(name, _)| name.as_str())
            .filter(|name| all_know(name))
            .collect();
        let mut alike: BTreeMap<Vec<Option<String>>, Vec<_>> = BTreeMap::new();
        for (labels, groups) in by_labels {
            let values = names.iter().map(|name| known(labels, name)).collect();
            alike.entry(values).or_default().push((labels, groups[0]));
        }
        for rules in alike.values() {
            for (at, (labels, group)) in rules.iter().enumerate() {
                let could_be_same = |(other, _): &&(&&Vec<(String, String)>, usize)| {
                    labels.iter().all(|(name, _)| {
                        let (one, other) = (known(labels, name), known(other, name));
                        one.is_none() || other.is_none() || one == other
                    })
                };
                let same = rules[at + 1..].iter().filter(could_be_same);
                pairs.extend(same.map(|(_, other)| (*group, *other)));
            }
        }
    }
    pairs
}

fn all_rules(groups: &[RuleGroup]) -> impl Iterator<Item = (RuleIdx, &Rule)> {
    groups.iter().enumerate().flat_map(|(group, written)| {
        let rules = written.rules.iter().enumerate();
        rules.map(move |(rule, written)| (RuleIdx { group, rule }, written))
    })
}

fn selectors(expr: &Expr) -> Vec<&VectorSelector> {
    let mut found = Vec::new();
    expr.walk(&mut |node| match &node.kind {
        ExprKind::Vector(selector) => found.push(selector),
        ExprKind::Matrix(matrix) => found.push(&matrix.selector),
        _ => {}
    });
    found
}

/// Returns the expressions of the constant `query "…"` calls in an alert's templates; a text
/// that is no expression fails when the template runs, so there is nothing it reads.
pub fn template_queries(
    rule: &Rule,
    functions: &dyn SignatureTable,
    features: Features,
) -> Vec<Expr> {
    let RuleKind::Alerting { annotations, .. } = &rule.kind else {
        return Vec::new();
    };
    let texts = rule.labels.iter().chain(annotations).map(|(_, text)| text);
    texts
        .filter(|text| text.contains("query"))
        .filter_map(|text| Template::parse(&rule.name, text).ok())
        .flat_map(|template| template.constant_queries())
        .filter_map(|query| promql::parse(&query, functions, features).ok())
        .collect()
}
