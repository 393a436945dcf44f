//! The arithmetic of a specification in words: what the budget is, what each alert means.

use std::fmt::Write as _;

use crate::slo::Spec;
use crate::slo::burn_rate::{Tier, decimal, percent, spoken};
use crate::slo::compile::{Compiled, CompiledSlo};
use crate::slo::objective::Slo;
use crate::slo::standard::detail;

/// The error ratios at which it is told when an alert is raised: everything fails, half, a tenth.
const RATIOS: [f64; 3] = [1.0, 0.5, 0.1];

/// Writes what the objectives of a file mean.
pub fn explain(spec: &Spec, compiled: &Compiled) -> String {
    let slos = spec.slos.iter().zip(&compiled.slos);
    let parts: Vec<String> = slos.map(|(slo, compiled)| one(slo, compiled)).collect();
    parts.join("\n")
}

fn one(slo: &Slo, compiled: &CompiledSlo) -> String {
    let mut out = String::new();
    let period = compiled.period;
    let budget = slo.budget();
    let _ = writeln!(out, "{}/{} ({})", slo.service, slo.name, slo.format);
    if !slo.description.is_empty() {
        let _ = writeln!(out, "  {}", slo.description.trim().replace('\n', "\n  "));
    }
    let seconds = budget * period.seconds();
    let _ = writeln!(
        out,
        "\n  objective   {} % over {period}\n  budget      {} of all that happens; as a total outage {} min ({}) \
         in {period}, {} a day",
        slo.percent,
        percent(budget),
        decimal((seconds / 60.0 * 100.0).round() / 100.0),
        spoken(seconds),
        spoken(budget * 86_400.0),
    );
    if let Some(selector) = &slo.maintenance {
        let _ = writeln!(out, "  maintenance time with {selector} > 0 does not count");
    }
    let _ = writeln!(out);
    let header = [
        "severity",
        "windows",
        "burn",
        "fires above",
        "budget gone",
        "found at 100 %",
        "at 50 %",
        "at 10 %",
        "over again",
        "budget lasts",
    ];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(compiled.tiers.iter().map(|tier| row(slo, compiled, tier)));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..header.len()).filter_map(width).collect();
    for row in &rows {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        let _ = writeln!(out, "  {}", line.trim_end());
    }
    if compiled.tiers.is_empty() {
        let _ = writeln!(out, "  (no alert can fire)");
    }
    let found = compiled.tiers.iter();
    let soonest = found.filter_map(|tier| tier.detection_seconds(budget, 1.0));
    if let Some(soonest) = soonest.reduce(f64::min) {
        let thresholds = compiled.tiers.iter().map(|tier| tier.threshold(budget));
        let lowest = thresholds.fold(1.0, f64::min);
        let _ = write!(
            out,
            "\n  A total outage is found {} after it begins (add the interval of scrapes and of the \
             rules).\n  No alert is raised below {} of errors: ",
            spoken(soonest),
            percent(lowest),
        );
        let _ = match decimal(lowest) <= budget {
            true => writeln!(out, "the budget suffices for that."),
            false => writeln!(
                out,
                "what is above {} spends the budget all the same.",
                percent(budget)
            ),
        };
    }
    out
}

fn row(slo: &Slo, compiled: &CompiledSlo, tier: &Tier) -> Vec<String> {
    let budget = slo.budget();
    let windows = match tier.short {
        Some(short) => format!("{} and {short}", tier.long),
        None => tier.long.to_string(),
    };
    let windows = match tier.hold.0 {
        0 => windows,
        _ => format!("{windows}, for {}", tier.hold),
    };
    let severity = match detail(slo, tier.urgency).is_disabled {
        true => format!("{} {} (off)", tier.urgency.name(), tier.severity),
        false => format!("{} {}", tier.urgency.name(), tier.severity),
    };
    let never = |seconds: Option<f64>| seconds.map_or("never".to_owned(), spoken);
    let mut cells = vec![
        severity,
        windows,
        decimal((tier.burn * 1000.0).round() / 1000.0).to_string(),
        percent(tier.threshold(budget)),
        percent(tier.budget_gone(compiled.period)),
    ];
    cells.extend(RATIOS.map(|ratio| never(tier.detection_seconds(budget, ratio))));
    cells.push(never(tier.reset_seconds(budget, 1.0)));
    cells.push(spoken(tier.exhaustion_seconds(compiled.period)));
    cells
}
