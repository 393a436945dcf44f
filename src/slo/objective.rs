//! An objective as every format becomes one: what is good, how much of it, over what time.

use std::collections::BTreeMap;
use std::fmt;

use crate::model::DurationMs;
use crate::slo::SpecNote;
use crate::slo::burn_rate::{Tier, decimal};
use crate::slo::rule_text::RuleGroupText;
use crate::slo::windows::AlertWindows;
use crate::yaml::Place;

/// The period of an objective that says none: 30 days.
pub const PERIOD: DurationMs = DurationMs::from_seconds(30 * 86_400);

/// Stands for the window in the templates of an indicator.
pub const WINDOW: &str = "{{.window}}";

/// A service level objective.
#[derive(Debug)]
pub struct Slo {
    /// The format it was written in, as a person says it.
    pub format: &'static str,
    /// The service it is about.
    pub service: String,
    /// Its name, unique in its service.
    pub name: String,
    /// What it is for, in words.
    pub description: String,
    /// The share of events that has to be good, in %.
    pub percent: f64,
    /// Over what time; `None` leaves it to the one who compiles.
    pub period: Option<DurationMs>,
    /// What is good and what is bad.
    pub sli: Sli,
    /// Labels of all that is recorded.
    pub labels: BTreeMap<String, String>,
    /// Who is told, and how.
    pub alerting: Alerting,
    /// A selector of series that are above 0 while maintenance is planned; its time does not count.
    pub maintenance: Option<String>,
    /// How often its rules are evaluated; `None` leaves it to the server.
    pub interval: Option<DurationMs>,
    /// The tiers that the specification itself lists; empty where its tool's hold.
    pub tiers: Vec<Tier>,
    /// Whether its own tool is asked for no other tiers than the workbook's.
    pub is_workbook: bool,
    /// Where it begins in its file.
    pub place: Place,
    /// What its rules are called, and which tiers its tool has.
    pub conventions: Box<dyn Conventions>,
}

impl Slo {
    /// Returns the share of events that may be bad, as a decimal number.
    pub fn budget(&self) -> f64 {
        decimal((100.0 - self.percent) / 100.0)
    }
}

/// What is good and what is bad.
#[derive(Clone, Debug, PartialEq)]
pub enum Sli {
    /// Bad events over all events: two expressions with [`WINDOW`] in them.
    Events {
        /// The bad ones.
        errors: String,
        /// All of them.
        total: String,
    },
    /// The share of bad events: an expression with [`WINDOW`] in it.
    Ratio(String),
    /// How bad each evaluation is, from 0 to 1: an expression without a window. Every evaluation
    /// counts the same, so the share over a window is the mean of what was recorded.
    Slices(String),
}

/// Who is told, and how.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Alerting {
    /// The name of the alerts; empty takes the tool's.
    pub name: String,
    /// Labels of all alerts.
    pub labels: BTreeMap<String, String>,
    /// Annotations of all alerts.
    pub annotations: BTreeMap<String, String>,
    /// What holds for pages.
    pub page: AlertDetail,
    /// What holds for tickets.
    pub ticket: AlertDetail,
}

/// What holds for the alerts of one urgency.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlertDetail {
    /// Whether there are none.
    pub is_disabled: bool,
    /// Labels beyond those of all alerts.
    pub labels: BTreeMap<String, String>,
    /// Annotations beyond those of all alerts.
    pub annotations: BTreeMap<String, String>,
}

/// What a tool makes of its specifications: which tiers, and what everything is called, so that
/// ours can take the place of its rules.
pub trait Conventions: fmt::Debug {
    /// Returns the tool's tiers for a period.
    fn tiers(
        &self,
        slo: &Slo,
        period: DurationMs,
        catalog: &[AlertWindows],
        notes: &mut Vec<SpecNote>,
    ) -> Vec<Tier>;

    /// Returns the rules.
    fn groups(&self, slo: &Slo, period: DurationMs, tiers: &[Tier]) -> Vec<RuleGroupText>;
}

/// Returns labels with others added; the later ones win.
pub(crate) fn merged<'a>(
    parts: impl IntoIterator<Item = &'a BTreeMap<String, String>>,
) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for part in parts {
        all.extend(part.iter().map(|(k, v)| (k.clone(), v.clone())));
    }
    all
}

/// Returns labels written as pairs.
pub(crate) fn pairs<const N: usize>(list: [(&str, &str); N]) -> BTreeMap<String, String> {
    list.into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
