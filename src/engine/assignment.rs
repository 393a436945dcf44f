//! Which shard evaluates which groups: the same answer wherever it is asked.
//!
//! Groups that read each other's recorded series or `ALERTS`, or may write the same series, stay
//! together ([`CompiledRules::components`]); such a component is never cut, so one that is
//! heavier than a fair share makes its shard the slowest. Components go to shards by cost, the
//! heaviest first onto the least loaded. Ties are broken by file and name: neither the order of
//! files nor that of a hash matters.
//!
//! Between processes the cost is estimated from what is written, so that every node, given the
//! same files under the same paths, comes to the same assignment without asking the others. In a
//! process it is measured once it can be.
//!
//! What may not live here: threads, logs, anything that knows what a shard is made of. Called by
//! `server` at start and at every reload.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::CompiledRules;
use crate::model::{DurationMs, EngineSettings, EvaluationMode, GroupKey};

/// Groups that stay together.
#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    /// The groups, by file and name.
    pub groups: Vec<GroupKey>,
    /// What they cost, all together; in any unit, the same for all components.
    pub cost: f64,
    /// Whether all of them are set to [`EvaluationMode::Tick`]. Such groups see the same for any
    /// number of shards if they share theirs with no others.
    pub ticks_only: bool,
}

/// What groups have cost so far: seconds of evaluation by group.
pub type Measured = BTreeMap<GroupKey, f64>;

/// Returns the components of a rule set. What is not measured is estimated, at the rate at which
/// the estimates of the measured groups came true.
pub fn components(
    rules: &CompiledRules,
    settings: &EngineSettings,
    measured: &Measured,
) -> Vec<Component> {
    let estimates = estimates(rules);
    let known = || {
        measured
            .iter()
            .filter_map(|(key, seconds)| Some((seconds, estimates.get(key)?)))
    };
    let (seconds, estimated) = known().fold((0.0, 0.0), |(seconds, estimated), (s, e)| {
        (seconds + s, estimated + e)
    });
    let rate = if seconds > 0.0 && estimated > 0.0 {
        seconds / estimated
    } else {
        1.0
    };
    let is_known = seconds > 0.0;
    let cost = |key: &GroupKey| {
        let estimate = estimates.get(key).copied().unwrap_or_default() * rate;
        let measured = measured.get(key).copied().filter(|_| is_known);
        measured.unwrap_or(estimate)
    };
    let ticks_only =
        |key: &GroupKey| settings.mode_of(&key.file, &key.name) == EvaluationMode::Tick;
    let component = |groups: &Vec<GroupKey>| Component {
        cost: groups.iter().map(cost).sum(),
        ticks_only: groups.iter().all(ticks_only),
        groups: groups.clone(),
    };
    rules.components.iter().map(component).collect()
}

/// Estimates what each group costs: leaves of its rules evaluated per hour of ticks.
fn estimates(rules: &CompiledRules) -> BTreeMap<GroupKey, f64> {
    let hour = DurationMs::from_seconds(3600);
    let of = |group: &crate::engine::compile::CompiledGroup| {
        let rules = group.rules.iter().map(|rule| &rules.rules[*rule]);
        let leaves: usize = rules.map(|rule| 1 + rule.selectors.len()).sum();
        let ticks = hour.0 as f64 / group.interval.0.max(1) as f64;
        (
            GroupKey::new(&group.file, &group.name),
            leaves as f64 * ticks,
        )
    };
    rules.groups.iter().map(of).collect()
}

