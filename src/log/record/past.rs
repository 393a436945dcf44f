//! History from before as bytes: the name of its file, and what it is the history of. The samples
//! stay in the file, which whoever applies the entry opens.

use std::sync::Arc;

use crate::log::bytes::{Input, Malformed, put_text, put_varint, put_zigzag};
use crate::model::{Labels, MatchOp, Matcher, Past, PastError, PastSeries, Point, TimestampMs};

const OPS: [MatchOp; 4] = [
    MatchOp::Equal,
    MatchOp::NotEqual,
    MatchOp::Matches,
    MatchOp::NotMatches,
];

/// Appends what is known of a history.
pub fn put(out: &mut Vec<u8>, past: &Past) {
    put_text(out, past.series.name());
    put_zigzag(out, past.since.0);
    put_zigzag(out, past.until.0);
    put_varint(out, past.matchers.len() as u64);
    for matcher in &past.matchers {
        let op = OPS.iter().position(|op| *op == matcher.op);
        out.push(op.unwrap_or_default() as u8);
        put_text(out, &matcher.name);
        put_text(out, &matcher.value);
    }
}

/// Reads what is known of a history.
pub fn read(input: &mut Input<'_>) -> Result<Past, Malformed> {
    let series = Arc::new(NamedPast(input.text()?.to_owned()));
    let (since, until) = (input.zigzag()?, input.zigzag()?);
    let mut matchers = Vec::new();
    for _ in 0..input.count(3)? {
        let op = OPS.get(usize::from(input.byte()?));
        let op = *op.ok_or(Malformed("a matcher compares in no way"))?;
        let matcher = Matcher::new(op, input.text()?, input.text()?);
        matchers.push(matcher.map_err(|_| Malformed("a matcher is none"))?);
    }
    Ok(Past {
        matchers,
        since: TimestampMs(since),
        until: TimestampMs(until),
        series,
    })
}

/// A history of which only the name is known.
#[derive(Debug)]
struct NamedPast(String);

impl PastSeries for NamedPast {
    fn name(&self) -> &str {
        &self.0
    }

    fn is_named_only(&self) -> bool {
        true
    }

    fn visit(&self, _: &mut dyn FnMut(Labels, Vec<Point>)) -> Result<(), PastError> {
        Err(PastError {
            name: self.0.clone(),
            reason: "its file was not opened".to_owned(),
        })
    }
}
