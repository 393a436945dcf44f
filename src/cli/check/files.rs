//! Rule files as they are named on the command line or by a configuration.

use std::path::{Path, PathBuf};

use crate::config::expand_patterns;
use crate::functions::Functions;
use crate::rule::{ParseOptions, ParsedFile, RuleError, parse_file};

/// A rule file, read and parsed.
pub(crate) struct RuleFile {
    /// Its path as it is shown.
    pub path: String,
    /// Its text; empty where it cannot be read.
    pub text: String,
    /// What it holds, or everything that is wrong with it.
    pub parsed: Result<ParsedFile, Vec<RuleError>>,
}

impl RuleFile {
    /// Reads and parses a file.
    pub(crate) fn read(path: &str, options: ParseOptions) -> Self {
        if Path::new(path).is_dir() {
            let hint = format!(
                "name its files, for example {}/*.yml",
                path.trim_end_matches('/')
            );
            return RuleFile::unread(path, "this is a directory".to_owned(), hint);
        }
        RuleFile::from_bytes(path, std::fs::read(path), options)
    }

    /// Parses what was read.
    pub(crate) fn from_bytes(
        path: &str,
        bytes: std::io::Result<Vec<u8>>,
        options: ParseOptions,
    ) -> Self {
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(e) => {
                let hint = match e.kind() {
                    std::io::ErrorKind::NotFound => "look at the path: no such file is there",
                    std::io::ErrorKind::PermissionDenied => "make it readable: chmod u+r",
                    _ => "look at the file",
                };
                return RuleFile::unread(path, format!("cannot be read: {e}"), hint.to_owned());
            }
        };
        match String::from_utf8(bytes) {
            Ok(text) => RuleFile {
                path: path.to_owned(),
                parsed: parse_file(path, &text, &Functions, options),
                text,
            },
            Err(e) => RuleFile::unread(
                path,
                format!("the file is not UTF-8: {e}"),
                "save it as UTF-8".to_owned(),
            ),
        }
    }

    fn unread(path: &str, message: String, hint: String) -> Self {
        RuleFile {
            path: path.to_owned(),
            text: String::new(),
            parsed: Err(vec![RuleError {
                file: path.to_owned(),
                line: 0,
                column: 0,
                message,
                hint: Some(hint),
            }]),
        }
    }
}

/// Expands a pattern that the shell has left alone; what is no pattern, or fits nothing, stays.
pub(crate) fn expand(name: &str) -> Vec<String> {
    let is_pattern = name.contains(['*', '?', '[']) && !Path::new(name).exists();
    let found = match is_pattern {
        true => expand_patterns(&[PathBuf::from(name)]).unwrap_or_default(),
        false => Vec::new(),
    };
    match found.is_empty() {
        true => vec![name.to_owned()],
        false => found
            .iter()
            .map(|path| path.display().to_string())
            .collect(),
    }
}
