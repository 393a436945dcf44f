//! A rule set ready to be evaluated: rules in order of evaluation, what each reads, templates
//! parsed, which series move which rules.
//!
//! Compiling is pure: the same [`RuleSource`] gives the same [`CompiledRules`], so a replayed
//! log compiles what was live.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use crate::context::{InfoSelector, check_link};
use crate::engine::compiled_rule::{
    CompiledAlert, CompiledKind, CompiledRule, GroupIndex, RuleIndex, Text,
};
use crate::engine::context::is_of_changes;
use crate::engine::grid::TickGrid;
use crate::engine::reads::ReadIndex;
use crate::eval::plan;
use crate::eval::plan::partition::partition;
use crate::eval::plan::standing::{Standing, standing};
use crate::functions::Functions;
use crate::functions::learning::learns;
use crate::model::{
    ALERTS, ALERTS_FOR_STATE, ContextParts, ContextSettings, DurationMs, EngineSettings,
    EvaluationMode, Grid, GroupKey, Labels, Matcher, RuleSource, SampleValue, TimestampMs,
};
use crate::promql::ast::ExprKind;
use crate::promql::{Expr, Features, SelectorUse, parse, selectors};
use crate::rule::baseline::{
    Baseline, BaselineReader, MissingBaseline, is_baseline, missing_baselines,
};
use crate::rule::order::{self, Dependence};
use crate::rule::warming::missing_could_make_true;
use crate::rule::{ParseOptions, RuleError, RuleGroup, RuleKind, parse_file};
use crate::template::Template;

/// A group ready to be evaluated.
#[derive(Clone, Debug)]
pub struct CompiledGroup {
    /// Its file's path.
    pub file: String,
    /// Its name.
    pub name: String,
    /// How often it ticks, ms.
    pub interval: DurationMs,
    /// How far its queries look back, ms.
    pub query_offset: DurationMs,
    /// The most alerts or series a rule may yield; 0 = no limit.
    pub limit: usize,
    /// `true` when its rules are evaluated on arrival too.
    pub on_arrival: bool,
    /// `true` when it is set to [`EvaluationMode::Tick`].
    pub ticks_only: bool,
    /// Where its ticks lie.
    pub grid: TickGrid,
    /// Its rules, in order.
    pub rules: Vec<RuleIndex>,
}

/// A rule set ready to be evaluated. Groups stand in the order in which they tick at one
/// instant: by dependence, then file, then name.
#[derive(Clone, Debug, Default)]
pub struct CompiledRules {
    /// The groups.
    pub groups: Vec<CompiledGroup>,
    /// All rules, group by group.
    pub rules: Vec<CompiledRule>,
    /// Selectors kept although no rule reads them.
    pub watch: Vec<Vec<Matcher>>,
    /// Metrics that say which version runs, for contexts.
    pub info: Vec<InfoSelector>,
    /// How long their series are kept, ms; zero where no rule asks for a context.
    pub info_kept: DurationMs,
    /// Series that are worth the same at every instant: those of baseline files, and what says
    /// which baselines are missing.
    pub baselines: Arc<[(Labels, SampleValue)]>,
    /// Names that rules record, those of other shards included, and those of baselines.
    pub recorded: HashSet<String>,
    /// Which language features are on.
    pub features: Features,
    /// What is worth saying about the files, each with its file.
    pub notes: Vec<String>,
    /// Who reads what.
    pub reads: ReadIndex,
    /// The groups as they belong together, because they read each other's series or write the
    /// same. Found where all groups are compiled, not of a shard's share.
    pub components: Vec<Vec<GroupKey>>,
    /// The groups that are left to other shards.
    pub elsewhere: BTreeSet<GroupKey>,
}

/// Returns the language features that `--enable-feature` names switch on.
pub fn features(names: &[String]) -> Features {
    let on = |name: &str| names.iter().any(|given| given == name);
    Features {
        experimental_functions: on("promql-experimental-functions"),
        duration_expr: on("promql-duration-expr"),
        extended_range_selectors: on("promql-extended-range-selectors"),
        binop_fill_modifiers: on("promql-binop-fill-modifiers"),
        delayed_name_removal: on("promql-delayed-name-removal"),
        start_timestamps_kept: on("st-storage"),
        start_timestamps_used: on("use-start-timestamps"),
        type_and_unit_labels: on("type-and-unit-labels"),
    }
}

