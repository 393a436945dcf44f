//! What the documentation tells people to type and to write must be accepted by the program.
//!
//! Commands in `sh` blocks, in code within sentences and in the unit and image files are
//! parsed by the program's own command line; configurations, rule files and expressions are
//! loaded as the server loads them. A failure names the file, the line and the block.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use burnwatch::cli::Cli;
use burnwatch::config::{self, Source};
use burnwatch::functions::Functions;
use burnwatch::promql::{self, Features};
use burnwatch::rule;
use burnwatch::rule::baseline::parse_baseline;
use burnwatch::rule::test_file::parse_test_file;
use clap::Parser;
use clap::error::ErrorKind;

/// A fenced block of a page.
#[derive(Debug, PartialEq)]
struct Block {
    /// The word behind the fence.
    language: String,
    /// 1-based line of its first line.
    line: usize,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<(usize, Block)> = None;
    for (at, line) in page.lines().enumerate() {
        let trimmed = line.trim_start();
        let indent = line.len() - trimmed.len();
        match (&mut open, trimmed.strip_prefix("```")) {
            (None, Some(info)) => {
                let language = info.split([' ', ',']).next().unwrap_or_default();
                let block = Block {
                    language: language.to_owned(),
                    line: at + 2,
                    text: String::new(),
                };
                open = Some((indent, block));
            }
            (Some(_), Some("")) => found.extend(open.take().map(|(_, block)| block)),
            (Some((indent, block)), _) => {
                // A block in a list is indented as the list is.
                let text = line.get(*indent..).unwrap_or(trimmed);
                block.text.push_str(text);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    found
}

/// Splits a line as a shell does, as far as documentation goes: quotes, `\`, and operators as
/// words of their own.
fn shell_words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, quote) {
            (c, Some(q)) if c == q => quote = None,
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            ('\\', None) => word.get_or_insert_default().extend(chars.next()),
            ('#', None) if word.is_none() => break,
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            ('|' | '&' | ';' | '>' | '<', None) => {
                words.extend(word.take());
                words.push(c.to_string());
            }
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// Returns the arguments of every call of the program in a script.
fn calls(script: &str) -> Vec<Vec<String>> {
    let mut calls = Vec::new();
    for line in script.replace("\\\n", " ").lines() {
        let line = line.trim_start().trim_start_matches("$ ");
        let words = shell_words(line);
        let is_operator = |word: &String| ["|", "&", ";", ">", "<"].contains(&word.as_str());
        for command in words.split(is_operator) {
            let set = |word: &&String| word.contains('=') && !word.starts_with('-');
            let start = command.iter().take_while(set).count();
            let command = &command[start..];
            let text: Vec<&str> = command.iter().map(String::as_str).collect();
            let args = match text.as_slice() {
                ["cargo", "run", rest @ ..] => {
                    let dashes = rest.iter().position(|word| *word == "--");
                    dashes.map(|at| &rest[at + 1..])
                }
                [program, rest @ ..] if program.rsplit('/').next() == Some("burnwatch") => {
                    Some(rest)
                }
                _ => None,
            };
            calls.extend(args.map(|args| args.iter().map(|word| (*word).to_owned()).collect()));
        }
    }
    calls
}

/// Says what is wrong with a command line, if anything.
fn wrong_call(args: &[String]) -> Option<String> {
    let error = refusal(args)?;
    Some(format!("burnwatch {}: {error}", args.join(" ")))
}

/// The same in a sentence, where arguments may be left out.
fn wrong_mention(args: &[String]) -> Option<String> {
    let error = refusal(args)?;
    let is_short = error.kind() == ErrorKind::MissingRequiredArgument;
    (!is_short).then(|| format!("burnwatch {}: {error}", args.join(" ")))
}

fn refusal(args: &[String]) -> Option<clap::Error> {
    let whole = std::iter::once("burnwatch".to_owned()).chain(args.iter().cloned());
    let error = Cli::try_parse_from(whole).err()?;
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => None,
        _ => Some(error),
    }
}

/// What a YAML block is of, by its keys at the top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Prometheus,
    Own,
    Rules,
    /// Rules without the group around them.
    RuleList,
    UnitTest,
    /// What `--web.config.file` takes.
    Web,
    /// What `baseline_files` names.
    Baseline,
    /// Alertmanager's or Compose's; other tests look at those.
    Foreign,
}

fn kind(text: &str) -> Option<Kind> {
    let key = |line: &str| -> Option<String> {
        let is_key = line.starts_with(|c: char| c.is_ascii_alphabetic() || c == '-');
        let name = line.split(':').next()?.trim_start_matches("- ");
        is_key.then(|| name.trim().trim_start_matches(['{', '\'']).to_owned())
    };
    let keys: Vec<String> = text.lines().filter_map(key).collect();
    let has = |names: &[&str]| keys.iter().any(|key| names.contains(&key.as_str()));
    if has(&["slos", "apiVersion"]) {
        // Specifications of objectives stand where rules may.
        Some(Kind::Rules)
    } else if has(&["tests"]) {
        Some(Kind::UnitTest)
    } else if has(&["baseline"]) {
        Some(Kind::Baseline)
    } else if has(&["groups"]) {
        Some(Kind::Rules)
    } else if has(&["alert", "record"]) {
        Some(Kind::RuleList)
    } else if has(&[
        "basic_auth_users",
        "http_server_config",
        "tls_server_config",
    ]) {
        Some(Kind::Web)
    } else if has(&[
        "route",
        "receivers",
        "inhibit_rules",
        "time_intervals",
        "services",
    ]) {
        Some(Kind::Foreign)
    } else if has(&[
        "alerting",
        "burnwatch",
        "global",
        "remote_write",
        "rule_files",
        "scrape_configs",
    ]) {
        Some(Kind::Prometheus)
    } else if has(&[
        "access",
        "backfill",
        "backlog_timeout",
        "baseline_files",
        "checkpoint_interval",
        "evaluation",
        "fsync",
        "ha",
        "idle_timeout",
        "limits",
        "log",
        "out_of_order_time_window",
        "retention",
        "scrape_settle",
        "watch",
        "webhooks",
        "write_back",
    ]) {
        Some(Kind::Own)
    } else {
        None
    }
}

fn load_prometheus(text: &str, own: Option<&str>) -> Result<(), String> {
    let path = Path::new("block");
    let source = |text| Source { path, text };
    let loaded = config::load(source(text), own.map(source), &|_| None);
    loaded.map(drop).map_err(|error| error.to_string())
}

fn load_rules(text: &str) -> Result<(), String> {
    let loaded = rule::parse_file("block", text, &Functions, Features::ALL);
    loaded.map(drop).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        lines.join("\n")
    })
}

