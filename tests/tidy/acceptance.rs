//! The acceptance list of docs/ML.md: a row for each demand, and nothing named that is not there.

use std::collections::{BTreeMap, BTreeSet};

use burnwatch::cli::Cli;
use burnwatch::functions::Functions;
use burnwatch::promql::Features;
use burnwatch::rule::parse_file;
use clap::CommandFactory;

use crate::nothing;
use crate::source::{read, root};

/// Rows of the first document, and of both.
const FIRST: usize = 175;
const BOTH: usize = 267;

/// A line of the table.
struct Row {
    id: String,
    met_by: String,
    place: String,
}

fn page() -> String {
    read(&root().join("docs/ML.md"))
}

fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for line in page().lines().filter(|line| line.starts_with("| S")) {
        let cells: Vec<&str> = line.split(" | ").collect();
        let [id, met_by, place] = cells.as_slice() else {
            panic!("three columns: {line}");
        };
        rows.push(Row {
            id: id.trim_start_matches("| ").to_owned(),
            met_by: (*met_by).to_owned(),
            place: place.trim_end_matches(" |").to_owned(),
        });
    }
    rows
}

#[test]
fn every_demand_has_a_row_in_order() {
    let expected = (1..=BOTH).map(|n| format!("S{}-{n:03}", usize::from(n > FIRST)));
    let found: Vec<String> = rows().into_iter().map(|row| row.id).collect();
    assert_eq!(found, expected.collect::<Vec<_>>());
}

/// The list itself lies beside the recorded data.
#[test]
fn the_rows_are_those_of_the_list() {
    let Some(shared) = std::env::var_os("BURNWATCH_SHARED") else {
        say!("skip  BURNWATCH_SHARED is not set: the rows of docs/ML.md against the list");
        return;
    };
    let list = read(&std::path::Path::new(&shared).join("seeds/ACCEPTANCE.md"));
    let listed = list.lines().filter_map(|line| line.strip_prefix("| S"));
    let listed = listed.filter_map(|rest| rest.split(' ').next());
    let listed: BTreeSet<String> = listed.map(|id| format!("S{id}")).collect();
    let rows: BTreeSet<String> = rows().into_iter().map(|row| row.id).collect();
    assert_eq!(rows, listed);
}

/// What is between backticks.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Names of the rules of a file.
fn names_in(file: &str) -> BTreeSet<String> {
    let parsed = parse_file(
        file,
        &read(&root().join(file)),
        &Functions,
        Features::default(),
    );
    let parsed = parsed.unwrap_or_else(|errors| panic!("{file}: {errors:?}"));
    let rules = parsed.groups.iter().flat_map(|group| &group.rules);
    rules.map(|rule| rule.name.clone()).collect()
}

/// The headings of a page as its links spell them.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = page.lines().filter_map(|line| line.strip_prefix('#'));
    let spelled = |heading: &str| {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-');
        heading
            .chars()
            .filter(kept)
            .collect::<String>()
            .replace(' ', "-")
    };
    headings.map(spelled).collect()
}

/// Returns what is wrong with a reference.
fn fault(reference: &str, rules: &mut BTreeMap<String, BTreeSet<String>>) -> Option<String> {
    if let Some(words) = reference.strip_prefix("burnwatch ") {
        let mut command = &Cli::command();
        for word in words.split(' ').take_while(|word| !word.starts_with('-')) {
            match command.find_subcommand(word) {
                Some(found) => command = found,
                None => return Some(format!("there is no command {reference}")),
            }
        }
        return None;
    }
    let (path, name) = match reference.split_once([':', '#']) {
        Some((path, name)) => (path, Some(name)),
        None => (reference, None),
    };
    if !root().join(path).exists() {
        return Some(format!("there is no {path}"));
    }
    let name = name?;
    let is_there = match path {
        path if path.starts_with("rules/") => {
            let names = rules
                .entry(path.to_owned())
                .or_insert_with(|| names_in(path));
            names.contains(name)
        }
        path if path.ends_with(".md") => anchors(&read(&root().join(path))).contains(name),
        path => read(&root().join(path)).contains(&format!("fn {name}(")),
    };
    (!is_there).then(|| format!("{path} has no {name}"))
}

#[test]
fn what_the_rows_name_is_there() {
    let (mut wrong, mut rules) = (Vec::new(), BTreeMap::new());
    let (mut n_later, mut n_peoples) = (0, 0);
    for Row { id, met_by, place } in rows() {
        let reason = |word: &str| met_by.strip_prefix(word).map(str::to_owned);
        let excuse = reason("later: ").or(reason("people's work: "));
        n_later += usize::from(met_by.starts_with("later"));
        n_peoples += usize::from(met_by.starts_with("people's work"));
        match excuse {
            Some(reason) if reason.len() < 5 => wrong.push(format!("{id}: for what reason?")),
            None if code(&place).next().is_none() => wrong.push(format!("{id}: where?")),
            _ => {}
        }
        for reference in code(&place) {
            wrong.extend(fault(reference, &mut rules).map(|fault| format!("{id}: {fault}")));
        }
    }
    say!("      {BOTH} rows: {n_later} later, {n_peoples} people's work");
    nothing(wrong);
}

/// The table is checked by what it names, so what checks must see what is not there.
#[test]
fn a_reference_to_nothing_is_found() {
    let mut rules = BTreeMap::new();
    for reference in [
        "rules/quality.yml:NoSuchAlert",
        "rules/no_such_file.yml",
        "burnwatch no such command",
        "docs/ML.md#no-such-heading",
        "tests/tidy/acceptance.rs:no_such_test",
    ] {
        assert!(fault(reference, &mut rules).is_some(), "{reference}");
    }
    for reference in [
        "rules/quality.yml:AccuracyDrop",
        "burnwatch test rules",
        "docs/ML.md#the-acceptance-list",
        "tests/tidy/acceptance.rs:fault",
    ] {
        assert_eq!(fault(reference, &mut rules), None);
    }
}
