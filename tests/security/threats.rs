//! docs/SECURITY.md says which test holds each of its lines; each of them exists.

use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The rows of the table of threats: what is between the bars.
fn rows(page: &str) -> Vec<Vec<String>> {
    let table = page.lines().filter(|line| line.starts_with('|'));
    table
        .map(|line| {
            line.trim_matches('|')
                .split('|')
                .map(|cell| cell.trim().to_owned())
                .collect()
        })
        .filter(|cells: &Vec<String>| cells.len() == 3 && !cells[0].starts_with("---"))
        .filter(|cells| cells[2] != "held by")
        .collect()
}

/// `tests/security/slow.rs::name` or `src/web/sign_in.rs::name`, each in backticks.
fn named(cell: &str) -> Vec<(PathBuf, String)> {
    let quoted = cell.split('`').skip(1).step_by(2);
    quoted
        .map(|text| {
            let (file, name) = text
                .split_once("::")
                .unwrap_or_else(|| panic!("{text}: no test"));
            (root().join(file), name.to_owned())
        })
        .collect()
}

#[test]
fn every_threat_names_a_test_that_exists() {
    let page = read(&root().join("docs/SECURITY.md"));
    let rows = rows(&page);
    assert!(rows.len() >= 20, "only {} rows", rows.len());
    let mut wrong = Vec::new();
    for cells in rows {
        let tests = named(&cells[2]);
        if tests.is_empty() {
            wrong.push(format!("{}: no test", cells[0]));
        }
        for (file, name) in tests {
            let shown = file.display();
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let is_test = |at: usize| {
                let before = lines[at.saturating_sub(4)..at].iter();
                before
                    .clone()
                    .any(|line| line.trim_start().starts_with("#[test]"))
                    || before
                        .clone()
                        .any(|line| line.trim_start().starts_with("#[tokio::test"))
            };
            let signature = format!("fn {name}(");
            let at = lines.iter().position(|line| line.contains(&signature));
            if !at.is_some_and(is_test) {
                wrong.push(format!("{}: {shown} has no test {name}", cells[0]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// And the other way round: a test of this folder that no line names has lost its threat.
#[test]
fn every_test_of_this_folder_holds_a_threat() {
    let page = read(&root().join("docs/SECURITY.md"));
    let mut lost = Vec::new();
    for entry in std::fs::read_dir(root().join("tests/security")).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if matches!(name, "threats.rs" | "main.rs" | "pki.rs") {
            continue;
        }
        let text = read(&path);
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            if !line.starts_with("#[test]") && !line.starts_with("#[tokio::test") {
                continue;
            }
            let function = lines[at + 1].split("fn ").nth(1).unwrap_or_default();
            let function = function.split('(').next().unwrap_or_default();
            if !page.contains(&format!("`tests/security/{name}::{function}`")) {
                lost.push(format!("tests/security/{name}::{function}"));
            }
        }
    }
    assert!(
        lost.is_empty(),
        "docs/SECURITY.md does not name\n{}",
        lost.join("\n")
    );
}