/// Returns the groups of each of `n_shards`. A component some of whose groups are in `placed`
/// goes where the most of them are; the others go by their cost.
///
/// With two shards or more, components that only tick share theirs with no others, unless
/// they have been placed so. Every component is in exactly one shard.
pub fn spread(
    components: &[Component],
    n_shards: usize,
    placed: &BTreeMap<GroupKey, usize>,
) -> Vec<BTreeSet<GroupKey>> {
    let n_shards = n_shards.max(1);
    let mut shards = vec![BTreeSet::new(); n_shards];
    let mut loads = vec![0.0; n_shards];
    let mut rest = Vec::new();
    for component in components {
        match place_of(component, placed).filter(|at| *at < n_shards) {
            Some(at) => {
                shards[at].extend(component.groups.iter().cloned());
                loads[at] += component.cost;
            }
            None => rest.push(component),
        }
    }
    rest.sort_by(|one, other| {
        let by_cost = other.cost.total_cmp(&one.cost);
        by_cost.then_with(|| one.groups.cmp(&other.groups))
    });
    let ticking = shards_for_ticking(components, n_shards);
    for component in rest {
        let allowed = if component.ticks_only {
            ticking.clone()
        } else {
            0..ticking.start.max(1)
        };
        let lightest = allowed.min_by(|one, other| loads[*one].total_cmp(&loads[*other]));
        let at = lightest.unwrap_or(0);
        shards[at].extend(component.groups.iter().cloned());
        loads[at] += component.cost;
    }
    shards
}

/// Returns how many shards a rule set can use, at most `n_shards` unless components that only
/// tick are to be kept apart.
pub fn usable_shards(components: &[Component], n_shards: usize) -> usize {
    let ticking = components.iter().filter(|c| c.ticks_only).count();
    let kinds = usize::from(ticking > 0) + usize::from(ticking < components.len());
    n_shards.min(components.len()).max(kinds).max(1)
}

/// Returns the shards of components that only tick: the last ones, as many as their cost asks
/// for, and all where there are no others. The other components have those before them.
fn shards_for_ticking(components: &[Component], n_shards: usize) -> std::ops::Range<usize> {
    let (ticking, others): (Vec<&Component>, Vec<_>) = components
        .iter()
        .partition(|component| component.ticks_only);
    if others.is_empty() || n_shards == 1 {
        return 0..n_shards;
    }
    if ticking.is_empty() {
        return n_shards..n_shards;
    }
    let cost = |all: &[&Component]| all.iter().map(|component| component.cost).sum::<f64>();
    let (ticking, all) = (cost(&ticking), cost(&ticking) + cost(&others));
    let fair = if all > 0.0 {
        (n_shards as f64 * ticking / all).round() as usize
    } else {
        1
    };
    n_shards - fair.clamp(1, n_shards - 1)..n_shards
}

