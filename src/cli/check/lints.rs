//! `--lint`: which checks are asked for by name.

use crate::model::spelling::nearest;
use crate::rule::lint::{ALL, Severity};

const DUPLICATE_RULES: &str = "duplicate-rules";
const TOO_LONG_SCRAPE_INTERVAL: &str = "too-long-scrape-interval";
const UNSEEN_SELECTOR: &str = "unseen-selector";

/// Which checks to apply.
#[derive(Debug, Default)]
pub(crate) struct Lints {
    /// Promtool's for rules.
    pub duplicate_rules: bool,
    /// Promtool's for configurations.
    pub too_long_scrape_interval: bool,
    /// Our own, by name.
    advice: Vec<&'static str>,
    /// What is wrong with the names, without "WARNING: ".
    pub warnings: Vec<String>,
}

impl Lints {
    /// Reads the names of `check rules`, where `none` adds nothing.
    pub(crate) fn of_rules(text: &str) -> Self {
        let mut lints = Lints::default();
        text.split(',').for_each(|name| lints.add(name, false));
        lints
    }

    /// Reads the names of `check config`, where `none` takes all others back.
    pub(crate) fn of_config(text: &str) -> Self {
        if text.split(',').any(|name| name == "none") {
            return Lints::default();
        }
        let mut lints = Lints::default();
        text.split(',').for_each(|name| lints.add(name, true));
        lints
    }

    /// Tells whether advice of that name is asked for.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.advice.contains(&name)
    }

    fn add(&mut self, name: &str, is_config: bool) {
        match name {
            "" | "none" => {}
            "all" => {
                self.duplicate_rules = true;
                self.too_long_scrape_interval = is_config;
                self.advice = ALL.iter().map(|lint| lint.name).collect();
            }
            DUPLICATE_RULES => self.duplicate_rules = true,
            TOO_LONG_SCRAPE_INTERVAL if is_config => self.too_long_scrape_interval = true,
            // It is what --against is there for, and done whenever that is given.
            UNSEEN_SELECTOR => {}
            _ => match ALL.iter().find(|lint| lint.name == name) {
                Some(lint) => self.advice.push(lint.name),
                None => self.warnings.push(unknown(name, is_config)),
            },
        }
    }
}

fn unknown(name: &str, is_config: bool) -> String {
    let warning = format!("unknown lint option: {name:?}");
    if name == TOO_LONG_SCRAPE_INTERVAL {
        return format!("{warning}\n    hint: it looks at a configuration: burnwatch check config");
    }
    let own = ALL.iter().map(|lint| lint.name);
    let of_promtool = ["all", "none", DUPLICATE_RULES, UNSEEN_SELECTOR];
    let of_config = is_config.then_some(TOO_LONG_SCRAPE_INTERVAL);
    let hint = match nearest(name, own.chain(of_promtool).chain(of_config)) {
        Some(near) => format!("did you mean {near}?"),
        None => "burnwatch check rules --help lists the names".to_owned(),
    };
    format!("{warning}\n    hint: {hint}")
}

/// Returns the list of all checks for `--help`.
pub(crate) fn help() -> String {
    let mut text = String::from(
        "Lint checks, as promtool has them:\n  \
         duplicate-rules           two rules have the same name and labels\n  \
         too-long-scrape-interval  a job is scraped more rarely than a query looks back (check config)\n\
         Our own, never part of the exit status without --lint-fatal; (info) never at all:\n",
    );
    for lint in ALL {
        let info = match lint.severity {
            Severity::Advice => "",
            Severity::Info => " (info)",
        };
        text += &format!("  {:<24}  {}{info}\n", lint.name, lint.about);
    }
    text + "  unseen-selector           with --against: a selector that no series fits\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_promtool_reads_them() {
        let rules = Lints::of_rules("duplicate-rules,none");
        assert!(rules.duplicate_rules, "none adds nothing");
        let config = Lints::of_config("all,none");
        assert!(!config.duplicate_rules && !config.too_long_scrape_interval);
        let all = Lints::of_rules("all");
        assert!(all.duplicate_rules && all.wants("short-window"));
        assert!(Lints::of_config("too-long-scrape-interval").too_long_scrape_interval);
        assert!(!Lints::of_rules("").duplicate_rules);
    }

    #[test]
    fn a_slip_is_put_right() {
        let lints = Lints::of_rules("short-windows,too-long-scrape-interval,x");
        let expected = [
            "unknown lint option: \"short-windows\"\n    hint: did you mean short-window?",
            "unknown lint option: \"too-long-scrape-interval\"\n    hint: it looks at a \
             configuration: burnwatch check config",
            "unknown lint option: \"x\"\n    hint: burnwatch check rules --help lists the names",
        ];
        assert_eq!(lints.warnings, expected);
    }
}
