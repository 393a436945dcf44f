//! A native histogram on the wire, the same in both protocols: integer counts as deltas or float
//! counts, and Prometheus' checks on them.
//!
//! It is read into memory that is reused, checked there, and becomes a [`FloatHistogram`] only
//! where a rule reads it.

use crate::ingest::decode::wire::{DecodeError, Reader, WireType, expect, zigzag};
use crate::model::histogram::CUSTOM_BUCKETS_SCHEMA;
use crate::model::{BucketSpan, CounterResetHint, FloatHistogram, TimestampMs};

/// The finest schema that is kept; finer ones, up to [`FINEST_SCHEMA_READ`], are coarsened.
const SCHEMA_MAX: i32 = 8;
/// The finest schema that the format may one day use.
const FINEST_SCHEMA_READ: i32 = 52;
/// The coarsest schema.
const SCHEMA_MIN: i32 = -4;

/// A count as integer or float: the sender's choice for the whole histogram.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Count {
    Integer(u64),
    Float(f64),
}

/// One side's buckets as sent.
#[derive(Clone, Debug, Default)]
struct Side {
    spans: Vec<BucketSpan>,
    deltas: Vec<i64>,
    counts: Vec<f64>,
}

/// A histogram as sent.
#[derive(Clone, Debug)]
pub struct RawHistogram {
    count: Count,
    zero_count: Count,
    sum: f64,
    schema: i32,
    zero_threshold: f64,
    negative: Side,
    positive: Side,
    reset_hint: u64,
    custom_values: Vec<f64>,
    start: i64,
}

impl Default for RawHistogram {
    fn default() -> Self {
        RawHistogram {
            count: Count::Integer(0),
            zero_count: Count::Integer(0),
            sum: 0.0,
            schema: 0,
            zero_threshold: 0.0,
            negative: Side::default(),
            positive: Side::default(),
            reset_hint: 0,
            custom_values: Vec::new(),
            start: 0,
        }
    }
}

impl RawHistogram {
    /// Reads a `Histogram` into this memory and returns its timestamp.
    pub fn read(&mut self, bytes: &[u8]) -> Result<TimestampMs, DecodeError> {
        self.clear();
        let mut at = 0;
        let mut reader = Reader::new(bytes);
        while !reader.is_empty() {
            let (field, wire_type) = reader.tag()?;
            let is = |wanted| expect("Histogram", field, wire_type, wanted);
            match field {
                1 | 4 | 6 | 14 | 15 | 17 => {
                    is(WireType::Varint)?;
                    let number = reader.varint()?;
                    match field {
                        1 => self.count = Count::Integer(number),
                        4 => self.schema = zigzag(u64::from(number as u32)) as i32,
                        6 => self.zero_count = Count::Integer(number),
                        14 => self.reset_hint = number,
                        15 => at = number as i64,
                        _ => self.start = number as i64,
                    }
                }
                2 | 3 | 5 | 7 => {
                    is(WireType::Fixed64)?;
                    let number = reader.double()?;
                    match field {
                        2 => self.count = Count::Float(number),
                        3 => self.sum = number,
                        5 => self.zero_threshold = number,
                        _ => self.zero_count = Count::Float(number),
                    }
                }
                8 | 11 => {
                    is(WireType::Bytes)?;
                    let span = span(reader.bytes()?)?;
                    self.side(field == 8).spans.push(span);
                }
                9 | 12 => deltas(&mut reader, wire_type, &mut self.side(field == 9).deltas)?,
                10 | 13 => doubles(&mut reader, wire_type, &mut self.side(field == 10).counts)?,
                16 => doubles(&mut reader, wire_type, &mut self.custom_values)?,
                _ => reader.skip(wire_type)?,
            }
        }
        Ok(TimestampMs(at))
    }

    /// Returns the start timestamp, which 1.0 does not have.
    pub fn start(&self) -> TimestampMs {
        TimestampMs(self.start)
    }

    /// Returns the number of buckets and spans as sent.
    pub fn n_buckets(&self) -> usize {
        let sides = [&self.negative, &self.positive];
        let of_side = |side: &&Side| side.spans.len() + side.deltas.len().max(side.counts.len());
        sides.iter().map(of_side).sum::<usize>() + self.custom_values.len()
    }

    fn side(&mut self, negative: bool) -> &mut Side {
        if negative {
            &mut self.negative
        } else {
            &mut self.positive
        }
    }

