//! The arithmetic of error budgets, after chapter 5 of the SRE workbook.
//!
//! An objective of s leaves a budget B = 1 − s of bad events over a period P. The burn rate is
//! the error ratio over B: at 1 the budget lasts exactly P, at b it lasts P / b. An alert compares
//! the error ratio over a long window w with b · B, so it fires when b · w / P of the budget is
//! gone, and over a short window v too, so that it ends soon after the trouble does.

use crate::model::DurationMs;

/// How much somebody has to hurry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Now, whatever the hour.
    Page,
    /// In the next days.
    Ticket,
}

impl Urgency {
    /// Returns the word for it in labels.
    pub fn name(self) -> &'static str {
        match self {
            Urgency::Page => "page",
            Urgency::Ticket => "ticket",
        }
    }
}

/// A pair of windows and how fast the budget burns when both say so.
#[derive(Clone, Debug, PartialEq)]
pub struct Tier {
    /// The burn rate above which it fires.
    pub burn: f64,
    /// The window that says that it matters.
    pub long: DurationMs,
    /// The window that ends the alert soon after the trouble ends.
    pub short: Option<DurationMs>,
    /// How long both must say so (`for`); the workbook has none, for the windows are the patience.
    pub hold: DurationMs,
    /// How much to hurry.
    pub urgency: Urgency,
    /// The value of the label `severity`, P1 to P4, where the specification says none.
    pub severity: String,
}

/// The severities, most urgent first.
pub const SEVERITIES: [&str; 4] = ["P1", "P2", "P3", "P4"];

/// The workbook's tiers: share of the budget in %, long and short window, urgency (table 5-8).
const WORKBOOK: [(f64, DurationMs, DurationMs, Urgency); 4] = [
    (2.0, minutes(60), minutes(5), Urgency::Page),
    (5.0, minutes(6 * 60), minutes(30), Urgency::Page),
    (10.0, minutes(24 * 60), minutes(2 * 60), Urgency::Ticket),
    (10.0, minutes(72 * 60), minutes(6 * 60), Urgency::Ticket),
];

const fn minutes(n: i64) -> DurationMs {
    DurationMs::from_seconds(n * 60)
}

/// Returns the workbook's tiers for a period: 14.4, 6, 3 and 1 for 30 days.
pub fn workbook(period: DurationMs) -> Vec<Tier> {
    let tiers = WORKBOOK.iter().zip(SEVERITIES);
    tiers
        .map(|((percent, long, short, urgency), severity)| Tier {
            burn: burn_of_share(*percent, period, *long),
            long: *long,
            short: Some(*short),
            hold: DurationMs::ZERO,
            urgency: *urgency,
            severity: severity.to_owned(),
        })
        .collect()
}

/// Returns the burn rate at which `percent` of the budget of a period goes in a window:
/// share · period / window.
pub fn burn_of_share(percent: f64, period: DurationMs, window: DurationMs) -> f64 {
    const HOUR: f64 = 3600.0;
    percent * (period.seconds() / HOUR) / 100.0 / (window.seconds() / HOUR)
}

impl Tier {
    /// Returns the error ratio above which it fires.
    pub fn threshold(&self, budget: f64) -> f64 {
        self.burn * budget
    }

    /// Tells whether any error ratio is above the threshold: a ratio is at most 1.
    pub fn can_fire(&self, budget: f64) -> bool {
        self.threshold(budget) < 1.0
    }

    /// Returns the share of the period's budget that is gone when it fires: b · (w + for) / P.
    pub fn budget_gone(&self, period: DurationMs) -> f64 {
        self.burn * (self.long.seconds() + self.hold.seconds()) / period.seconds()
    }

    /// Returns the seconds from the start of errors at a ratio to the alert, b · B / e · w + for;
    /// `None` where it never fires at that ratio.
    pub fn detection_seconds(&self, budget: f64, error_ratio: f64) -> Option<f64> {
        let share = self.threshold(budget) / error_ratio;
        (share < 1.0).then(|| share * self.long.seconds() + self.hold.seconds())
    }

    /// Returns the seconds from the end of errors at a ratio to the end of the alert:
    /// v · (1 − b · B / e), v being the shortest window.
    pub fn reset_seconds(&self, budget: f64, error_ratio: f64) -> Option<f64> {
        let share = self.threshold(budget) / error_ratio;
        let window = self.short.unwrap_or(self.long);
        (share < 1.0).then(|| window.seconds() * (1.0 - share))
    }

    /// Returns how long a whole budget lasts at its burn rate, in seconds: P / b.
    pub fn exhaustion_seconds(&self, period: DurationMs) -> f64 {
        period.seconds() / self.burn
    }
}

