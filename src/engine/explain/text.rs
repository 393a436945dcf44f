//! An explanation as text for people: a tree, then what each leaf reads, then the whole.

use std::fmt::{self, Formatter};

use crate::engine::explain::{
    Explanation, LeafCount, Live, LiveRule, ReadRule, RuleName, RulePart,
};
use crate::eval::plan::leaf::SubqueryGrid;
use crate::eval::plan::{Leaf, LeafKind, Node, OutputLabels};
use crate::functions::Function;
use crate::model::{DurationMs, METRIC_NAME, TimestampMs};
use crate::promql::ast::RangeMode;
use crate::promql::{Signature, ValueType};

/// Where the number of a leaf stands behind the tree.
const NUMBER_COLUMN: usize = 60;
/// How many rules of a list are shown.
const SHOWN_MAX: usize = 10;

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(rule) = &self.rule {
            heading(f, rule)?;
        }
        writeln!(f, "{}\n", self.plan.text)?;
        tree(f, &self.plan.root, "  ", "  ")?;
        for (index, leaf) in self.plan.leaves.iter().enumerate() {
            self.write_leaf(f, index, leaf)?;
        }
        self.write_evaluation(f)?;
        self.write_warming(f)?;
        self.write_live(f)?;
        write_functions(f, &self.plan.functions)
    }
}

fn line(f: &mut Formatter<'_>, name: &str, text: impl fmt::Display) -> fmt::Result {
    writeln!(f, "  {name:<12} {text}")
}

fn heading(f: &mut Formatter<'_>, rule: &RulePart) -> fmt::Result {
    let kind = if rule.hold.is_some() {
        "alert"
    } else {
        "record"
    };
    write!(
        f,
        "{kind} {} · group {} · {}",
        rule.name, rule.group, rule.file
    )?;
    if let Some(hold) = rule.hold.filter(|hold| *hold > DurationMs::ZERO) {
        write!(f, " · for {hold}")?;
    }
    for (name, value) in &rule.labels {
        write!(f, " · {name}={value:?}")?;
    }
    writeln!(f)
}

fn tree(f: &mut Formatter<'_>, node: &Node, first: &str, rest: &str) -> fmt::Result {
    let text = format!("{first}{}", node.text);
    match node.leaf {
        Some(leaf) => writeln!(f, "{text:<NUMBER_COLUMN$} #{}", leaf + 1)?,
        None => writeln!(f, "{text}")?,
    }
    for (at, operand) in node.operands.iter().enumerate() {
        let (branch, below) = if at + 1 == node.operands.len() {
            ("└─ ", "   ")
        } else {
            ("├─ ", "│  ")
        };
        tree(
            f,
            operand,
            &format!("{rest}{branch}"),
            &format!("{rest}{below}"),
        )?;
    }
    Ok(())
}

/// Writes a number without a fraction where it has none.
fn number(value: f64) -> String {
    if value.fract() == 0.0 || value >= 100.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.1}")
    }
}

fn time(at: TimestampMs) -> String {
    jiff::Timestamp::from_millisecond(at.0).map_or_else(|_| at.0.to_string(), |at| at.to_string())
}

/// Says which samples a leaf reads.
fn reading(leaf: &Leaf) -> String {
    let end = match (leaf.pinned, leaf.offset) {
        (Some(instant), _) => time(instant),
        (None, Some(offset)) if offset < DurationMs::ZERO => {
            format!("t + {}", DurationMs(-offset.0))
        }
        (None, Some(DurationMs::ZERO)) => "t".to_owned(),
        (None, Some(offset)) => format!("t - {offset}"),
        (None, None) => "t - offset".to_owned(),
    };
    let mut text = match &leaf.kind {
        LeafKind::Instant => format!("the newest sample at {end}, at most 5m old"),
        LeafKind::Info => {
            "the newest sample of the info series of each job and instance".to_owned()
        }
        LeafKind::Window { range, mode } => {
            let range = range.map_or("its range".to_owned(), |range| range.to_string());
            let beyond = match mode {
                RangeMode::Plain => "",
                RangeMode::Anchored => ", and the newest before it",
                RangeMode::Smoothed => ", and the nearest on either side of it",
            };
            format!("the samples in ({end} - {range}, {end}]{beyond}")
        }
    };
    for SubqueryGrid {
        text: written,
        step,
        is_default_step,
        ..
    } in leaf.subqueries.iter().rev()
    {
        let default = if *is_default_step {
            ", the evaluation interval"
        } else {
            ""
        };
        let step = step.map_or("its step".to_owned(), |step| step.to_string());
        text += &format!(", at every step of {written} (every {step}{default})");
    }
    text
}