    fn clear(&mut self) {
        self.count = Count::Integer(0);
        self.zero_count = Count::Integer(0);
        (self.sum, self.zero_threshold) = (0.0, 0.0);
        (self.schema, self.reset_hint) = (0, 0);
        self.start = 0;
        for side in [&mut self.negative, &mut self.positive] {
            side.spans.clear();
            side.deltas.clear();
            side.counts.clear();
        }
        self.custom_values.clear();
    }

    fn is_float(&self) -> bool {
        matches!(self.count, Count::Float(_))
    }

    /// Checks the histogram as Prometheus does before storing one, and says what is wrong.
    pub fn check(&mut self) -> Result<(), String> {
        self.make_absolute()?;
        let (count, zero_count) = (self.count_as_float(), self.zero_count_as_float());
        if self.schema == CUSTOM_BUCKETS_SCHEMA {
            self.check_custom(zero_count)?;
        } else if (SCHEMA_MIN..=FINEST_SCHEMA_READ).contains(&self.schema) {
            check_spans("positive", &self.positive)?;
            check_spans("negative", &self.negative)?;
            if !self.custom_values.is_empty() {
                return Err("an exponential schema must not have custom bounds".to_owned());
            }
        } else {
            return Err(format!("invalid schema {}", self.schema));
        }
        for (name, side) in [("positive", &self.positive), ("negative", &self.negative)] {
            if let Some(at) = side.counts.iter().position(|count| *count < 0.0) {
                return Err(format!(
                    "{name} bucket number {} has a negative count",
                    at + 1
                ));
            }
        }
        if count < 0.0 || zero_count < 0.0 {
            return Err("the observation count or the zero bucket is negative".to_owned());
        }
        if let Count::Integer(count) = self.count {
            self.check_integer_count(count)?;
        }
        Ok(())
    }

    /// An integer histogram's buckets add up to its count; observations of NaN are in no bucket.
    fn check_integer_count(&self, count: u64) -> Result<(), String> {
        let Count::Integer(zero_count) = self.zero_count else {
            return Ok(());
        };
        let mut total = u128::from(zero_count);
        for side in [&self.positive, &self.negative] {
            let mut bucket = 0i128;
            for delta in &side.deltas {
                bucket += i128::from(*delta);
                total += bucket.max(0) as u128;
            }
        }
        let agrees = if self.sum.is_nan() {
            total <= u128::from(count)
        } else {
            total == u128::from(count)
        };
        if agrees {
            return Ok(());
        }
        Err(format!(
            "{total} observations found in buckets, but the count is {count}"
        ))
    }

    fn check_custom(&self, zero_count: f64) -> Result<(), String> {
        let bounds = &self.custom_values;
        if bounds.iter().any(|bound| bound.is_nan()) {
            return Err("custom bounds must not be NaN".to_owned());
        }
        if !bounds.is_sorted_by(|a, b| a < b) {
            return Err("custom bounds must be in strictly increasing order".to_owned());
        }
        if bounds.last() == Some(&f64::INFINITY) {
            return Err("the last +Inf custom bound must not be given".to_owned());
        }
        if zero_count != 0.0 || self.zero_threshold != 0.0 {
            return Err("custom buckets have no zero bucket".to_owned());
        }
        if !self.negative.spans.is_empty() || !self.negative.counts.is_empty() {
            return Err("custom buckets have no negative side".to_owned());
        }
        check_spans("positive", &self.positive)?;
        let spans = &self.positive.spans;
        if spans.iter().any(|span| span.offset < 0) {
            return Err("a span of custom buckets has a negative offset".to_owned());
        }
        let reach = |span: &BucketSpan| i64::from(span.offset) + i64::from(span.length);
        let reach: i64 = spans.iter().map(reach).sum();
        if bounds.len() as i64 + 1 < reach {
            return Err(format!(
                "only {} custom bounds for spans that reach {reach} buckets",
                bounds.len()
            ));
        }
        Ok(())
    }

    /// Turns deltas into counts, so that both forms are checked and built alike.
    fn make_absolute(&mut self) -> Result<(), String> {
        if self.is_float() {
            return Ok(());
        }
        for side in [&mut self.negative, &mut self.positive] {
            let mut bucket = 0i64;
            side.counts.clear();
            for delta in &side.deltas {
                bucket = bucket
                    .checked_add(*delta)
                    .ok_or_else(|| "a bucket's count overflows".to_owned())?;
                side.counts.push(bucket as f64);
            }
        }
        Ok(())
    }

    fn count_as_float(&self) -> f64 {
        match self.count {
            Count::Integer(count) => count as f64,
            Count::Float(count) => count,
        }
    }

    fn zero_count_as_float(&self) -> f64 {
        // A zero bucket in the other form than the count is as good as absent.
        match (self.count, self.zero_count) {
            (Count::Integer(_), Count::Integer(zero)) => zero as f64,
            (Count::Float(_), Count::Float(zero)) => zero,
            _ => 0.0,
        }
    }