fn place_of(component: &Component, placed: &BTreeMap<GroupKey, usize>) -> Option<usize> {
    let mut groups_at: BTreeMap<usize, usize> = BTreeMap::new();
    for at in component.groups.iter().filter_map(|key| placed.get(key)) {
        *groups_at.entry(*at).or_default() += 1;
    }
    let most = groups_at.values().copied().max()?;
    let mut places = groups_at.into_iter();
    places.find(|(_, n)| *n == most).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::compile;
    use crate::model::RuleSource;
    use proptest::prelude::*;

    /// Groups as `file/name: text of rules`, to components.
    fn components_of(files: &[(&str, &str)], settings: EngineSettings) -> Vec<Component> {
        let file = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        let files = files.iter().map(file).collect();
        let source = RuleSource { files, settings };
        let rules = compile(&source).expect("valid rules");
        components(&rules, &source.settings, &Measured::new())
    }

    fn names(components: &[Component]) -> Vec<Vec<&str>> {
        let name = |key: &GroupKey| -> &str { &key.name.clone().leak()[..] };
        let of = |component: &Component| component.groups.iter().map(name).collect();
        components.iter().map(of).collect()
    }

    #[test]
    fn what_reads_or_writes_the_same_series_stays_together() {
        let check = |rules: &[(&str, &str)], expected: &[&[&str]]| {
            let groups: String = rules
                .iter()
                .map(|(name, rule)| format!("- name: {name}\n  rules: [{{{rule}}}]\n"))
                .collect();
            let text = format!("groups:\n{groups}");
            let found = components_of(&[("f.yml", &text)], EngineSettings::default());
            assert_eq!(names(&found), expected, "{text}");
        };
        check(
            &[
                ("apart", "alert: A, expr: x > 1"),
                ("b", "alert: B, expr: x > 2"),
            ],
            &[&["apart"], &["b"]],
        );
        check(
            &[
                ("reader", "alert: A, expr: 'job:x > 1'"),
                ("recorder", "record: 'job:x', expr: sum(x)"),
                ("z", "alert: Z, expr: x > 1"),
            ],
            &[&["reader", "recorder"], &["z"]],
        );
        check(
            &[
                (
                    "of_alerts",
                    "alert: A, expr: 'count(ALERTS{alertname=~\"B.*\"})'",
                ),
                ("b1", "alert: B1, expr: x > 1"),
                ("c", "alert: C, expr: x > 1"),
            ],
            &[&["b1", "of_alerts"], &["c"]],
        );
        check(
            &[
                ("nameless", "alert: A, expr: 'count({job=\"a\"}) > 1'"),
                ("of_a", "record: 'r:a', expr: x, labels: {job: a}"),
                ("of_b", "record: 'r:b', expr: x, labels: {job: b}"),
            ],
            &[&["nameless", "of_a"], &["of_b"]],
        );
        check(
            &[
                ("w1", "record: r, expr: x, labels: {from: one}"),
                ("w2", "record: r, expr: y, labels: {from: two}"),
                ("w3", "record: r, expr: z, labels: {to: two}"),
            ],
            &[&["w1", "w2", "w3"]],
        );
        check(
            &[
                ("w1", "record: r, expr: x, labels: {from: one}"),
                ("w2", "record: r, expr: y, labels: {from: two}"),
                ("w3", "alert: r, expr: z, labels: {from: one}"),
                ("w4", "alert: r, expr: z, labels: {from: '{{$value}}'}"),
            ],
            &[&["w1"], &["w2"], &["w3", "w4"]],
        );
        check(
            &[
                (
                    "asks",
                    "alert: A, expr: x, annotations: {a: '{{query \"job:x\"}}'}",
                ),
                ("recorder", "record: 'job:x', expr: sum(x)"),
            ],
            &[&["asks", "recorder"]],
        );
    }

    fn component(name: &str, cost: f64, ticks_only: bool) -> Component {
        Component {
            groups: vec![GroupKey::new("f", name)],
            cost,
            ticks_only,
        }
    }

    fn spread_names(shards: &[BTreeSet<GroupKey>]) -> Vec<String> {
        let of = |shard: &BTreeSet<GroupKey>| {
            let names: Vec<&str> = shard.iter().map(|key| key.name.as_str()).collect();
            names.join(" ")
        };
        shards.iter().map(of).collect()
    }

    #[test]
    fn the_heaviest_goes_first_to_the_least_loaded() {
        let all = [
            component("a", 1.0, false),
            component("b", 5.0, false),
            component("c", 3.0, false),
            component("d", 2.0, false),
        ];
        let shards = spread(&all, 2, &BTreeMap::new());
        assert_eq!(spread_names(&shards), ["a b", "c d"]);
        let placed = BTreeMap::from([(GroupKey::new("f", "b"), 1), (GroupKey::new("f", "x"), 0)]);
        let shards = spread(&all, 2, &placed);
        assert_eq!(spread_names(&shards), ["a c d", "b"], "what runs stays");
    }

    #[test]
    fn what_only_ticks_shares_with_nothing_else() {
        let all = [
            component("a", 1.0, true),
            component("b", 5.0, false),
            component("c", 3.0, false),
        ];
        for n_shards in 2..5 {
            let shards = spread(&all, n_shards, &BTreeMap::new());
            let alone = spread_names(&shards).contains(&"a".to_owned());
            assert!(alone, "{n_shards}: {shards:?}");
        }
        assert_eq!(usable_shards(&all, 1), 2, "one for each kind");
        assert_eq!(usable_shards(&all[1..], 1), 1);
        assert_eq!(usable_shards(&all, 8), 3);
        assert_eq!(usable_shards(&[], 8), 1);
    }

    #[test]
    fn what_is_measured_goes_before_what_is_estimated() {
        let text = "
groups:
- {name: many, rules: [{alert: A, expr: x + x + x > 1}, {alert: B, expr: x > 1}]}
- {name: few, rules: [{alert: C, expr: x > 2}]}
- {name: new, interval: 30s, rules: [{alert: D, expr: x > 2}]}
";
        let files = vec![("f".to_owned(), text.to_owned())];
        let settings = EngineSettings::default();
        let rules = compile(&RuleSource { files, settings }).expect("valid");
        let cost = |measured: &[(&str, f64)]| {
            let key = |(name, seconds): &(&str, f64)| (GroupKey::new("f", name), *seconds);
            let measured = measured.iter().map(key).collect();
            let found = components(&rules, &EngineSettings::default(), &measured);
            let of = |c: &Component| (c.groups[0].name.clone(), c.cost);
            found.iter().map(of).collect::<BTreeMap<_, _>>()
        };
        let estimated = cost(&[]);
        assert_eq!(estimated["many"], 6.0 * 60.0);
        assert_eq!(estimated["few"], 2.0 * 60.0);
        assert_eq!(estimated["new"], 2.0 * 120.0, "twice as often");
        let measured = cost(&[("many", 0.5), ("few", 3.5)]);
        assert_eq!((measured["many"], measured["few"]), (0.5, 3.5));
        assert_eq!(measured["new"], 240.0 * 4.0 / 480.0, "at the others' rate");
    }

    /// Random rules over a few names, so that chains and circles arise.
    fn files() -> impl Strategy<Value = Vec<(String, String)>> {
        let rule = (0..12u8, 0..12u8, any::<bool>()).prop_map(|(made, read, is_alert)| {
            if is_alert {
                format!("  - {{alert: a{made}, expr: 's{read} > 1'}}\n")
            } else {
                format!("  - {{record: s{made}, expr: 'sum(s{read})'}}\n")
            }
        });
        let group = prop::collection::vec(rule, 1..4);
        let file = prop::collection::vec(group, 1..4).prop_map(|groups| {
            let groups = groups.iter().enumerate().map(|(at, rules)| {
                let rules = rules.concat();
                format!("- name: g{at}\n  rules:\n{rules}")
            });
            format!("groups:\n{}", groups.collect::<String>())
        });
        prop::collection::vec(file, 1..6).prop_map(|files| {
            let named = files.into_iter().enumerate();
            named
                .map(|(at, text)| (format!("{at}.yml"), text))
                .collect()
        })
    }

    proptest! {
        #[test]
        fn every_group_has_one_shard_whatever_the_order_of_files(
            files in files(),
            n_shards in 1usize..6,
            turn in 0usize..6,
        ) {
            let spread_over = |files: &[(String, String)]| {
                let files: Vec<(&str, &str)> =
                    files.iter().map(|(f, t)| (f.as_str(), t.as_str())).collect();
                let components = components_of(&files, EngineSettings::default());
                let all: Vec<GroupKey> =
                    components.iter().flat_map(|c| c.groups.clone()).collect();
                (all, spread(&components, n_shards, &BTreeMap::new()))
            };
            let (mut all, shards) = spread_over(&files);
            prop_assert_eq!(shards.len(), n_shards);
            let mut together: Vec<GroupKey> = shards.iter().flatten().cloned().collect();
            all.sort();
            together.sort();
            prop_assert_eq!(all, together, "total and disjoint");
            let mut turned = files.clone();
            turned.rotate_left(turn % files.len());
            prop_assert_eq!(shards, spread_over(&turned).1);
        }
    }
}
