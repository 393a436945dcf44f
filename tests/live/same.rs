//! What two sources made of a rule, compared.

use burnwatch::engine::{Effect, RuleValue};
use burnwatch::model::{SampleValue, VectorElement};

/// How much rounding is allowed: none, or relatively so much, or so much of what was added up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Allowed {
    /// The same bits.
    Nothing,
    /// 1e-9 of the value, or so much absolutely.
    Rounding(f64),
}

impl Allowed {
    /// Returns what is allowed a formula of values of a magnitude, to a power.
    pub fn of(magnitude: f64, power: i32) -> Self {
        Allowed::Rounding(1e-12 * magnitude.powi(power))
    }
}

fn same_float(ours: f64, theirs: f64, allowed: Allowed) -> bool {
    if ours.to_bits() == theirs.to_bits() || (ours.is_nan() && theirs.is_nan()) {
        return true;
    }
    match allowed {
        Allowed::Nothing => false,
        Allowed::Rounding(absolute) => {
            let distance = (ours - theirs).abs();
            distance <= absolute.max(1e-9 * ours.abs().max(theirs.abs()))
        }
    }
}

fn same_value(ours: &SampleValue, theirs: &SampleValue, allowed: Allowed) -> bool {
    match (ours, theirs) {
        (SampleValue::Float(ours), SampleValue::Float(theirs)) => {
            same_float(*ours, *theirs, allowed)
        }
        // NaN differs from itself, its text does not.
        (ours, theirs) => ours == theirs || format!("{ours:?}") == format!("{theirs:?}"),
    }
}

fn shown(elements: &[VectorElement]) -> String {
    let line = |e: &VectorElement| format!("      {} {:?}\n", e.labels, e.value);
    elements.iter().map(line).collect()
}

/// Compares what a rule is worth: labels, order and errors exactly.
pub fn same(live: &RuleValue, scan: &RuleValue, allowed: Allowed) -> Result<(), String> {
    match (&live.elements, &scan.elements) {
        (Ok(ours), Ok(theirs)) => {
            let same_element = |(ours, theirs): (&VectorElement, &VectorElement)| {
                ours.labels == theirs.labels && same_value(&ours.value, &theirs.value, allowed)
            };
            if ours.len() == theirs.len() && ours.iter().zip(theirs).all(same_element) {
                return Ok(());
            }
            let (ours, theirs) = (shown(ours), shown(theirs));
            Err(format!("    by windows:\n{ours}    by history:\n{theirs}"))
        }
        (Err(ours), Err(theirs)) if ours == theirs => Ok(()),
        (ours, theirs) => Err(format!(
            "    by windows: {ours:?}\n    by history: {theirs:?}"
        )),
    }
}

/// Compares effects; what is recorded under a name that begins with `n` may be off by rounding.
pub fn same_effects(ours: &[Effect], theirs: &[Effect], allowed: Allowed) -> Result<(), String> {
    let same = |(ours, theirs): (&Effect, &Effect)| match (ours, theirs) {
        (
            Effect::Recorded { labels, at, value },
            Effect::Recorded {
                labels: their_labels,
                at: their_at,
                value: their_value,
            },
        ) => {
            let allowed = match labels.metric_name().starts_with('n') {
                true => allowed,
                false => Allowed::Nothing,
            };
            labels == their_labels && at == their_at && same_value(value, their_value, allowed)
        }
        (ours, theirs) => ours == theirs || format!("{ours:?}") == format!("{theirs:?}"),
    };
    let differing = ours.iter().zip(theirs).find(|pair| !same(*pair));
    match differing {
        Some((ours, theirs)) => Err(format!("    effect {ours:?}\n    wanted {theirs:?}")),
        None if ours.len() == theirs.len() => Ok(()),
        None => {
            let n = ours.len().min(theirs.len());
            Err(format!(
                "    effects {:?}\n    wanted {:?}",
                &ours[n..],
                &theirs[n..]
            ))
        }
    }
}
