//! Expressions and templates of public rule files, which lie outside of this package.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Returns the folder of public rules, or says that it is not there.
fn folder() -> Option<PathBuf> {
    let root = std::env::var_os("BURNWATCH_SHARED");
    if root.is_none() {
        say!("BURNWATCH_SHARED is not set: the public rule files are skipped");
    }
    root.map(|root| Path::new(&root).join("corpora"))
}

fn yaml_files(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    entries.sort();
    for path in entries {
        let is_yaml = path.extension().is_some_and(|e| e == "yml" || e == "yaml");
        if path.is_dir() {
            yaml_files(&path, found);
        } else if is_yaml {
            found.push(path);
        }
    }
}

fn documents(folder: Option<PathBuf>) -> Vec<Value> {
    let mut files = Vec::new();
    if let Some(folder) = folder {
        yaml_files(&folder, &mut files);
    }
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).ok()?;
        serde_saphyr::from_str::<Value>(&text).ok()
    };
    files.iter().filter_map(read).collect()
}

fn visit(value: &Value, take: &mut dyn FnMut(&str, &Value)) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                take(key, value);
                visit(value, take);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| visit(item, take)),
        _ => {}
    }
}

/// Returns the distinct expressions of all rules.
pub fn expressions() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for document in documents(folder()) {
        visit(&document, &mut |key, value| {
            if let ("expr", Some(text)) = (key, value.as_str()) {
                found.insert(text.to_owned());
            }
        });
    }
    found
}

/// Returns the distinct texts of labels and annotations that hold an action.
fn templates(folder: Option<PathBuf>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for document in documents(folder) {
        visit(&document, &mut |key, value| {
            if let ("labels" | "annotations", Value::Object(texts)) = (key, value) {
                let texts = texts.values().filter_map(Value::as_str);
                found.extend(texts.filter(|text| text.contains("{{")).map(str::to_owned));
            }
        });
    }
    found
}

/// Returns those of all public rules.
pub fn public_templates() -> BTreeSet<String> {
    templates(folder())
}

/// Returns those of the rules that Prometheus' answers were recorded for.
pub fn recorded_templates() -> BTreeSet<String> {
    templates(Some(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/ruletests"),
    ))
}
