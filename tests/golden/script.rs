//! The script language of promqltest: `load`, `clear`, `eval`, `expect`.

use burnwatch::model::{DurationMs, Labels};

use crate::notation::{Point, read_number, read_quoted, read_series};

#[derive(Clone, Debug)]
pub enum Command {
    Clear,
    Load(Load),
    Eval(Box<Eval>),
    /// A block that needs what we do not keep: start timestamps of samples.
    Unsupported,
}

#[derive(Clone, Debug)]
pub struct Load {
    pub step_ms: i64,
    pub with_nhcb: bool,
    pub series: Vec<(Labels, Vec<Point>)>,
}

#[derive(Clone, Debug)]
pub enum When {
    Instant(i64),
    Range { start: i64, end: i64, step: i64 },
}

/// How an error or remark is compared.
#[derive(Clone, Debug)]
pub enum Pattern {
    Any,
    Text(String),
    Regex(regex::Regex),
}

impl Pattern {
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Pattern::Any => true,
            Pattern::Text(wanted) => wanted == text,
            Pattern::Regex(regex) => regex.is_match(text),
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct Expectations {
    pub ordered: bool,
    pub fail: Option<Pattern>,
    pub warn: Vec<Pattern>,
    pub info: Vec<Pattern>,
    pub no_warn: bool,
    pub no_info: bool,
    pub string: Option<String>,
    /// The result is a range vector at these instants: start, end, step in ms.
    pub range_vector: Option<(i64, i64, i64)>,
}

#[derive(Clone, Debug)]
pub struct Eval {
    pub line: usize,
    pub when: When,
    pub query: String,
    pub expect: Expectations,
    pub scalar: Option<f64>,
    pub series: Vec<(Labels, Vec<Point>)>,
}

/// Reads a script; `Err` names the line that is not understood.
pub fn read_script(text: &str) -> Result<Vec<Command>, String> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let is_blank = |line: &str| line.is_empty() || line.starts_with('#');
    let mut commands = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let head = lines[at];
        let line = at + 1;
        at += 1;
        if is_blank(head) {
            continue;
        }
        let from = at;
        while at < lines.len() && !is_blank(lines[at]) {
            at += 1;
        }
        let wrong = |what: &str| format!("line {line}: {what}: {head}");
        if head == "clear" {
            commands.push(Command::Clear);
            at = from;
        } else if head.starts_with("load") {
            commands.push(read_load(head, &lines[from..at]).ok_or_else(|| wrong("load"))?);
        } else {
            let (eval, used) =
                read_eval(head, &lines[from..at], line).ok_or_else(|| wrong("eval"))?;
            at = from + used;
            commands.push(Command::Eval(Box::new(eval)));
        }
    }
    Ok(commands)
}

fn read_load(head: &str, lines: &[&str]) -> Option<Command> {
    let (word, step) = head.split_once(char::is_whitespace)?;
    let mut series = Vec::new();
    for line in lines {
        let is_start_time = line
            .split_whitespace()
            .next()
            .is_some_and(|word| word.ends_with("@st"))
            || line.contains("}@st");
        if is_start_time {
            return Some(Command::Unsupported);
        }
        series.push(read_series(line)?);
    }
    Some(Command::Load(Load {
        step_ms: read_duration(step.trim())?,
        with_nhcb: word == "load_with_nhcb",
        series,
    }))
}

/// Reads an `eval` command; returns how many of the lines below it belong to it.
fn read_eval(head: &str, lines: &[&str], line: usize) -> Option<(Eval, usize)> {
    let (word, rest) = head.split_once(char::is_whitespace)?;
    let (kind, rest) = rest.trim_start().split_once(char::is_whitespace)?;
    let (when, query) = match kind {
        "instant" => {
            let rest = rest.trim_start().strip_prefix("at")?.trim_start();
            let (at, query) = rest.split_once(char::is_whitespace)?;
            (When::Instant(read_duration(at)?), query.trim())
        }
        _ => {
            let words = regex::Regex::new(r"^from\s+(\S+)\s+to\s+(\S+)\s+step\s+(\S+)\s+(.+)$");
            let found = words.unwrap().captures(rest.trim_start())?;
            let time = |index: usize| read_duration(&found[index]);
            let when = When::Range {
                start: time(1)?,
                end: time(2)?,
                step: time(3)?,
            };
            (when, rest.trim_start().get(found.get(4)?.start()..)?)
        }
    };
    let mut eval = Eval {
        line,
        when,
        query: query.to_owned(),
        expect: Expectations::default(),
        scalar: None,
        series: Vec::new(),
    };
    match word {
        "eval_fail" => eval.expect.fail = Some(Pattern::Any),
        "eval_warn" => eval.expect.warn.push(Pattern::Any),
        "eval_info" => eval.expect.info.push(Pattern::Any),
        "eval_ordered" => eval.expect.ordered = true,
        _ => {}
    }
    for (used, text) in lines.iter().enumerate() {
        if text.starts_with("eval") || text.starts_with("load ") || *text == "clear" {
            return Some((eval, used));
        }
        if let Some(message) = text.strip_prefix("expected_fail_message") {
            eval.expect.fail = Some(Pattern::Text(message.trim().to_owned()));
        } else if let Some(pattern) = text.strip_prefix("expected_fail_regexp") {
            eval.expect.fail = Some(Pattern::Regex(regex::Regex::new(pattern.trim()).ok()?));
        } else if text.starts_with("expect ") {
            read_expect(text, &mut eval.expect)?;
        } else if let Some(number) = read_number(text) {
            eval.scalar = Some(number);
        } else {
            eval.series.push(read_series(text)?);
        }
    }
    Some((eval, lines.len()))
}

fn read_expect(text: &str, expect: &mut Expectations) -> Option<()> {
    if let Some(range) = text.strip_prefix("expect range vector") {
        let words: Vec<&str> = range.split_whitespace().collect();
        let ["from", start, "to", end, "step", step] = words[..] else {
            return None;
        };
        let times = (
            read_duration(start)?,
            read_duration(end)?,
            read_duration(step)?,
        );
        expect.range_vector = Some(times);
        return Some(());
    }
    if let Some(text) = text.strip_prefix("expect string") {
        expect.string = Some(read_quoted(text.trim())?.0);
        return Some(());
    }
    let rest = text.strip_prefix("expect")?.trim_start();
    let (kind, detail) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let detail = detail.trim();
    let pattern = if let Some(text) = detail.strip_prefix("msg:") {
        Pattern::Text(text.trim().to_owned())
    } else if let Some(pattern) = detail.strip_prefix("regex:") {
        Pattern::Regex(regex::Regex::new(pattern.trim()).ok()?)
    } else {
        Pattern::Any
    };
    match kind {
        "ordered" => expect.ordered = true,
        "fail" => expect.fail = Some(pattern),
        "warn" => expect.warn.push(pattern),
        "info" => expect.info.push(pattern),
        "no_warn" => expect.no_warn = true,
        "no_info" => expect.no_info = true,
        _ => return None,
    }
    Some(())
}

/// Reads `5m` or a number of seconds, either with a sign.
fn read_duration(text: &str) -> Option<i64> {
    if let Some(rest) = text.strip_prefix('-') {
        return read_duration(rest).map(|ms| -ms);
    }
    if let Ok(seconds) = text.parse::<f64>() {
        return Some((seconds * 1000.0) as i64);
    }
    DurationMs::parse(text).ok().map(|span| span.0)
}
