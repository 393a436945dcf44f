//! `burnwatch check rules|config` from outside: exit codes, standard output and error, the
//! examples of the help texts, a server to ask.
//!
//! Catches an output or exit code that differs from promtool's, an error without its place or
//! remedy, and an example in a help text that does not run.

#[macro_use]
#[path = "../support/say.rs"]
mod say;

mod against;
mod config;
mod help;
mod promtool;
mod rules;
mod storage;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A directory with files to check.
pub struct Files {
    directory: TempDir,
}

/// What came of a run.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Run {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Run {
            code: output.status.code().expect("not killed"),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }

    /// Checks the exit code and standard output whole, and that standard error has all of `said`.
    pub fn check(&self, code: i32, out: &str, said: &[&str]) {
        assert_eq!((self.code, self.out.as_str()), (code, out), "{self:#?}");
        self.check_said(said);
    }

    pub fn check_said(&self, said: &[&str]) {
        for part in said {
            assert!(self.err.contains(part), "not said: {part}\n{self:#?}");
        }
    }
}

impl Files {
    pub fn of(files: &[(&str, &str)]) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        for (name, text) in files {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            std::fs::write(path, text).expect("a file");
        }
        Files { directory }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Runs `burnwatch check` with words separated by spaces, in the directory.
    pub fn burnwatch(&self, words: &str) -> Run {
        self.burnwatch_reading(words, "")
    }

    /// The same with a text on standard input.
    pub fn burnwatch_reading(&self, words: &str, text: &str) -> Run {
        let mut child = Command::new(env!("CARGO_BIN_EXE_burnwatch"))
            .arg("check")
            .args(words.split_whitespace())
            .current_dir(self.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut stdin = child.stdin.take().expect("piped");
        // A run that reads nothing may have ended before.
        let _ = stdin.write_all(text.as_bytes());
        drop(stdin);
        Run::of(&child.wait_with_output().expect("it ends"))
    }
}

/// A rule file that is well, with two rules.
pub const GOOD: &str = "groups:\n- name: g\n  rules:\n  - {record: 'job:up:sum', expr: sum by (job) (up)}\n  \
                        - {alert: Down, expr: up == 0, for: 5m}\n";
/// A rule file with an alert that is held for less than an interval.
pub const SHORT: &str = "groups:\n- name: g\n  interval: 1m\n  rules:\n  - alert: Down\n    \
                         expr: up == 0\n    for: 30s\n";
/// A rule file with one rule twice.
pub const TWICE: &str = "groups:\n- name: g\n  rules:\n  \
                         - {record: a, expr: up, labels: {z: '1', b: '2'}}\n  \
                         - {record: a, expr: up, labels: {b: '2', z: '1'}}\n";
/// A rule file that does not load.
pub const BAD: &str = "groups:\n- name: g\n  rules:\n  - {alert: A, expr: up == 0, for: 5}\n";
