//! `burnwatch check rules FILE…`: says whether files load, as `promtool check rules` does.
//!
//! The output and the exit codes are promtool's, so that it can stand in its place in a CI job;
//! behind an error there is a hint where we know one.

use std::fs;
use std::io::{Read, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};

use crate::engine::features;
use crate::functions::Functions;
use crate::model::{Dialect, RuleFormat};
use crate::rule::lint::{DuplicateRule, duplicate_rules};
use crate::rule::{ParseOptions, ParsedFile, RuleError, parse_file};

/// The exit code of files that do not load.
const INVALID: u8 = 1;
/// The exit code of lint errors, if asked for.
const LINT_ERRORS: u8 = 3;

/// What to check.
#[derive(Clone, Debug, Subcommand)]
pub enum CheckArgs {
    /// Check if the rule files are valid or not.
    Rules(CheckRulesArgs),
}

/// Which rule files to check, and how.
#[derive(Args, Clone, Debug)]
pub struct CheckRulesArgs {
    /// The rule files to check; standard input is read when there is none.
    files: Vec<String>,
    /// Which lint checks to apply.
    #[arg(long, value_enum, default_value_t = Lint::DuplicateRules)]
    lint: Lint,
    /// Make lint errors exit with exit code 3.
    #[arg(long)]
    lint_fatal: bool,
    /// Prometheus' feature flags for PromQL, separated by commas; unknown ones are ignored.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    enable_feature: Vec<String>,
    /// Whose fields rule files may have beside Prometheus' own.
    #[arg(
        long = "rules.dialect",
        value_name = "prometheus|thanos|mimir|vmalert",
        default_value = "prometheus"
    )]
    rules_dialect: Dialect,
    /// Pass over unknown fields in the rule files.
    #[arg(long)]
    ignore_unknown_fields: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Lint {
    All,
    DuplicateRules,
    None,
}

/// What came of the files together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Verdict {
    is_invalid: bool,
    has_lint_errors: bool,
}

/// Checks the files and writes what it found.
///
/// # Errors
/// Only when the output cannot be written; a file that cannot be read is a finding.
pub fn run(args: &CheckArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let CheckArgs::Rules(args) = args;
    let verdict = check_rules(args, out).context("write the result")?;
    Ok(ExitCode::from(exit_code(verdict, args.lint_fatal)))
}

fn exit_code(verdict: Verdict, lint_fatal: bool) -> u8 {
    match verdict {
        Verdict {
            is_invalid: true, ..
        } => INVALID,
        Verdict {
            has_lint_errors: true,
            ..
        } if lint_fatal => LINT_ERRORS,
        _ => 0,
    }
}

fn check_rules(args: &CheckRulesArgs, out: &mut dyn Write) -> std::io::Result<Verdict> {
    let options = ParseOptions {
        features: features(&args.enable_feature),
        format: RuleFormat {
            dialect: args.rules_dialect,
            ignore_unknown_fields: args.ignore_unknown_fields,
            ..RuleFormat::default()
        },
    };
    let mut verdict = Verdict::default();
    if args.files.is_empty() {
        writeln!(out, "Checking standard input")?;
        let mut bytes = Vec::new();
        let read = std::io::stdin().read_to_end(&mut bytes).map(|_| bytes);
        check_file(
            "standard input",
            read,
            args.lint,
            options,
            &mut verdict,
            out,
        )?;
    }
    for file in &args.files {
        writeln!(out, "Checking {file}")?;
        check_file(file, fs::read(file), args.lint, options, &mut verdict, out)?;
    }
    Ok(verdict)
}

fn check_file(
    path: &str,
    bytes: std::io::Result<Vec<u8>>,
    lint: Lint,
    options: ParseOptions,
    verdict: &mut Verdict,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    let parsed = bytes
        .map_err(|e| vec![no_text(path, &format!("read the file: {e}"))])
        .and_then(|bytes| {
            String::from_utf8(bytes)
                .map_err(|e| vec![no_text(path, &format!("the file is not UTF-8: {e}"))])
        })
        .and_then(|text| parse_file(path, &text, &Functions, options));
    match parsed {
        Ok(parsed) => {
            for warning in &parsed.warnings {
                writeln!(out, "  WARNING: {warning}")?;
            }
            for note in &parsed.notes {
                writeln!(out, "  NOTE: {note}")?;
            }
            verdict.has_lint_errors |= write_result(&parsed, lint, out)?;
        }
        Err(errors) => {
            verdict.is_invalid = true;
            writeln!(out, "  FAILED:")?;
            for error in &errors {
                writeln!(out, "{error}")?;
                if let Some(hint) = &error.hint {
                    writeln!(out, "    hint: {hint}")?;
                }
            }
        }
    }
    writeln!(out)
}