/// Says what is wrong with a YAML block, if anything.
fn wrong_yaml(text: &str) -> Option<String> {
    let Some(kind) = kind(text) else {
        return Some("it is neither a configuration nor rules, by its keys".to_owned());
    };
    let outcome = match kind {
        Kind::Prometheus => load_prometheus(text, None),
        Kind::Own => load_prometheus("", Some(text)),
        Kind::Rules => load_rules(text),
        Kind::RuleList => {
            let indented = text.replace('\n', "\n  ");
            load_rules(&format!("groups:\n- name: g\n  rules:\n  {indented}"))
        }
        Kind::UnitTest => {
            let parsed = parse_test_file("block", text);
            parsed.map(drop).map_err(|errors| format!("{errors:?}"))
        }
        Kind::Web => {
            let loaded = config::load_web(Path::new("block"), text);
            loaded.map(drop).map_err(|error| error.to_string())
        }
        Kind::Baseline => {
            let parsed = parse_baseline("block", text);
            parsed.map(drop).map_err(|errors| format!("{errors:?}"))
        }
        Kind::Foreign => Ok(()),
    };
    outcome.err()
}

/// The expressions of a block: one a line, continued where a line is indented.
fn expressions(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in text.lines() {
        let is_continued = line.starts_with(char::is_whitespace);
        match found.last_mut() {
            _ if line.trim().is_empty() || line.starts_with('#') => {}
            Some(last) if is_continued => {
                last.push('\n');
                last.push_str(line);
            }
            _ => found.push(line.to_owned()),
        }
    }
    found
}

fn wrong_block(block: &Block) -> Option<String> {
    match block.language.as_str() {
        "sh" | "bash" | "shell" | "console" => {
            let wrong: Vec<String> = calls(&block.text)
                .iter()
                .filter_map(|args| wrong_call(args))
                .collect();
            (!wrong.is_empty()).then(|| wrong.join("\n"))
        }
        "yaml" | "yml" => wrong_yaml(&block.text),
        "promql" => {
            let wrong: Vec<String> = expressions(&block.text)
                .iter()
                .filter_map(|text| {
                    let error = promql::parse(text, &Functions, Features::ALL).err()?;
                    Some(format!("{error}, in {text}"))
                })
                .collect();
            (!wrong.is_empty()).then(|| wrong.join("\n"))
        }
        _ => None,
    }
}

fn top() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All files below these places with this ending, by their path from the top.
fn files(places: &[&str], ending: &str) -> Vec<(String, String)> {
    fn below(path: &Path, ending: &str, found: &mut Vec<PathBuf>) {
        if path.is_dir() {
            let entries = std::fs::read_dir(path).expect("a directory can be read");
            for entry in entries {
                below(&entry.expect("an entry").path(), ending, found);
            }
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path.to_owned());
        }
    }
    let mut found = Vec::new();
    for place in places {
        below(&top().join(place), ending, &mut found);
    }
    found.sort();
    let read = |path: PathBuf| {
        let name = path.strip_prefix(top()).expect("below the top").display();
        let text = std::fs::read_to_string(&path).expect("a file of text");
        (name.to_string(), text)
    };
    found
        .into_iter()
        .filter(|path| path.is_file())
        .map(read)
        .collect()
}

fn pages() -> Vec<(String, String)> {
    let places = [
        "README.md",
        "CONTRIBUTING.md",
        "ARCHITECTURE.md",
        "docs",
        "deploy",
        "rules",
        "fuzz/README.md",
    ];
    files(&places, ".md")
}