/// Says how a leaf's value is had when a rule is evaluated: the outermost subquery first.
fn how(leaf: &Leaf, scrape_interval: DurationMs) -> Vec<String> {
    let scanned = |why: &str| format!("read from history at each evaluation: {why}");
    let mut lines = Vec::new();
    for grid in &leaf.subqueries {
        if let Some(why) = &grid.obstacle {
            lines.push(scanned(&format!("{} is not kept, {why}", grid.text)));
            return lines;
        }
        let points = format!("incremental: each point of {} is made once", grid.text);
        lines.push(match &grid.points_read_by {
            None => points,
            Some(function) => {
                format!("{points}, and all are read at each evaluation: no form of {function}")
            }
        });
    }
    lines.push(match (&leaf.obstacle, &leaf.kind) {
        (Some(why), _) if leaf.subqueries.is_empty() => scanned(why),
        (Some(why), _) => format!("read from history at each point: {why}"),
        (None, LeafKind::Window { .. }) if leaf.is_over(scrape_interval) => {
            let most = leaf.samples_max.unwrap_or_default();
            scanned(&format!("there are more than {most} samples in the window"))
        }
        (None, LeafKind::Window { .. }) => {
            "incremental: the window moves along, however long it is".to_owned()
        }
        (None, LeafKind::Instant) => "incremental: the newest sample is known".to_owned(),
        (None, LeafKind::Info) => "looked up for the series there are".to_owned(),
    });
    lines
}

impl Explanation {
    fn write_leaf(&self, f: &mut Formatter<'_>, index: usize, leaf: &Leaf) -> fmt::Result {
        writeln!(f, "\n#{} {}", index + 1, leaf.text)?;
        let taken = leaf.taken_by.as_ref();
        let taken = taken.map_or(String::new(), |taken| format!("; taken by {taken}"));
        line(f, "reads", format_args!("{}{taken}", reading(leaf)))?;
        for (place, how) in how(leaf, self.scrape_interval).iter().enumerate() {
            line(f, if place == 0 { "how" } else { "" }, how)?;
        }
        line(
            f,
            "cost",
            format_args!(
                "{} of {} samples a series are read at an evaluation, scraped every {}",
                number(leaf.samples_read(self.scrape_interval)),
                number(leaf.samples(self.scrape_interval)),
                self.scrape_interval
            ),
        )?;
        match leaf.pinned {
            Some(at) => line(
                f,
                "history",
                format_args!("for good: @ pins it to {}", time(at)),
            )?,
            None => line(f, "history", format_args!("{} back", leaf.back))?,
        }
        if let Some(rule) = &self.rule {
            let reads = rule.reads.iter().filter(|read| read.leaf == index);
            let reads: Vec<&ReadRule> = reads.collect();
            for read in reads.iter().take(SHOWN_MAX) {
                line(f, "rule", read_text(read, rule))?;
            }
            if reads.len() > SHOWN_MAX {
                line(
                    f,
                    "",
                    format_args!("and {} more rules", reads.len() - SHOWN_MAX),
                )?;
            }
        }
        let count = self.live.as_ref().and_then(|live| live.counts.get(index));
        if let Some(LeafCount {
            series: Some(series),
            samples,
        }) = count
        {
            let samples = samples.map_or(String::new(), |n| format!(", {n} samples in reach"));
            line(f, "series", format_args!("{series} now{samples}"))?;
        }
        Ok(())
    }

