//! An objective to rules: which tiers it has, which of them can fire, what they are called.

use crate::model::DurationMs;
use crate::slo::burn_rate::{Tier, decimal, percent, spoken, workbook};
use crate::slo::objective::{PERIOD, Slo};
use crate::slo::rule_text::RuleGroupText;
use crate::slo::windows::AlertWindows;
use crate::slo::{Spec, SpecNote};

/// Whose windows and burn rates the alerts have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Windows {
    /// Those of the tool that a specification was written for.
    #[default]
    Own,
    /// The SRE workbook's, recomputed for the period.
    Workbook,
}

/// How to compile.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whose windows.
    pub windows: Windows,
    /// More alert windows of Sloth, beside those in the file.
    pub catalog: Vec<AlertWindows>,
    /// The period of objectives that say none.
    pub period: Option<DurationMs>,
}

/// What came of a file.
#[derive(Debug, Default)]
pub struct Compiled {
    /// Each objective's part, in order.
    pub slos: Vec<CompiledSlo>,
    /// What is worth saying.
    pub notes: Vec<SpecNote>,
}

/// What came of an objective.
#[derive(Debug)]
pub struct CompiledSlo {
    /// Its period.
    pub period: DurationMs,
    /// The tiers of its alerts.
    pub tiers: Vec<Tier>,
    /// Its rules.
    pub groups: Vec<RuleGroupText>,
}

/// Below this burn rate a budget lasts so much longer than its period that an alert is no news.
/// The workbook's slowest tier has 0.93 for 28 days, which is meant.
const BURN_MIN: f64 = 0.9;

/// Compiles the objectives of a file.
pub fn compile(spec: &Spec, options: &Options) -> Compiled {
    let mut notes = spec.notes.clone();
    let mut catalog = spec.windows.clone();
    catalog.extend(options.catalog.iter().cloned());
    let periods: Vec<DurationMs> = spec.slos.iter().map(|slo| period(slo, options)).collect();
    for unused in spec
        .windows
        .iter()
        .filter(|windows| !periods.contains(&windows.period))
    {
        notes.push(SpecNote {
            place: unused.place,
            message: format!(
                "these AlertWindows are for objectives over {}, and none in this file is: say \
                 `period: {}` in one, or hand them to `burnwatch slo compile --windows`",
                unused.period, unused.period
            ),
        });
    }
    let slos = spec.slos.iter().zip(&periods).map(|(slo, period)| {
        let tiers = tiers(slo, *period, options, &catalog, &mut notes);
        let groups = slo.conventions.groups(slo, *period, &tiers);
        CompiledSlo {
            period: *period,
            tiers,
            groups,
        }
    });
    Compiled {
        slos: slos.collect(),
        notes,
    }
}

fn period(slo: &Slo, options: &Options) -> DurationMs {
    slo.period.or(options.period).unwrap_or(PERIOD)
}

/// Returns the tiers that can fire, and says which cannot.
fn tiers(
    slo: &Slo,
    period: DurationMs,
    options: &Options,
    catalog: &[AlertWindows],
    notes: &mut Vec<SpecNote>,
) -> Vec<Tier> {
    let is_workbook = options.windows == Windows::Workbook || slo.is_workbook;
    let mut tiers = match (is_workbook, slo.tiers.is_empty()) {
        (true, _) => workbook(period),
        (false, false) => slo.tiers.clone(),
        (false, true) => slo.conventions.tiers(slo, period, catalog, notes),
    };
    let budget = slo.budget();
    let mut note = |message: String| {
        let message = format!("{}/{}: {message}", slo.service, slo.name);
        notes.push(SpecNote {
            place: slo.place,
            message,
        });
    };
    tiers.retain(|tier| {
        let name = format!("the {} tier of burn {} over {}", tier.severity, decimal(tier.burn), tier.long);
        if !tier.can_fire(budget) {
            note(format!(
                "{name} is left out: it can never fire, for its threshold, {} times a budget of {}, is {}, \
                 and no error ratio is above 100 %",
                decimal(tier.burn),
                percent(budget),
                percent(tier.threshold(budget))
            ));
            return false;
        }
        if tier.long >= period {
            note(format!("{name} is left out: the window is as long as the period of {period}"));
            return false;
        }
        let gone = tier.budget_gone(period);
        if gone >= 0.995 {
            note(format!(
                "{name} fires when {} of the budget is spent: too late to save any of it",
                percent(gone)
            ));
        }
        if tier.short.is_none() {
            note(format!(
                "{name} has one window: it goes on for up to {} after the trouble ends; a `short` \
                 window of {} ends it sooner",
                spoken(tier.long.seconds()),
                DurationMs(tier.long.0 / 12)
            ));
        }
        if tier.burn < BURN_MIN {
            note(format!(
                "{name} fires though at that rate the budget lasts longer than {period}; a longer \
                 period or a shorter window has a burn rate above 1"
            ));
        }
        true
    });
    if tiers.is_empty() {
        note("there is no tier left, so there are no alerts on its budget".to_owned());
    }
    tiers
}
