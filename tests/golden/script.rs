//! The script language of promqltest: `load`, `clear`, `eval`, `expect`.
//!
//! It is read as its own reader does, down to where a block ends, and what that reader would
//! refuse is refused here: a line that is skipped is a test that cannot fail.

use burnwatch::model::Labels;
use regex::Regex;

use crate::notation::{Point, is_start_line, read_duration, read_series, read_starts};

#[derive(Clone, Debug)]
pub enum Command {
    Clear,
    Load(Load),
    Eval(Box<Eval>),
}

#[derive(Clone, Debug)]
pub struct Load {
    pub step_ms: i64,
    pub with_nhcb: bool,
    pub series: Vec<LoadedSeries>,
}

#[derive(Clone, Debug)]
pub struct LoadedSeries {
    pub labels: Labels,
    pub points: Vec<Point>,
    /// Of each point, its start timestamp relative to its own, ms; empty when none has one.
    pub starts: Vec<Option<i64>>,
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
    Regex(Regex),
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
    /// `eval_warn`, `eval_info`: there is at least one, and nothing is said of the others.
    pub some_warn: bool,
    pub some_info: bool,
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
    let blank_comment = |line| match str::trim(line) {
        comment if comment.starts_with('#') => "",
        line => line,
    };
    let lines: Vec<&str> = text.lines().map(blank_comment).collect();
    let mut commands = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let head = lines[at];
        at += 1;
        if head.is_empty() {
            continue;
        }
        let wrong = |what: String| format!("line {at}: {what}: {head}");
        let length = lines[at..].iter().take_while(|line| !line.is_empty());
        let block = &lines[at..at + length.count()];
        let word = head.split_whitespace().next().unwrap_or_default();
        let n_used = if word == "clear" {
            commands.push(Command::Clear);
            0
        } else if word.starts_with("load") {
            commands.push(Command::Load(read_load(head, block).map_err(wrong)?));
            block.len()
        } else if word.starts_with("eval") {
            let (eval, n_used) = read_eval(head, block, at).map_err(wrong)?;
            commands.push(Command::Eval(Box::new(eval)));
            n_used
        } else {
            return Err(wrong("no command".to_owned()));
        };
        at += n_used;
    }
    Ok(commands)
}

fn captures<'t>(pattern: &str, text: &'t str) -> Option<regex::Captures<'t>> {
    Regex::new(pattern).unwrap().captures(text)
}

fn read_load(head: &str, lines: &[&str]) -> Result<Load, String> {
    let found = captures(r"^load(?:_(with_nhcb))?\s+(.+?)$", head).ok_or("load")?;
    let mut series = Vec::new();
    let mut starts: Option<(Labels, Vec<Option<i64>>)> = None;
    for line in lines {
        if is_start_line(line) {
            if starts.is_some() {
                return Err(format!("{line}: start timestamps without samples before"));
            }
            starts = Some(read_starts(line)?);
            continue;
        }
        let (labels, points) = read_series(line)?;
        let starts = match starts.take() {
            Some((of, starts)) if of == labels && starts.len() == points.len() => starts,
            Some(_) => return Err(format!("{line}: not what the start timestamps are of")),
            None => Vec::new(),
        };
        series.push(LoadedSeries {
            labels,
            points,
            starts,
        });
    }
    if starts.is_some() {
        return Err("start timestamps without samples".to_owned());
    }
    Ok(Load {
        step_ms: read_duration(&found[2]).ok_or("step")?,
        with_nhcb: found.get(1).is_some(),
        series,
    })
}

/// Reads the times of `from … to … step …`.
fn read_times(found: &regex::Captures<'_>, first: usize) -> Result<(i64, i64, i64), String> {
    let time = |index: usize| read_duration(&found[index]).ok_or("time");
    let (start, end, step) = (time(first)?, time(first + 1)?, time(first + 2)?);
    if end < start {
        return Err("it ends before it starts".to_owned());
    }
    Ok((start, end, step))
}

