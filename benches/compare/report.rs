//! The rows of the table, as they are printed and as they stand in docs/PERFORMANCE.md.
//!
//! The page has parts between `<!-- compare:NAME -->` and `<!-- /compare:NAME -->`. A part of the
//! table is written line by line, so that a run of one row leaves the others as they were.

use std::path::Path;

const PAGE: &str = "docs/PERFORMANCE.md";

/// One line of the table.
pub struct Row {
    /// Its place in the table.
    pub number: usize,
    /// What is measured.
    pub what: String,
    /// What is aimed at.
    pub reach: &'static str,
    /// burnwatch's figure.
    pub burnwatch: String,
    /// Peers' figures of the same run.
    pub peers: String,
    /// Peers' figures measured elsewhere.
    pub quoted: &'static str,
}

impl Row {
    /// The line as Markdown.
    pub fn line(&self) -> String {
        let Row {
            number,
            what,
            reach,
            burnwatch,
            peers,
            quoted,
        } = self;
        format!("| {number} | {what} | {reach} | {burnwatch} | {peers} | {quoted} |")
    }
}

/// Puts lines of the table into its part of the page, each in place of the one of its number.
pub fn write_rows(rows: &[Row]) {
    let part = read_part("table");
    let number = |line: &str| line.split('|').nth(1)?.trim().parse::<usize>().ok();
    let mut lines: Vec<(usize, String)> = Vec::new();
    lines.extend(
        part.lines()
            .filter_map(|line| Some((number(line)?, line.to_owned()))),
    );
    for row in rows {
        lines.retain(|(number, _)| *number != row.number);
        lines.push((row.number, row.line()));
    }
    lines.sort();
    let head = "| # | what | reach | burnwatch | peers in the same run | peers, quoted |\n\
                |---:|---|---|---|---|---|\n";
    let lines: String = lines.into_iter().map(|(_, line)| line + "\n").collect();
    write_part("table", &format!("{head}{lines}"));
}

fn read_page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    std::fs::read_to_string(path).expect("the page is in the repository")
}

fn marks(name: &str) -> (String, String) {
    let begin = format!("<!-- compare:{name} -->\n");
    let end = format!("<!-- /compare:{name} -->");
    (begin, end)
}

fn place(page: &str, name: &str) -> std::ops::Range<usize> {
    let (begin, end) = marks(name);
    let from = page.find(&begin).map(|at| at + begin.len());
    let to = page.find(&end);
    let (from, to) = from.zip(to).expect("the page has the marks of its parts");
    from..to
}

fn read_part(name: &str) -> String {
    let page = read_page();
    page[place(&page, name)].to_owned()
}

/// Replaces a part of the page.
pub fn write_part(name: &str, text: &str) {
    let mut page = read_page();
    let place = place(&page, name);
    page.replace_range(place, text);
    write_doc(PAGE, &page);
}

/// Writes a file of the repository.
pub fn write_doc(path: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::write(path, text).expect("the repository can be written to");
}

/// A number with two or three figures.
pub fn figures(number: f64) -> String {
    match number.abs() {
        above if above >= 100.0 => {
            let digits = format!("{number:.0}");
            let places = digits.len();
            let with_comma = |(at, digit): (usize, char)| {
                let is_thousand = at > 0 && (places - at).is_multiple_of(3);
                [is_thousand.then_some(','), Some(digit)]
            };
            digits
                .chars()
                .enumerate()
                .flat_map(with_comma)
                .flatten()
                .collect()
        }
        above if above >= 10.0 => format!("{number:.1}"),
        above if above >= 0.1 => format!("{number:.2}"),
        _ => format!("{number:.3}"),
    }
}
