//! History from before as bytes: the name of its file, and what it is the history of. The samples
//! stay in the file, which whoever applies the entry opens.

use std::sync::Arc;

use crate::model::bytes::{ByteReader, ByteWriter, Read};
use crate::model::{Labels, MatchOp, Matcher, Past, PastError, PastSeries, Point, TimestampMs};

const OPS: [MatchOp; 4] = [
    MatchOp::Equal,
    MatchOp::NotEqual,
    MatchOp::Matches,
    MatchOp::NotMatches,
];

/// Appends what is known of a history.
pub fn put(out: &mut ByteWriter, past: &Past) {
    out.text(past.series.name());
    out.signed(past.since.0);
    out.signed(past.until.0);
    out.count(past.matchers.len());
    for matcher in &past.matchers {
        let op = OPS.iter().position(|op| *op == matcher.op);
        out.byte(op.unwrap_or_default() as u8);
        out.text(&matcher.name);
        out.text(&matcher.value);
    }
}

/// Reads what is known of a history.
pub fn read(input: &mut ByteReader<'_>) -> Read<Past> {
    let series = Arc::new(NamedPast(input.text()?.to_owned()));
    let (since, until) = (input.signed()?, input.signed()?);
    let mut matchers = Vec::new();
    for _ in 0..input.count(3)? {
        let op = OPS.get(usize::from(input.byte()?));
        let op = *op.ok_or_else(|| input.malformed("how a matcher compares"))?;
        let matcher = Matcher::new(op, input.text()?, input.text()?);
        matchers.push(matcher.map_err(|_| input.malformed("a matcher"))?);
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
