//! What there must be of everything: files that are reached and of a size, members of families
//! that are registered, alerts with a runbook and a test.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use burnwatch::functions::Functions;
use burnwatch::promql::Features;
use burnwatch::rule::{RuleGroup, RuleKind, parse_file};

use crate::nothing;
use crate::source::{Source, below, blank, files, read, root, sources, tree, words};

/// Files over [`LINES_MAX`] lines, each with the reason.
const LONG_FILES: &[(&str, &str)] = &[];
/// Where a file usually holds two ideas.
const LINES_MAX: usize = 600;

#[test]
fn every_file_is_reached_by_a_mod() {
    let tree = tree();
    let all = files(&root().join("src"), ".rs");
    let lost = all
        .iter()
        .map(|path| below("src", path))
        .filter(|path| !tree.contains_key(path));
    nothing(
        lost.map(|path| format!("no mod names src/{path}"))
            .collect(),
    );
}

#[test]
fn files_are_of_a_size_and_say_what_they_are() {
    let mut wrong = Vec::new();
    for folder in ["src", "tests", "benches"] {
        for path in files(&root().join(folder), ".rs") {
            let (text, name) = (read(&path), below("", &path));
            let excused = LONG_FILES.iter().any(|(long, _)| *long == name);
            let n_lines = text.lines().count();
            if (n_lines > LINES_MAX) != excused {
                wrong.push(format!("{name}: {n_lines} lines, excused: {excused}"));
            }
            let says_what = text.starts_with("//! ") || text.starts_with("#![doc = ");
            if !says_what {
                wrong.push(format!("{name}: does not begin with //!"));
            }
        }
    }
    nothing(wrong);
}

#[test]
fn nothing_is_unwrapped_left_out_or_put_off() {
    let mut wrong = Vec::new();
    for source in sources() {
        if source.code.contains(".unwrap()") {
            wrong.push(format!(
                "src/{}: unwrap; say why it holds: expect(…)",
                source.path
            ));
        }
    }
    for folder in ["src", "tests", "benches"] {
        for path in files(&root().join(folder), ".rs") {
            let code = blank(&read(&path));
            let words = [
                "#[ignore",
                "#[should_panic",
                "todo!(",
                "unimplemented!(",
                "dbg!(",
            ];
            for word in words.iter().filter(|word| code.contains(**word)) {
                wrong.push(format!("{}: {word}", below("", &path)));
            }
        }
    }
    nothing(wrong);
}

/// The list of a family, and the shape that several members have.
const NO_MEMBERS: [&str; 2] = ["mod", "formula"];

/// The files below a folder whose code has `member`.
fn members(folder: &str, member: &str) -> Vec<String> {
    let inside = |source: &Source| source.path.starts_with(folder) && source.code.contains(member);
    let stem = |path: &str| path[folder.len()..].trim_end_matches(".rs").to_owned();
    let sources = sources();
    sources
        .iter()
        .filter(|source| inside(source))
        .map(|source| stem(&source.path))
        .collect()
}

#[test]
fn members_of_families_are_registered() {
    let families = [
        ("functions/", "impl Function for", "&{}::"),
        ("notify/notifier/", "impl Notifier for", "{}::new"),
        ("cli/", "pub fn run(", "{}::run("),
        ("log/backend/", "impl Log for", "pub mod {};"),
        ("slo/format/", "impl Format for", "&{}::"),
    ];
    let mut wrong = Vec::new();
    for (folder, member, registered) in families {
        let list = read(&root().join("src").join(folder).join("mod.rs"));
        let found = members(folder, member);
        assert!(found.len() > 1, "{folder} has members");
        for name in found
            .iter()
            .filter(|name| !NO_MEMBERS.contains(&name.as_str()))
        {
            let line = registered.replace("{}", name.trim_end_matches("/mod"));
            if !list.contains(&line) {
                wrong.push(format!("src/{folder}mod.rs: {line} is missing for {name}"));
            }
        }
    }
    nothing(wrong);
}

/// Returns the groups of every rule file of a folder, by file name.
fn groups_in(folder: &str) -> BTreeMap<String, Vec<RuleGroup>> {
    let of_file = |path: &PathBuf| {
        let name = below(folder, path);
        let parsed = parse_file(&name, &read(path), &Functions, Features::default());
        (
            name.clone(),
            parsed.unwrap_or_else(|e| panic!("{name}: {e:?}")).groups,
        )
    };
    let all = files(&root().join(folder), ".yml");
    all.iter()
        .filter(|path| !path.to_string_lossy().ends_with(".test.yml"))
        .map(of_file)
        .collect()
}

#[test]
fn every_alert_has_a_runbook_and_a_unit_test() {
    let tests = ["rules/tests", "deploy/mixin/tests"].map(|folder| {
        let all = files(&root().join(folder), ".test.yml");
        all.iter().map(|path| read(path)).collect::<String>()
    });
    let tests = tests.concat();
    let runbooks = root().join("docs/runbooks");
    let mut unclaimed: BTreeSet<String> = files(&runbooks, ".md")
        .iter()
        .map(|path| below("docs/runbooks", path))
        .filter(|name| name != "README.md")
        .collect();
    let mut wrong = Vec::new();
    let bundled = groups_in("rules");
    for file in bundled.keys() {
        let is_bundled = |(name, _): &(&str, &str)| name == file;
        if !burnwatch::bundled::RULES.iter().any(is_bundled) {
            wrong.push(format!("src/bundled.rs does not name rules/{file}"));
        }
    }
    for (file, groups) in bundled.into_iter().chain(groups_in("deploy/mixin")) {
        let rules = groups.iter().flat_map(|group| &group.rules);
        for rule in rules.filter(|rule| matches!(rule.kind, RuleKind::Alerting { .. })) {
            let alert = &rule.name;
            let runbook = format!("{alert}.md");
            if !runbooks.join(&runbook).is_file() {
                wrong.push(format!("{file}: {alert} has no docs/runbooks/{runbook}"));
            }
            unclaimed.remove(&runbook);
            if words(&tests, &format!("alertname: {alert}"))
                .next()
                .is_none()
            {
                wrong.push(format!("{file}: {alert} has no unit test"));
            }
        }
    }
    wrong.extend(
        unclaimed
            .iter()
            .map(|name| format!("docs/runbooks/{name} is of no alert")),
    );
    nothing(wrong);
}
