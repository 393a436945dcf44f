//! Reading our own sources: which files there are, and their code without comments and texts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A source file.
pub struct Source {
    /// Its path below `src/`, with slashes.
    pub path: String,
    /// Its text without comments, texts and what is compiled for tests alone.
    pub code: String,
}

impl Source {
    /// Returns the module it belongs to.
    pub fn module(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.trim_end_matches(".rs")
    }

    /// Returns whether its code has a word or path.
    pub fn has(&self, word: &str) -> bool {
        words(&self.code, word).next().is_some()
    }
}

/// Returns the package's folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Reads a file.
pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Returns all files below a folder, sorted.
pub fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Returns a path below a folder of the package, with slashes.
pub fn below(folder: &str, path: &Path) -> String {
    let path = path.strip_prefix(root().join(folder)).expect("below");
    path.to_string_lossy().replace('\\', "/")
}

/// Returns the sources of the library and the binary, but for files that only tests compile.
pub fn sources() -> Vec<Source> {
    let tree = tree();
    let all = files(&root().join("src"), ".rs")
        .into_iter()
        .map(|path| Source {
            path: below("src", &path),
            code: code_of(&read(&path)),
        });
    all.filter(|source| tree.get(&source.path) != Some(&true))
        .collect()
}

/// Returns the files that `mod` names from `lib.rs` and `main.rs` on, and whether only tests
/// compile them.
pub fn tree() -> BTreeMap<String, bool> {
    let mut tree = BTreeMap::new();
    let mut queue = vec![("lib.rs".to_owned(), false), ("main.rs".to_owned(), false)];
    while let Some((path, is_test)) = queue.pop() {
        let text = blank(&read(&root().join("src").join(&path)));
        let stem = path.trim_end_matches(".rs");
        let folder = match path.rsplit_once('/') {
            Some((folder, "mod.rs")) => format!("{folder}/"),
            None if stem == "lib" || stem == "main" => String::new(),
            _ => format!("{stem}/"),
        };
        let mut marked = is_test;
        // A file of tests/ that the tests here share.
        let mut lies_outside = false;
        for line in text.lines().map(str::trim) {
            let declared = line
                .rsplit_once("mod ")
                .filter(|(before, _)| before.is_empty() || before.starts_with("pub"));
            let declared = declared.filter(|(_, name)| name.ends_with(';') && !lies_outside);
            if let Some((_, name)) = declared {
                let name = name.trim_end_matches(';');
                let candidates = [
                    format!("{folder}{name}.rs"),
                    format!("{folder}{name}/mod.rs"),
                ];
                let found = candidates
                    .into_iter()
                    .find(|c| root().join("src").join(c).is_file());
                queue.push((
                    found.unwrap_or_else(|| panic!("{path}: mod {name}")),
                    marked,
                ));
            }
            marked = is_test || line == "#[cfg(test)]";
            lies_outside = line.starts_with("#[path");
        }
        tree.insert(path, is_test);
    }
    tree
}

/// Blanks comments and the insides of texts and characters.
pub fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let rest = &chars[at..];
        let n = match rest {
            ['/', '/', ..] => rest.iter().take_while(|c| **c != '\n').count(),
            ['/', '*', ..] => 2 + position(&rest[2..], &['*', '/']) + 2,
            ['r', '"' | '#', ..] if !chars[..at].last().is_some_and(|c| is_word(*c)) => {
                let hashes = rest[1..].iter().take_while(|c| **c == '#').count();
                let mut end = vec!['"'];
                end.extend(std::iter::repeat_n('#', hashes));
                match rest.get(1 + hashes) {
                    Some('"') => {
                        let inside = position(&rest[hashes + 2..], &end);
                        hashes + 2 + inside + end.len()
                    }
                    _ => 0,
                }
            }
            ['"', ..] => quoted(rest, '"'),
            ['\'', '\\', ..] | ['\'', _, '\'', ..] => quoted(rest, '\''),
            _ => 0,
        };
        if n == 0 {
            out.push(chars[at]);
            at += 1;
            continue;
        }
        let n = n.min(rest.len());
        out.extend(
            rest[..n]
                .iter()
                .map(|c| if *c == '\n' { '\n' } else { ' ' }),
        );
        at += n;
    }
    out
}

fn position(chars: &[char], end: &[char]) -> usize {
    let found = chars.windows(end.len()).position(|window| window == end);
    found.unwrap_or(chars.len())
}

/// Returns the length of a text that begins and ends with `quote`.
fn quoted(chars: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < chars.len() && chars[at] != quote {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// Tells whether a character may stand in a name.
pub fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Blanks comments, texts and what stands under `#[cfg(test)]`.
fn code_of(text: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut code = blank(text);
    while let Some(start) = code.find(MARK) {
        let mut depth = 0;
        let mut end = code.len();
        for (at, c) in code[start + MARK.len()..].char_indices() {
            depth += match c {
                '{' => 1,
                '}' => -1,
                _ => 0,
            };
            if depth == 0 && (c == '}' || c == ';') {
                end = start + MARK.len() + at + 1;
                break;
            }
        }
        code.replace_range(start..end, "");
    }
    code
}

/// Returns what follows each place at which `word` stands by itself.
pub fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = &'a str> {
    let found = code.match_indices(word).map(|(at, _)| at);
    found.filter_map(move |at| {
        let before = code[..at].chars().next_back();
        let rest = &code[at + word.len()..];
        let is_whole = |c: Option<char>| !c.is_some_and(is_word);
        (is_whole(before) && (word.ends_with(':') || is_whole(rest.chars().next()))).then_some(rest)
    })
}