#[track_caller]
fn nothing_is_wrong(wrong: &str) {
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn every_block_of_every_page_is_accepted() {
    let (mut wrong, mut n_checked) = (String::new(), 0);
    for (name, page) in pages() {
        for block in blocks(&page) {
            n_checked += 1;
            if let Some(why) = wrong_block(&block) {
                let Block { line, text, .. } = block;
                let _ = writeln!(wrong, "{name}:{line}: {why}\n{text}");
            }
        }
    }
    nothing_is_wrong(&wrong);
    assert!(n_checked > 50, "only {n_checked} blocks were found");
}

/// `burnwatch check rules` in the middle of a sentence is a promise, too.
#[test]
fn every_command_in_a_sentence_is_accepted() {
    let mut wrong = String::new();
    for (name, page) in pages() {
        let mut fenced = false;
        for (at, line) in page.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
            }
            let code = line.split('`').skip(1).step_by(2);
            for code in code.filter(|code| !fenced && code.starts_with("burnwatch ")) {
                for why in calls(code).iter().filter_map(|args| wrong_mention(args)) {
                    let _ = writeln!(wrong, "{name}:{}: {why}", at + 1);
                }
            }
        }
    }
    nothing_is_wrong(&wrong);
}

#[test]
fn the_files_of_deploy_load_alone_and_together() {
    let read = |name: &str| std::fs::read_to_string(top().join("deploy").join(name));
    let prometheus = read("prometheus.yml").expect("a file");
    let own = read("burnwatch.yml").expect("a file");
    let check = |what: &str, outcome: Result<(), String>| {
        assert_eq!(outcome, Ok(()), "{what}");
    };
    check("prometheus.yml", load_prometheus(&prometheus, None));
    check("burnwatch.yml", load_prometheus("", Some(&own)));
    check("both", load_prometheus(&prometheus, Some(&own)));
    // It says that every value in it is the default.
    let path = Path::new("x");
    let load = |text| {
        let own = Source { path, text };
        config::load(Source { path, text: "" }, Some(own), &|_| None)
    };
    assert_eq!(load(own.as_str()), load(""));
}

/// The commented examples in our own file are what people take the comment signs off.
#[test]
fn the_examples_in_comments_load() {
    let (mut wrong, mut n_examples) = (String::new(), 0);
    for (name, text) in files(&["deploy"], ".yml") {
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            if !line.starts_with("# example") {
                continue;
            }
            let comments = lines[at + 1..].iter();
            let example: Vec<&str> = comments.map_while(|line| line.strip_prefix("# ")).collect();
            n_examples += 1;
            if let Some(why) = wrong_yaml(&format!("{}\n", example.join("\n"))) {
                let _ = writeln!(wrong, "{name}:{}: {why}", at + 2);
            }
        }
    }
    nothing_is_wrong(&wrong);
    assert!(n_examples >= 4, "only {n_examples} examples were found");
}

#[test]
fn the_commands_of_unit_and_image_are_accepted() {
    let read = |name: &str| std::fs::read_to_string(top().join("deploy").join(name));
    let unit = read("burnwatch.service").expect("a file");
    let start = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="));
    let start = calls(start.expect("a unit starts something"));
    assert_eq!(start.len(), 1);
    assert_eq!(wrong_call(&start[0]), None);

    let image = read("Dockerfile").expect("a file").replace("\\\n", " ");
    let command = image.lines().find_map(|line| line.strip_prefix("CMD "));
    let command = command.expect("an image has a command");
    let args: Vec<String> = serde_json::from_str(command).expect("a JSON list");
    assert_eq!(wrong_call(&args), None);
}

/// The reading of pages itself.
#[test]
fn blocks_and_commands_are_found() {
    let page = "a\n```sh\nx\n```\n1. b\n   ```yaml\n   y:\n     z: 1\n   ```\n";
    let block = |language: &str, line, text: &str| Block {
        language: language.to_owned(),
        line,
        text: text.to_owned(),
    };
    let expected = [block("sh", 3, "x\n"), block("yaml", 7, "y:\n  z: 1\n")];
    assert_eq!(blocks(page), expected);

    let check = |script: &str, expected: &[&[&str]]| {
        assert_eq!(calls(script), expected, "{script}");
    };
    check(
        "$ ./target/release/burnwatch demo --quiet # see",
        &[&["demo", "--quiet"]],
    );
    check(
        "RUST_LOG=x burnwatch serve \\\n  --a='b c' &\ncurl x | burnwatch y",
        &[&["serve", "--a=b c"], &["y"]],
    );
    check("cargo run --release -- demo\ncargo build", &[&["demo"]]);
    check("make test; grep burnwatch x", &[]);
    for wrong in ["serve --no-such-flag", "nonsense", "serve stray"] {
        let args: Vec<String> = wrong.split(' ').map(str::to_owned).collect();
        assert!(wrong_call(&args).is_some(), "{wrong}");
    }
    assert!(wrong_yaml("burnwatch: {wach: []}\n").is_some());
    assert!(wrong_yaml("- alert: A\n  expr: mean(up)\n").is_some());
    assert!(wrong_yaml("something: else\n").is_some());
}
