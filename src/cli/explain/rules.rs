//! Rules to explain: files are loaded into an engine as when serving, and it is asked.

use std::path::Path;

use anyhow::{Context as _, bail};

use crate::bundled;
use crate::engine::explain::{Assumptions, Explanation, explain_rules};
use crate::engine::{Engine, GroupStatus, compile};
use crate::model::spelling::nearest;
use crate::model::{EngineSettings, Entry, Generation, RuleSource, Stamp, TimestampMs};

/// Tells the files from the name that may stand behind them.
pub fn files_and_name(rules: &[String], what: Option<&str>) -> (Vec<String>, Option<String>) {
    let (mut files, mut name) = (rules.to_vec(), what.map(str::to_owned));
    let is_file = |text: &str| {
        let ending = Path::new(text)
            .extension()
            .and_then(|ending| ending.to_str());
        Path::new(text).is_file() || matches!(ending, Some("yml" | "yaml" | "rules" | "json"))
    };
    if name.is_none() && files.len() > 1 && files.last().is_some_and(|last| !is_file(last)) {
        name = files.pop();
    }
    (files, name)
}

/// Loads rule files, and those of the bundled ones that are named and not there as files.
pub fn load(paths: &[String], settings: EngineSettings) -> anyhow::Result<Vec<GroupStatus>> {
    let read = |path: &String| {
        let bundled = bundled::RULES.iter().find(|(name, _)| name == path);
        match (std::fs::read_to_string(path), bundled) {
            (Ok(text), _) => Ok((path.clone(), text)),
            (Err(_), Some((_, text))) => Ok((path.clone(), (*text).to_owned())),
            (Err(error), None) => Err(error).with_context(|| {
                let names: Vec<&str> = bundled::RULES.iter().map(|(name, _)| *name).collect();
                format!("cannot read {path}; bundled files are {}", names.join(", "))
            }),
        }
    };
    let files: anyhow::Result<Vec<_>> = paths.iter().map(read).collect();
    groups_of(files?, settings)
}

/// Loads the bundled rules.
pub fn load_bundled(settings: EngineSettings) -> anyhow::Result<Vec<GroupStatus>> {
    let files = bundled::RULES.iter();
    let owned = files.map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    groups_of(owned.collect(), settings)
}

fn groups_of(
    files: Vec<(String, String)>,
    settings: EngineSettings,
) -> anyhow::Result<Vec<GroupStatus>> {
    let source = RuleSource { files, settings };
    if let Err(errors) = compile(&source) {
        let told = errors.iter().map(|error| match &error.hint {
            Some(hint) => format!("{error}\n  hint: {hint}"),
            None => error.to_string(),
        });
        bail!("{}", told.collect::<Vec<_>>().join("\n"));
    }
    let mut engine = Engine::new();
    let entry = Entry::Rules {
        stamp: Stamp {
            sequence: 1,
            wall: TimestampMs(0),
            clock: None,
        },
        generation: Generation::default(),
        rules: source.into(),
    };
    engine.apply(&entry, &|| 0.0, &mut Vec::new());
    Ok(engine.groups())
}

/// Tells whether a rule has a name.
pub fn has(groups: &[GroupStatus], name: &str) -> bool {
    names(groups).any(|known| known == name)
}

fn names(groups: &[GroupStatus]) -> impl Iterator<Item = &str> {
    let rules = groups.iter().flat_map(|group| &group.rules);
    rules.map(|rule| rule.name.as_str())
}

/// Explains all rules of a name, or all there are.
pub fn explained(
    name: Option<&str>,
    groups: &[GroupStatus],
    assumptions: Assumptions,
) -> anyhow::Result<Vec<Explanation>> {
    let mut wanted: Vec<&str> = match name {
        Some(name) => vec![name],
        None => names(groups).collect(),
    };
    // Rules of one name are explained together, where the first of them stands.
    let mut seen = std::collections::HashSet::new();
    wanted.retain(|name| seen.insert(*name));
    let mut found = Vec::new();
    for name in wanted {
        found.extend(explain_rules(name, groups, assumptions)?);
    }
    match (found.is_empty(), name) {
        (true, Some(name)) => {
            let near = nearest(name, names(groups));
            let hint = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
            let n_rules = names(groups).count();
            bail!("no rule is called {name:?} among the {n_rules} of these files{hint}")
        }
        (true, None) => bail!("there are no rules in these files"),
        _ => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_stand_behind_the_files() {
        let check = |rules: &[&str], what: Option<&str>, files: &[&str], name: Option<&str>| {
            let rules: Vec<String> = rules.iter().map(|text| (*text).to_owned()).collect();
            let found = files_and_name(&rules, what);
            assert_eq!(found.0, files);
            assert_eq!(found.1.as_deref(), name);
        };
        check(&["a.yml"], None, &["a.yml"], None);
        check(&["a.yml", "b.yml"], None, &["a.yml", "b.yml"], None);
        check(&["a.yml", "Down"], None, &["a.yml"], Some("Down"));
        check(
            &["a.yml", "job:up:sum"],
            None,
            &["a.yml"],
            Some("job:up:sum"),
        );
        check(
            &["a.yml", "b.yml"],
            Some("Down"),
            &["a.yml", "b.yml"],
            Some("Down"),
        );
        check(&["Down"], None, &["Down"], None);
    }
}