/// Prints a number of seconds as a person says it: `51.8 s`, `4 m 19 s`, `2 d 2 h`.
pub fn spoken(seconds: f64) -> String {
    const UNITS: [(&str, f64); 3] = [("d", 86_400.0), ("h", 3600.0), ("m", 60.0)];
    if !seconds.is_finite() {
        return "for ever".to_owned();
    }
    if seconds < 99.95 {
        let tenths = (seconds * 10.0).round() / 10.0;
        return format!("{tenths} s");
    }
    let mut rest = seconds.round();
    let mut said = Vec::new();
    for (unit, size) in UNITS {
        let n = (rest / size).floor();
        rest -= n * size;
        if n > 0.0 {
            said.push(format!("{n} {unit}"));
        }
    }
    if rest > 0.0 {
        said.push(format!("{rest} s"));
    }
    // The third part is no news: 50 h and some seconds are 2 d 2 h.
    said.truncate(2);
    said.join(" ")
}

/// Rounds away what binary fractions leave of a decimal number: 1 − 0.999 is 0.001.
pub fn decimal(value: f64) -> f64 {
    format!("{value:.11e}").parse().unwrap_or(value)
}

/// Prints a share as a percentage, without what rounding leaves: `0.1 %`, `14.4 %`.
pub fn percent(share: f64) -> String {
    let shown = format!("{:.3e}", share * 100.0);
    let value: f64 = shown.parse().unwrap_or(share * 100.0);
    format!("{value} %")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    fn days(n: i64) -> DurationMs {
        DurationMs::from_seconds(n * DAY)
    }

    /// The table of the workbook for 99.9 % over 30 days, with the simulated times beside it.
    #[test]
    fn the_workbooks_table() {
        let tiers = workbook(days(30));
        let budget = 0.001;
        let expected = [
            (14.4, 0.0144, 0.02, "51.8 s", "4 m 56 s"),
            (6.0, 0.006, 0.05, "2 m 10 s", "29 m 49 s"),
            (3.0, 0.003, 0.10, "4 m 19 s", "1 h 59 m"),
            (1.0, 0.001, 0.10, "4 m 19 s", "5 h 59 m"),
        ];
        for (tier, (burn, threshold, gone, found, reset)) in tiers.iter().zip(expected) {
            assert_eq!(decimal(tier.burn), burn);
            assert_eq!(decimal(tier.threshold(budget)), threshold);
            assert_eq!(decimal(tier.budget_gone(days(30))), gone);
            let at_full = |seconds: Option<f64>| seconds.map(spoken).unwrap_or_default();
            assert_eq!(at_full(tier.detection_seconds(budget, 1.0)), found);
            assert_eq!(at_full(tier.reset_seconds(budget, 1.0)), reset);
        }
    }

    #[test]
    fn other_periods_are_recomputed() {
        let burns = |period| {
            workbook(period)
                .iter()
                .map(|t| decimal(t.burn))
                .collect::<Vec<_>>()
        };
        assert_eq!(burns(days(28))[..3], [13.44, 5.6, 2.8]);
        assert!((burns(days(28))[3] - 0.9333).abs() < 1e-4);
        assert_eq!(burns(days(90)), [43.2, 18.0, 9.0, 3.0]);
    }

    #[test]
    fn detection_at_other_burn_rates() {
        let tiers = workbook(days(30));
        // Burn 20, 10, 5 and 2, as simulated at 15 s.
        for (burn, tier, seconds) in [
            (20.0, 0, 2592.0),
            (10.0, 1, 12_960.0),
            (5.0, 2, 51_840.0),
            (2.0, 3, 129_600.0),
        ] {
            let found = tiers[tier].detection_seconds(0.001, burn * 0.001).unwrap();
            assert!((found - seconds).abs() < 1e-6, "{found}");
        }
        assert_eq!(tiers[0].detection_seconds(0.001, 0.0144), None);
    }

    #[test]
    fn what_can_never_fire() {
        let tiers = workbook(days(30));
        let fireable = |percent: f64| {
            let budget = 1.0 - percent / 100.0;
            tiers
                .iter()
                .map(|tier| tier.can_fire(budget))
                .collect::<Vec<_>>()
        };
        assert_eq!(fireable(93.05), [false, true, true, true]);
        assert_eq!(fireable(93.06), [true, true, true, true]);
        assert_eq!(fireable(83.3), [false, false, true, true]);
        assert_eq!(fireable(66.6), [false, false, false, true]);
    }
}