    fn write_evaluation(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let plan = &self.plan;
        writeln!(f, "\nEvaluation")?;
        line(f, "result", plan.value_type.documented())?;
        if plan.value_type == ValueType::Vector {
            line(f, "labels", labels_text(&plan.output))?;
        }
        line(f, "when", self.when())?;
        if !plan.clocks.is_empty() {
            let clocks = plan.clocks.join(", ");
            let text = format!(
                "{clocks} moves by itself; what that changes is seen at the next evaluation"
            );
            line(f, "clock", text)?;
        }
        line(f, "partitions", self.partitions())?;
        let cost = plan.samples_read(self.scrape_interval);
        let each = match plan.leaves.len() {
            _ if cost == 0.0 => "no samples are read from history".to_owned(),
            1 => format!("{} samples a series and evaluation", number(cost)),
            _ => format!(
                "{} samples an evaluation, were there one series for each leaf",
                number(cost)
            ),
        };
        line(f, "cost", format_args!("{each}{}", self.real_cost()))?;
        line(f, "history", format_args!("{} back", plan.history()))?;
        if let Some(rule) = self.rule.as_ref().filter(|rule| !rule.read_by.is_empty()) {
            let names = rule.read_by.iter().take(SHOWN_MAX).map(place);
            let names = names.collect::<Vec<_>>().join(", ");
            let more = rule.read_by.len().saturating_sub(SHOWN_MAX);
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            line(f, "read by", format_args!("{names}{more}"))?;
        }
        Ok(())
    }

    /// Says what the series that there are cost.
    fn real_cost(&self) -> String {
        let counts = self.live.iter().flat_map(|live| &live.counts);
        let leaves = self.plan.leaves.iter();
        let series: Option<Vec<u64>> = counts.map(|count| count.series).collect();
        let is_kept = |leaf: &Leaf| leaf.is_incremental() && !leaf.is_over(self.scrape_interval);
        if self.plan.leaves.iter().all(is_kept) {
            return String::new();
        }
        match series.filter(|series| series.len() == self.plan.leaves.len() && !series.is_empty()) {
            None => String::new(),
            Some(series) => {
                let of_leaf = |(leaf, series): (&Leaf, u64)| {
                    leaf.samples_read(self.scrape_interval) * series as f64
                };
                let total: f64 = leaves.zip(series).map(of_leaf).sum();
                format!("; about {} with the series there are", number(total))
            }
        }
    }

    fn when(&self) -> String {
        let arrives = match self.plan.leaves.len() {
            0 => None,
            1 => Some("when a sample of #1 arrives".to_owned()),
            n => Some(format!("when a sample of any of #1 to #{n} arrives")),
        };
        match (&self.rule, arrives) {
            (Some(rule), Some(arrives)) if rule.on_arrival => format!(
                "every {} at the group's tick, and between ticks {arrives} or `for` is over",
                rule.interval
            ),
            (Some(rule), _) if rule.hold.is_some() => format!(
                "every {} at the group's tick (no evaluation between ticks: query_offset, \
                 `evaluation: tick`, or nothing is read)",
                rule.interval
            ),
            (Some(rule), _) => format!(
                "every {} at the group's tick; alerts that read it look through it between ticks",
                rule.interval
            ),
            (None, Some(arrives)) => format!(
                "as a rule at every tick of its group; as an alert between ticks too, {arrives}"
            ),
            (None, None) => "as a rule at every tick of its group".to_owned(),
        }
    }

    fn partitions(&self) -> String {
        let labels = &self.plan.partition;
        if self.plan.leaves.is_empty() {
            return "nothing that arrives changes the result".to_owned();
        }
        if labels.is_none() {
            return "none: any sample may change all of the result".to_owned();
        }
        format!(
            "by {labels}: a sample changes only elements that have these labels of its series, \
             and between ticks only they are evaluated"
        )
    }

    fn write_warming(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let held = self
            .rule
            .as_ref()
            .is_some_and(|rule| rule.held_while_warming);
        if self.exposures.is_empty() && !held {
            return Ok(());
        }
        writeln!(f, "\nWarming")?;
        let history = self.plan.history();
        let text = match &self.rule {
            Some(rule) if rule.hold.is_none() => {
                "an alert that reads this waits for its history: missing series could make it true"
                    .to_owned()
            }
            Some(rule) if !rule.held_while_warming => {
                "does not wait: the group is evaluated at ticks alone, as Prometheus does"
                    .to_owned()
            }
            _ => format!(
                "an alert may become pending but does not fire before its history is full \
                 ({history} of its own): missing series could make it true"
            ),
        };
        line(f, "waits", text)?;
        for exposure in &self.exposures {
            line(
                f,
                "because of",
                format_args!("{}: {}", exposure.part, exposure.why),
            )?;
        }
        if self.exposures.is_empty() {
            line(f, "because of", "the recorded series that it looks through")?;
        }
        Ok(())
    }