/// Reads an `eval` command; returns how many of the lines below it belong to it.
fn read_eval(head: &str, lines: &[&str], line: usize) -> Result<(Eval, usize), String> {
    let instant = r"^eval(?:_(fail|warn|ordered|info))?\s+instant\s+(?:at\s+(.+?))?\s+(.+)$";
    let range =
        r"^eval(?:_(fail|warn|info))?\s+range\s+from\s+(.+)\s+to\s+(.+)\s+step\s+(.+?)\s+(.+)$";
    let (found, when, query) = if let Some(found) = captures(instant, head) {
        let at = found.get(2).ok_or("no time")?.as_str();
        let when = When::Instant(read_duration(at).ok_or("time")?);
        let query = found[3].to_owned();
        (found, when, query)
    } else {
        let found = captures(range, head).ok_or("eval")?;
        let (start, end, step) = read_times(&found, 2)?;
        let query = found[5].to_owned();
        (found, When::Range { start, end, step }, query)
    };
    let mut eval = Eval {
        line,
        when,
        query,
        expect: Expectations::default(),
        scalar: None,
        series: Vec::new(),
    };
    let expect = &mut eval.expect;
    let word = found.get(1).map_or("", |word| word.as_str());
    match word {
        "fail" => expect.fail = Some(Pattern::Any),
        "warn" => expect.some_warn = true,
        "info" => expect.some_info = true,
        "ordered" => expect.ordered = true,
        _ => {}
    }
    for (used, text) in lines.iter().enumerate() {
        if word == "fail"
            && let Some(message) = text.strip_prefix("expected_fail_message")
        {
            eval.expect.fail = Some(Pattern::Text(message.trim().to_owned()));
            return Ok((eval, used + 1));
        }
        if word == "fail"
            && let Some(pattern) = text.strip_prefix("expected_fail_regexp")
        {
            eval.expect.fail = Some(read_regex(pattern)?);
            return Ok((eval, used + 1));
        }
        if text.split(' ').next() == Some("expect") {
            read_expect(text, &mut eval.expect)?;
        } else if let Some(number) = read_number(text) {
            eval.scalar = Some(number);
            return Ok((eval, used + 1));
        } else {
            let series = read_series(text)?;
            let is_instant = matches!(eval.when, When::Instant(_));
            if series.1.len() > 1 && is_instant && eval.expect.range_vector.is_none() {
                return Err(format!("{text}: an instant has one value"));
            }
            eval.series.push(series);
        }
    }
    Ok((eval, lines.len()))
}

fn read_regex(pattern: &str) -> Result<Pattern, String> {
    let regex = Regex::new(pattern.trim()).map_err(|e| e.to_string())?;
    Ok(Pattern::Regex(regex))
}

fn read_expect(text: &str, expect: &mut Expectations) -> Result<(), String> {
    let range = r"^expect range vector\s+from\s+(.+)\s+to\s+(.+)\s+step\s+(.+)$";
    if let Some(found) = captures(range, text) {
        expect.range_vector = Some(read_times(&found, 1)?);
        return Ok(());
    }
    if let Some(quoted) = text.strip_prefix("expect string ") {
        expect.string = Some(read_quoted(quoted).ok_or_else(|| text.to_owned())?);
        return Ok(());
    }
    let pattern = r"^expect\s+(ordered|fail|warn|no_warn|info|no_info)(?:\s+(regex|msg):(.+))?$";
    let found = captures(pattern, text).ok_or_else(|| text.to_owned())?;
    let pattern = match found.get(2).map(|kind| kind.as_str()) {
        Some("msg") => Pattern::Text(found[3].trim().to_owned()),
        Some(_) => read_regex(&found[3])?,
        None => Pattern::Any,
    };
    match &found[1] {
        "ordered" => expect.ordered = true,
        "fail" if expect.fail.is_some() => return Err("it fails once".to_owned()),
        "fail" => expect.fail = Some(pattern),
        "warn" => expect.warn.push(pattern),
        "info" => expect.info.push(pattern),
        "no_warn" => expect.no_warn = true,
        _ => expect.no_info = true,
    }
    let contradicts = |some: &[Pattern], none: bool| none && !some.is_empty();
    if contradicts(&expect.warn, expect.no_warn) || contradicts(&expect.info, expect.no_info) {
        return Err(format!("{text}: contradicts a line above"));
    }
    Ok(())
}

/// Reads a text as the expression language writes it.
fn read_quoted(quoted: &str) -> Option<String> {
    let expr = burnwatch::promql::parse(
        quoted,
        &burnwatch::functions::Functions,
        burnwatch::promql::Features::ALL,
    );
    match expr.ok()?.kind {
        burnwatch::promql::ast::ExprKind::String(text) => Some(text),
        _ => None,
    }
}

/// Reads a number as Go does: an integer of any base, or a float.
fn read_number(text: &str) -> Option<f64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1.0, digits),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_lowercase();
    let of_base = |prefix: &str, base| {
        let digits = lower.strip_prefix(prefix)?;
        i64::from_str_radix(digits, base).ok()
    };
    let integer = of_base("0x", 16).or_else(|| of_base("0o", 8));
    if let Some(integer) = integer.or_else(|| of_base("0b", 2)) {
        return Some(sign * integer as f64);
    }
    match lower.as_str() {
        "inf" | "infinity" => Some(sign * f64::INFINITY),
        "nan" => Some(f64::NAN),
        _ if digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') => {
            digits.parse::<f64>().ok().map(|value| sign * value)
        }
        _ => None,
    }
}