/// Returns how the settings want rule files to be read.
pub fn parse_options(settings: &EngineSettings) -> ParseOptions {
    ParseOptions {
        features: features(&settings.features),
        format: settings.rule_format,
    }
}

/// Compiles a rule set; returns all errors of all files, not only the first.
pub fn compile(source: &RuleSource) -> Result<CompiledRules, Vec<RuleError>> {
    let options = parse_options(&source.settings);
    let features = options.features;
    let (mut groups, mut errors) = (Vec::new(), Vec::new());
    let mut notes = Vec::new();
    let (mut baselines, mut reader) = (Vec::new(), BaselineReader::default());
    for (path, text) in &source.files {
        if is_baseline(text) {
            match reader.read(path, text) {
                Ok(baseline) => baselines.push(baseline),
                Err(found) => errors.extend(found),
            }
            continue;
        }
        match parse_file(path, text, &Functions, options) {
            Ok(parsed) => {
                groups.extend(parsed.groups);
                let warning = |text| format!("{path}: {text}");
                notes.extend(parsed.warnings.into_iter().map(warning));
                notes.extend(parsed.notes.iter().map(ToString::to_string));
            }
            Err(found) => errors.extend(found),
        }
    }
    let mut compiled = CompiledRules {
        features,
        notes,
        ..CompiledRules::default()
    };
    for text in &source.settings.watch {
        match watch_matchers(text, features) {
            Ok(matchers) => compiled.watch.push(matchers),
            Err(message) => errors.push(watch_error(text, message)),
        }
    }
    if let Err(found) = compiled.add_context(&source.settings.context, features) {
        errors.extend(found);
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let dependence = Dependence::of(&groups, &Functions, features);
    if source.settings.share.is_none() {
        let key = |at: &usize| GroupKey::new(&groups[*at].file, &groups[*at].name);
        let components = dependence.components(&groups).into_iter();
        compiled.components = components
            .map(|all| all.iter().map(key).collect())
            .collect();
    }
    compiled.recorded = recorded_names(&groups);
    compiled.add_baselines(&groups, baselines);
    // The order is that of all groups, so that those of a shard keep theirs.
    for at in evaluation_order(&groups, &dependence, &source.settings.grid) {
        let (file, name) = (&groups[at].file, &groups[at].name);
        if !source.settings.has_share_of(file, name) {
            compiled.elsewhere.insert(GroupKey::new(file, name));
            continue;
        }
        if let Err(error) = compiled.add_group(&groups[at], &source.settings) {
            errors.push(error);
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    if compiled.asks_for_context(&compiled.rules) {
        compiled.info_kept = source.settings.context.changes_age;
    }
    compiled.link();
    Ok(compiled)
}

fn recorded_names(groups: &[RuleGroup]) -> HashSet<String> {
    let rules = groups.iter().flat_map(|group| &group.rules);
    rules
        .filter(|rule| matches!(rule.kind, RuleKind::Recording))
        .map(|rule| rule.name.clone())
        .collect()
}

fn evaluation_order(groups: &[RuleGroup], dependence: &Dependence, grid: &Grid) -> Vec<usize> {
    let mut order = dependence.order();
    if let Grid::UnitTest {
        group_order: Some(listed),
        ..
    } = grid
    {
        let place = |at: &usize| listed.iter().position(|name| *name == groups[*at].name);
        order.sort_unstable();
        order.sort_by_key(|at| place(at).unwrap_or(usize::MAX));
    }
    order
}

fn watch_matchers(text: &str, features: Features) -> Result<Vec<Matcher>, String> {
    let expr = parse(text, &Functions, features).map_err(|e| e.to_string())?;
    match expr.kind {
        ExprKind::Vector(selector) => Ok(selector.matchers),
        _ => Err("only a series selector such as up{job=\"api\"} can be watched".to_owned()),
    }
}

fn watch_error(text: &str, message: String) -> RuleError {
    setting_error("burnwatch.watch", text, message)
}

fn setting_error(setting: &str, text: &str, message: String) -> RuleError {
    RuleError {
        file: setting.to_owned(),
        line: 0,
        column: 0,
        message: format!("{text}: {message}"),
        hint: None,
    }
}

fn text(alert: &str, template: &str) -> Result<Text, String> {
    if !template.contains("{{") {
        return Ok(Text::Plain(template.to_owned()));
    }
    let name = format!("__alert_{alert}");
    let parsed = Template::parse(&name, template).map_err(|e| e.to_string())?;
    Ok(Text::Template(Box::new(parsed)))
}

fn texts(alert: &str, pairs: &[(String, String)]) -> Result<Vec<(String, Text)>, String> {
    pairs
        .iter()
        .map(|(name, value)| Ok((name.clone(), text(alert, value)?)))
        .collect()
}

/// Returns which parts of a context a rule asks for.
fn context_parts(
    annotations: &[(String, String)],
    settings: &ContextSettings,
) -> Result<ContextParts, String> {
    let name = ContextSettings::ANNOTATION;
    let asked = annotations.iter().find(|(known, _)| known == name);
    match asked {
        None => Ok(settings.default),
        Some((_, text)) => text
            .parse()
            .map_err(|unknown| format!("annotation {name:?}: {unknown}")),
    }
}

impl CompiledRules {
    /// Takes what the settings say of contexts.
    fn add_context(
        &mut self,
        settings: &ContextSettings,
        features: Features,
    ) -> Result<(), Vec<RuleError>> {
        let mut errors = Vec::new();
        for metric in &settings.info {
            match watch_matchers(&metric.selector, features) {
                Ok(matchers) => self.info.push(InfoSelector {
                    matchers,
                    label: metric.label.clone(),
                    kind: metric.kind.clone(),
                }),
                Err(message) => {
                    let text = &metric.selector;
                    errors.push(setting_error("burnwatch.context.info", text, message));
                }
            }
        }
        for (name, template) in &settings.links {
            if let Err(message) = check_link(template) {
                let setting = format!("burnwatch.context.links.{name}");
                errors.push(setting_error(&setting, template, message));
            }
        }
        if errors.is_empty() {
            Ok(())
        } else {
            Err(errors)
        }
    }

    fn add_baselines(&mut self, groups: &[RuleGroup], baselines: Vec<Baseline>) {
        let missing = missing_baselines(groups, baselines.iter());
        self.notes.extend(missing.iter().map(ToString::to_string));
        let given = baselines.into_iter().flat_map(|baseline| baseline.series);
        let mut all: BTreeMap<Labels, SampleValue> = given.collect();
        all.extend(missing.iter().map(MissingBaseline::series));
        let names = all.keys().map(|labels| labels.metric_name().to_owned());
        self.recorded.extend(names);
        self.baselines = all.into_iter().collect();
    }

    fn add_group(&mut self, group: &RuleGroup, settings: &EngineSettings) -> Result<(), RuleError> {
        let interval = match &settings.grid {
            Grid::UnitTest { interval, .. } => *interval,
            Grid::Hashed => group.interval.unwrap_or(settings.evaluation_interval),
        };
        let grid = match &settings.grid {
            Grid::UnitTest { start, .. } => TickGrid::aligned(*start, interval),
            Grid::Hashed if group.is_aligned => TickGrid::aligned(TimestampMs(0), interval),
            Grid::Hashed => TickGrid::hashed(&group.file, &group.name, interval),
        };
        let query_offset = group.query_offset.unwrap_or(settings.query_offset);
        let mode = settings.mode_of(&group.file, &group.name);
        let index = self.groups.len();
        let mut rules = Vec::with_capacity(group.rules.len());
        for rule in &group.rules {
            let error = |message: String| RuleError {
                file: group.file.clone(),
                line: rule.line,
                column: 0,
                message: format!("group {:?}, rule {:?}: {message}", group.name, rule.name),
                hint: None,
            };
            rules.push(self.rules.len());
            self.rules.push(
                self.compile_rule(rule, index, query_offset, settings)
                    .map_err(error)?,
            );
        }
        self.groups.push(CompiledGroup {
            file: group.file.clone(),
            name: group.name.clone(),
            interval,
            query_offset,
            limit: group.limit,
            on_arrival: mode == EvaluationMode::Arrival && query_offset == DurationMs::ZERO,
            ticks_only: mode == EvaluationMode::Tick,
            grid,
            rules,
        });
        Ok(())
    }

    fn compile_rule(
        &self,
        rule: &crate::rule::Rule,
        group: GroupIndex,
        query_offset: DurationMs,
        settings: &EngineSettings,
    ) -> Result<CompiledRule, String> {
        let mut read = selectors(&rule.expr);
        let kind = match &rule.kind {
            RuleKind::Recording => CompiledKind::Recording,
            RuleKind::Alerting {
                hold,
                keep_firing,
                annotations,
            } => {
                let alert = CompiledAlert {
                    hold: *hold,
                    keep_firing: *keep_firing,
                    labels: texts(&rule.name, &rule.labels)?,
                    annotations: annotations.clone(),
                    annotation_texts: texts(&rule.name, annotations)?,
                    context: context_parts(annotations, &settings.context)?,
                };
                let queries = order::template_queries(rule, &Functions, self.features);
                read.extend(queries.iter().flat_map(selectors));
                CompiledKind::Alerting(Box::new(alert))
            }
        };
        // A group that looks from further back needs history from further back.
        for used in &mut read {
            used.back = DurationMs(used.back.0.saturating_add(query_offset.0));
        }
        Ok(CompiledRule {
            name: rule.name.clone(),
            group,
            expr_text: rule.expr.to_string().into(),
            expr: rule.expr.clone(),
            labels: rule.labels.clone(),
            kind,
            selectors: read,
            views: Vec::new(),
            partition: None,
            stands: false,
            missing_makes_true: missing_could_make_true(&rule.expr),
            learns: learns(&rule.expr),
        })
    }

    /// Finds what depends on recorded series, once all rules are known.
    fn link(&mut self) {
        let is_recording = |at: &RuleIndex| self.rules[*at].alerting().is_none();
        let recording: Vec<RuleIndex> = (0..self.rules.len()).filter(is_recording).collect();
        let viewable: Vec<RuleIndex> = recording
            .into_iter()
            .filter(|at| self.groups[self.rules[*at].group].on_arrival)
            .collect();
        self.reads = ReadIndex::of(&self.rules, &viewable);
        for at in 0..self.rules.len() {
            self.rules[at].views = self.reads.views_of(&self.rules, at).into_iter().collect();
        }
        for rule in &mut self.rules {
            // What is recorded has labels of its own making: who looks through it sees the whole.
            let can_be = rule.views.is_empty() && rule.alerting().is_some();
            let labels = partition(&rule.expr);
            let takes_apart = can_be && self.groups[rule.group].on_arrival && !labels.is_none();
            rule.partition = takes_apart.then(|| Arc::new(labels));
        }
        for at in 0..self.rules.len() {
            self.rules[at].stands = self.stands(&self.rules[at]);
        }
        // A rule over a recorded aggregate is as exposed to missing members as the aggregate.
        for at in 0..self.rules.len() {
            if !self.rules[at].missing_makes_true && !self.rules[at].views.is_empty() {
                let inlined = self.inline(&self.rules[at].expr, &mut vec![at]);
                self.rules[at].missing_makes_true = missing_could_make_true(&inlined);
            }
        }
    }

    /// Tells whether what happens to the leaves of a rule is all noticed between ticks, so that
    /// nothing has to be looked at where nothing has happened. What is recorded comes at ticks.
    fn stands(&self, rule: &CompiledRule) -> bool {
        let is_recorded = |used: &SelectorUse| {
            Matcher::exact_name(&used.matchers)
                .is_none_or(|name| self.is_recorded(name) || is_of_changes(name))
        };
        rule.alerting().is_some()
            && self.groups[rule.group].on_arrival
            && !rule.selectors.is_empty()
            && !rule.selectors.iter().any(is_recorded)
            && standing(&rule.expr) != Standing::Moving
    }

    /// Returns the expression with selectors of recorded names replaced by what records them.
    fn inline(&self, expr: &Expr, within: &mut Vec<RuleIndex>) -> Expr {
        let mut inlined = expr.clone();
        inlined.for_each_mut(&mut |node| {
            let ExprKind::Vector(selector) = &node.kind else {
                return;
            };
            let reader = *within.last().expect("starts with the rule itself");
            let views = self.rules[reader].views.iter();
            let recorded = |at: &&RuleIndex| self.rules[**at].may_be_read_by(&selector.matchers);
            let Some(at) = views.copied().find(|at| recorded(&at)) else {
                return;
            };
            if within.contains(&at) {
                return;
            }
            within.push(at);
            let inner = self.inline(&self.rules[at].expr, within);
            within.pop();
            node.kind = ExprKind::Paren(Box::new(inner));
        });
        inlined
    }

    /// Returns the rules that move when this series does: those of arrival groups that read it,
    /// and those that read what is recorded from it. Also how far back any rule reads it.
    pub fn readers(&self, labels: &Labels) -> (BTreeSet<RuleIndex>, DurationMs) {
        let (mut moved, mut reach) = self.reads.readers(&self.rules, labels);
        if reach < self.info_kept && self.is_info(labels) {
            reach = self.info_kept;
        }
        moved.retain(|at| {
            let rule = &self.rules[*at];
            rule.alerting().is_some() && self.groups[rule.group].on_arrival
        });
        (moved, reach)
    }

    /// Tells whether any of these rules asks for a context.
    pub fn asks_for_context<'a>(&self, rules: impl IntoIterator<Item = &'a CompiledRule>) -> bool {
        let mut alerts = rules.into_iter().filter_map(CompiledRule::alerting);
        alerts.any(|alert| !alert.context.is_none())
    }

    /// Tells whether a series says which version runs.
    fn is_info(&self, labels: &Labels) -> bool {
        let is_of = |info: &InfoSelector| info.matchers.iter().all(|m| m.matches_labels(labels));
        self.info.iter().any(is_of)
    }

    /// Returns what is read: of every rule, every template's constant query, `watch`, and what
    /// contexts read.
    pub fn read_selectors(&self) -> Vec<Vec<Matcher>> {
        let mut all: BTreeMap<String, Vec<Matcher>> = BTreeMap::new();
        let used = self.rules.iter().flat_map(|rule| &rule.selectors);
        let asks = self.info_kept > DurationMs::ZERO;
        let info = self.info.iter().filter(|_| asks).map(|info| &info.matchers);
        let used = used.map(|used| &used.matchers);
        for matchers in used.chain(&self.watch).chain(info) {
            all.insert(format!("{matchers:?}"), matchers.clone());
        }
        all.into_values().collect()
    }

    /// Returns how far behind the frontier the leaves stand when rules are evaluated: the tails of
    /// all, and the heads of windows, ms.
    pub fn lags(&self) -> Vec<DurationMs> {
        let mut lags = Vec::new();
        for rule in &self.rules {
            let query_offset = self.groups[rule.group].query_offset;
            for leaf in plan::leaf::leaves(&rule.expr, DurationMs::ZERO) {
                // What is in a subquery is evaluated when the frontier stands at a step.
                let (Some(offset), None) = (leaf.offset, leaf.pinned) else {
                    continue;
                };
                // Appended values are read at the group's offset, live ones at the frontier.
                for offset in [offset, DurationMs(offset.0 + query_offset.0)] {
                    lags.push(offset);
                    lags.extend(leaf.window().map(|range| DurationMs(offset.0 + range.0)));
                }
            }
        }
        lags
    }

    /// Returns the groups whose rules may write a series, ascending.
    pub fn writers(&self, labels: &Labels) -> Vec<GroupIndex> {
        self.reads.writers(&self.rules, labels)
    }

    /// Tells whether series of this name are written by rules.
    pub fn is_recorded(&self, name: &str) -> bool {
        name == ALERTS || name == ALERTS_FOR_STATE || self.recorded.contains(name)
    }
}