    fn write_live(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some(live) = &self.live else {
            return Ok(());
        };
        match &live.server {
            Some(server) => writeln!(f, "\nAt {server}")?,
            None => writeln!(f, "\nNow")?,
        }
        if live.is_prometheus {
            return line(
                f,
                "server",
                "a Prometheus: it counts series, and has nothing to warm",
            );
        }
        match live.frontier {
            Some(at) => line(f, "evaluated", format_args!("up to {}", time(at)))?,
            None => line(f, "evaluated", "nothing yet: no sample has come")?,
        }
        if live.rules.is_empty() {
            let text = "no loaded rule has this expression; series that no rule reads are not kept";
            return line(f, "rule", text);
        }
        let has_one = self.rule.is_some();
        live.rules
            .iter()
            .try_for_each(|rule| write_warmth(f, live, rule, has_one))
    }
}

fn write_warmth(f: &mut Formatter<'_>, live: &Live, rule: &LiveRule, is_own: bool) -> fmt::Result {
    if !is_own {
        line(f, "rule", place(&rule.rule))?;
    }
    match rule.kept_since {
        Some(since) => line(f, "kept since", time(since))?,
        None => line(f, "kept since", "not yet: no sample has come")?,
    }
    match (rule.warming_until, live.frontier) {
        (None, _) => line(
            f,
            "warm",
            "yes: it has all the history that it looks back on",
        )?,
        (Some(until), Some(frontier)) => {
            let left = DurationMs((until - frontier).0.max(0));
            line(
                f,
                "warm",
                format_args!("not before {}, in {left}", time(until)),
            )?;
        }
        (Some(_), None) => line(f, "warm", "no")?,
    }
    if let Some(since) = rule.learns_since {
        line(
            f,
            "detectors",
            format_args!("learn anew since {}", time(since)),
        )?;
    }
    match &rule.last_error {
        Some(error) => line(f, "failing", error),
        None => Ok(()),
    }
}

fn place(rule: &RuleName) -> String {
    format!("{} ({}, {})", rule.name, rule.group, rule.file)
}

fn read_text(read: &ReadRule, reader: &RulePart) -> String {
    let how = if read.is_alert {
        "the alert's state at its last tick"
    } else if read.looked_through {
        "at ticks what it recorded, between ticks its expression as it stands now"
    } else if reader.on_arrival {
        "what it recorded"
    } else {
        "what it recorded at its last tick"
    };
    format!("{}: {how}", place(&read.rule))
}

/// Says what is known of a result's labels.
fn labels_text(known: &OutputLabels) -> String {
    let mut parts = vec![known.among.to_string()];
    let fixed = known.fixed.iter().filter(|(name, _)| *name != METRIC_NAME);
    let fixed: Vec<String> = fixed
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    if !fixed.is_empty() {
        parts.push(format!("always {}", fixed.join(", ")));
    }
    if !known.present.is_empty() {
        let present: Vec<&str> = known.present.iter().map(String::as_str).collect();
        parts.push(format!("never without {}", present.join(", ")));
    }
    parts.join("; ")
}

fn write_functions(f: &mut Formatter<'_>, functions: &[&'static dyn Function]) -> fmt::Result {
    if functions.is_empty() {
        return Ok(());
    }
    writeln!(f, "\nFunctions")?;
    for function in functions {
        let signature = function.signature();
        writeln!(
            f,
            "  {} → {}",
            call_text(&signature),
            signature.returns.documented()
        )?;
        writeln!(f, "      {}", function.about())?;
        writeln!(f, "      {}", function.example())?;
    }
    Ok(())
}

/// Returns a function's call with the types of its arguments: `round(instant vector, [scalar])`.
pub fn call_text(signature: &Signature) -> String {
    let n_args = signature.args.len();
    let n_optional = match signature.variadic {
        0 => 0,
        _ => 1,
    };
    let args = signature.args.iter().enumerate().map(|(at, arg)| {
        let dots = if at + 1 == n_args && !(0..=1).contains(&signature.variadic) {
            " …"
        } else {
            ""
        };
        if at + n_optional >= n_args {
            format!("[{}{dots}]", arg.documented())
        } else {
            arg.documented().to_owned()
        }
    });
    format!(
        "{}({})",
        signature.name,
        args.collect::<Vec<_>>().join(", ")
    )
}