    /// Builds the histogram; call [`RawHistogram::check`] first.
    pub fn build(&self) -> FloatHistogram {
        let (positive_spans, positive_buckets) = self.coarsened(&self.positive);
        let (negative_spans, negative_buckets) = self.coarsened(&self.negative);
        FloatHistogram {
            counter_reset_hint: match self.reset_hint {
                1 => CounterResetHint::Reset,
                2 => CounterResetHint::NotReset,
                3 => CounterResetHint::Gauge,
                _ => CounterResetHint::Unknown,
            },
            schema: self.schema.min(SCHEMA_MAX),
            zero_threshold: self.zero_threshold,
            zero_count: self.zero_count_as_float(),
            count: self.count_as_float(),
            sum: self.sum,
            positive_spans,
            negative_spans,
            positive_buckets,
            negative_buckets,
            custom_values: self.custom_values.clone(),
        }
    }

    /// Merges neighbouring buckets until the schema is one that is kept.
    fn coarsened(&self, side: &Side) -> (Vec<BucketSpan>, Vec<f64>) {
        if self.schema <= SCHEMA_MAX {
            return (side.spans.clone(), side.counts.clone());
        }
        let halvings = self.schema - SCHEMA_MAX;
        let (mut spans, mut counts) = (Vec::<BucketSpan>::new(), Vec::<f64>::new());
        let (mut index, mut end, mut bucket) = (0i64, None::<i64>, side.counts.iter());
        for span in &side.spans {
            index += i64::from(span.offset);
            for _ in 0..span.length {
                // Bucket i covers (base^(i-1), base^i].
                let merged = ((index - 1) >> halvings) + 1;
                let count = bucket.next().copied().unwrap_or(0.0);
                match (end, spans.last_mut(), counts.last_mut()) {
                    (Some(end), _, Some(last)) if merged < end => *last += count,
                    (Some(end), Some(last), _) if merged == end => {
                        last.length += 1;
                        counts.push(count);
                    }
                    _ => {
                        let offset = (merged - end.unwrap_or(0)) as i32;
                        spans.push(BucketSpan { offset, length: 1 });
                        counts.push(count);
                    }
                }
                end = Some(merged + 1);
                index += 1;
            }
        }
        (spans, counts)
    }
}

fn check_spans(name: &str, side: &Side) -> Result<(), String> {
    if let Some(at) = side.spans.iter().skip(1).position(|span| span.offset < 0) {
        return Err(format!(
            "{name} span number {} has a negative offset",
            at + 2
        ));
    }
    let wanted: u64 = side.spans.iter().map(|span| u64::from(span.length)).sum();
    if wanted != side.counts.len() as u64 {
        return Err(format!(
            "{name} spans need {wanted} buckets, have {} buckets",
            side.counts.len()
        ));
    }
    Ok(())
}

fn span(bytes: &[u8]) -> Result<BucketSpan, DecodeError> {
    let mut span = BucketSpan {
        offset: 0,
        length: 0,
    };
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        let (field, wire_type) = reader.tag()?;
        match field {
            1 | 2 => {
                expect("BucketSpan", field, wire_type, WireType::Varint)?;
                let number = reader.varint()? as u32;
                match field {
                    1 => span.offset = zigzag(u64::from(number)) as i32,
                    _ => span.length = number,
                }
            }
            _ => reader.skip(wire_type)?,
        }
    }
    Ok(span)
}

fn deltas(
    reader: &mut Reader<'_>,
    wire_type: WireType,
    deltas: &mut Vec<i64>,
) -> Result<(), DecodeError> {
    if wire_type == WireType::Varint {
        deltas.push(zigzag(reader.varint()?));
        return Ok(());
    }
    expect("Histogram deltas", 9, wire_type, WireType::Bytes)?;
    let mut packed = Reader::new(reader.bytes()?);
    while !packed.is_empty() {
        deltas.push(zigzag(packed.varint()?));
    }
    Ok(())
}

fn doubles(
    reader: &mut Reader<'_>,
    wire_type: WireType,
    doubles: &mut Vec<f64>,
) -> Result<(), DecodeError> {
    if wire_type == WireType::Fixed64 {
        doubles.push(reader.double()?);
        return Ok(());
    }
    expect("Histogram counts", 10, wire_type, WireType::Bytes)?;
    let mut packed = Reader::new(reader.bytes()?);
    while !packed.is_empty() {
        doubles.push(packed.double()?);
    }
    Ok(())
}