/// Writes what promtool writes of a file that loads; tells whether lint has found something.
fn write_result(parsed: &ParsedFile, lint: Lint, out: &mut dyn Write) -> std::io::Result<bool> {
    let duplicates = match lint {
        Lint::All | Lint::DuplicateRules => duplicate_rules(&parsed.groups),
        Lint::None => Vec::new(),
    };
    if duplicates.is_empty() {
        let n_rules: usize = parsed.groups.iter().map(|group| group.rules.len()).sum();
        writeln!(out, "  SUCCESS: {n_rules} rules found")?;
        return Ok(false);
    }
    writeln!(out, "  FAILED:")?;
    writeln!(
        out,
        "lint error {} duplicate rule(s) found.",
        duplicates.len()
    )?;
    for DuplicateRule {
        name,
        labels,
        places,
    } in &duplicates
    {
        writeln!(out, "Metric: {name}")?;
        writeln!(out, "Label(s):")?;
        for (label, value) in labels {
            writeln!(out, "\t{label}: {value}")?;
        }
        let lines: Vec<String> = places.iter().map(|(_, line)| line.to_string()).collect();
        writeln!(out, "    hint: at lines {}", lines.join(", "))?;
    }
    writeln!(out, "Might cause inconsistency while recording expressions")?;
    Ok(true)
}

fn no_text(path: &str, message: &str) -> RuleError {
    RuleError {
        file: path.to_owned(),
        line: 0,
        column: 0,
        message: message.to_owned(),
        hint: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        args: CheckArgs,
    }

    /// Writes `text` as a file, checks it and returns the exit code and the output, the file's
    /// path replaced by `FILE`.
    fn checked(text: &[u8], flags: &[&str]) -> (u8, String) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("rules.yml");
        fs::write(&path, text).expect("written");
        let path = path.to_str().expect("a path in UTF-8");
        let words = ["check", "rules", path].into_iter();
        let words = words.chain(flags.iter().copied());
        let line = Line::try_parse_from(words).expect("valid arguments");
        let CheckArgs::Rules(args) = &line.args;
        let mut out = Vec::new();
        let verdict = check_rules(args, &mut out).expect("written");
        let out = String::from_utf8(out).expect("text");
        (
            exit_code(verdict, args.lint_fatal),
            out.replace(path, "FILE"),
        )
    }

    fn check(text: &str, flags: &[&str], code: u8, expected: &str) {
        assert_eq!(
            checked(text.as_bytes(), flags),
            (code, expected.to_owned()),
            "{text}"
        );
    }

    #[test]
    fn a_good_file_is_counted() {
        check(
            "groups: [{name: g, rules: [{record: a, expr: up}]}]",
            &[],
            0,
            "Checking FILE\n  SUCCESS: 1 rules found\n\n",
        );
    }

    #[test]
    fn an_error_comes_with_place_and_hint() {
        check(
            "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: up == 0\n    for: 5\n",
            &[],
            1,
            "Checking FILE\n  FAILED:\n\
             FILE:6:10: group \"g\", rule 1, \"A\": field 'for': not a valid duration string: \
             \"5\"\n    hint: a unit is missing: `5s`, `5m`?\n\n",
        );
    }

    #[test]
    fn duplicates_fail_only_when_fatal() {
        let text = "groups: [{name: g, rules: [{record: a, expr: up}, {record: a, expr: up}]}]";
        let told = "Checking FILE\n  FAILED:\nlint error 1 duplicate rule(s) found.\n\
                    Metric: a\nLabel(s):\n    hint: at lines 1, 1\n\
                    Might cause inconsistency while recording expressions\n\n";
        check(text, &[], 0, told);
        check(text, &["--lint-fatal"], 3, told);
        let silent = "Checking FILE\n  SUCCESS: 2 rules found\n\n";
        check(text, &["--lint=none"], 0, silent);
    }

    #[test]
    fn what_is_no_text_is_a_finding() {
        let (code, out) = checked(b"groups: \xff", &[]);
        assert_eq!(code, 1);
        assert!(out.contains("FILE:0:0: the file is not UTF-8"), "{out}");
    }
}
