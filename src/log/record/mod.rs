//! An entry as bytes, and bytes as an entry.
//!
//! A batch lies in columns: handles as differences, which are a byte each where series come in the
//! order in which they first came; timestamps in runs, of which a scrape needs one; values as
//! they are. So a float takes nine to ten bytes. Decoding is total: any bytes give an entry or
//! [`Malformed`], and what is decoded was written so.
//!
//! The version of this encoding is that of the segments ([`crate::log::backend::file`]): whatever
//! changes here changes [`FORMAT`].
//!
//! Cost: encoding about 3 ns a float, decoding about 5 ns.
//!
//! [`FORMAT`]: crate::log::backend::file::FORMAT

mod change;
mod past;
mod rules;

use std::sync::Arc;

use crate::log::bytes::{Input, Malformed, put_float, put_text, put_varint, put_zigzag};
use crate::model::{
    Batch, BucketSpan, CounterResetHint, Entry, FloatHistogram, Generation, Labels, ListedStarts,
    SeriesDefinition, SeriesHandle, Stamp, TimestampMs,
};

const SAMPLES: u8 = 1;
const CLOCK: u8 = 2;
const RULES: u8 = 3;
const PAST: u8 = 4;
const CHANGE: u8 = 5;

/// Appends an entry.
pub fn encode(entry: &Entry, out: &mut Vec<u8>) {
    match entry {
        Entry::Samples {
            stamp,
            generation,
            batch,
        } => {
            out.push(SAMPLES);
            put_stamp(out, stamp);
            put_varint(out, generation.0);
            put_batch(out, batch, stamp.wall);
        }
        Entry::Clock { stamp } => {
            out.push(CLOCK);
            put_stamp(out, stamp);
        }
        Entry::Rules {
            stamp,
            generation,
            rules,
        } => {
            out.push(RULES);
            put_stamp(out, stamp);
            put_varint(out, generation.0);
            rules::put(out, rules);
        }
        Entry::Past { stamp, past } => {
            out.push(PAST);
            put_stamp(out, stamp);
            past::put(out, past);
        }
        Entry::Change { stamp, change } => {
            out.push(CHANGE);
            put_stamp(out, stamp);
            change::put(out, change);
        }
    }
}

/// Returns the entry that all of `bytes` are.
pub fn decode(bytes: &[u8]) -> Result<Entry, Malformed> {
    let mut input = Input::new(bytes);
    let kind = input.byte()?;
    let stamp = stamp(&mut input)?;
    let entry = match kind {
        SAMPLES => Entry::Samples {
            stamp,
            generation: Generation(input.varint()?),
            batch: batch(&mut input, stamp.wall)?,
        },
        CLOCK => Entry::Clock { stamp },
        RULES => Entry::Rules {
            stamp,
            generation: Generation(input.varint()?),
            rules: Arc::new(rules::read(&mut input)?),
        },
        PAST => Entry::Past {
            stamp,
            past: Arc::new(past::read(&mut input)?),
        },
        CHANGE => Entry::Change {
            stamp,
            change: Arc::new(change::read(&mut input)?),
        },
        _ => return Err(Malformed("it is no kind of entry")),
    };
    input.finish()?;
    Ok(entry)
}

fn put_stamp(out: &mut Vec<u8>, stamp: &Stamp) {
    put_varint(out, stamp.sequence);
    put_zigzag(out, stamp.wall.0);
    out.push(u8::from(stamp.clock.is_some()));
    if let Some(clock) = stamp.clock {
        put_zigzag(out, clock.0.wrapping_sub(stamp.wall.0));
    }
}

fn stamp(input: &mut Input<'_>) -> Result<Stamp, Malformed> {
    let sequence = input.varint()?;
    let wall = input.zigzag()?;
    let clock = match input.flag()? {
        true => Some(TimestampMs(wall.wrapping_add(input.zigzag()?))),
        false => None,
    };
    Ok(Stamp {
        sequence,
        wall: TimestampMs(wall),
        clock,
    })
}

fn put_batch(out: &mut Vec<u8>, batch: &Batch, wall: TimestampMs) {
    put_varint(out, batch.definitions.len() as u64);
    let mut handles = Differences::default();
    for definition in &batch.definitions {
        handles.put(out, definition.handle);
        put_labels(out, &definition.labels);
    }
    put_floats(out, &batch.floats, wall);
    put_varint(out, batch.histograms.len() as u64);
    let (mut handles, mut before) = (Differences::default(), wall.0);
    for (handle, at, histogram) in &batch.histograms {
        handles.put(out, *handle);
        put_zigzag(out, at.0.wrapping_sub(before));
        before = at.0;
        put_histogram(out, histogram);
    }
    put_starts(out, &batch.float_starts);
    put_starts(out, &batch.histogram_starts);
}

fn batch(input: &mut Input<'_>, wall: TimestampMs) -> Result<Batch, Malformed> {
    let mut batch = Batch::default();
    let mut handles = Differences::default();
    // A handle and a count of labels each.
    let n_definitions = input.count(2)?;
    batch.definitions.reserve_exact(n_definitions);
    for _ in 0..n_definitions {
        batch.definitions.push(SeriesDefinition {
            handle: handles.read(input)?,
            labels: labels(input)?,
        });
    }
    batch.floats = floats(input, wall)?;
    let (mut handles, mut before) = (Differences::default(), wall.0);
    for _ in 0..input.count(HISTOGRAM_BYTES_MIN)? {
        let handle = handles.read(input)?;
        before = before.wrapping_add(input.zigzag()?);
        let histogram = Arc::new(histogram(input)?);
        let sample = (handle, TimestampMs(before), histogram);
        batch.histograms.push(sample);
    }
    batch.float_starts = starts(input, batch.floats.len())?;
    batch.histogram_starts = starts(input, batch.histograms.len())?;
    Ok(batch)
}

/// Handles as differences from the one before.
#[derive(Default)]
struct Differences {
    before: u32,
}

impl Differences {
    #[inline]
    fn put(&mut self, out: &mut Vec<u8>, handle: SeriesHandle) {
        put_zigzag(out, i64::from(handle.0) - i64::from(self.before));
        self.before = handle.0;
    }

    #[inline]
    fn read(&mut self, input: &mut Input<'_>) -> Result<SeriesHandle, Malformed> {
        let handle = i64::from(self.before).checked_add(input.zigzag()?);
        let handle = handle.and_then(|handle| u32::try_from(handle).ok());
        self.before = handle.ok_or(Malformed("a series has no possible number"))?;
        Ok(SeriesHandle(self.before))
    }
}

fn put_floats(out: &mut Vec<u8>, floats: &[(SeriesHandle, TimestampMs, f64)], wall: TimestampMs) {
    put_varint(out, floats.len() as u64);
    out.reserve(10 * floats.len());
    let mut handles = Differences::default();
    for (handle, ..) in floats {
        handles.put(out, *handle);
    }
    let mut before = wall.0;
    for run in floats.chunk_by(|a, b| a.1 == b.1) {
        let Some((_, at, _)) = run.first() else {
            continue;
        };
        put_varint(out, run.len() as u64);
        put_zigzag(out, at.0.wrapping_sub(before));
        before = at.0;
    }
    for (.., value) in floats {
        put_float(out, *value);
    }
}

fn floats(
    input: &mut Input<'_>,
    wall: TimestampMs,
) -> Result<Vec<(SeriesHandle, TimestampMs, f64)>, Malformed> {
    // A byte of its handle, its value.
    let n_floats = input.count(9)?;
    let mut floats = Vec::with_capacity(n_floats);
    let mut handles = Differences::default();
    for _ in 0..n_floats {
        floats.push((handles.read(input)?, TimestampMs(0), 0.0));
    }
    let (mut rest, mut at) = (floats.as_mut_slice(), wall.0);
    while !rest.is_empty() {
        let n_run = usize::try_from(input.varint()?).unwrap_or(usize::MAX);
        let is_too_long = Malformed("a run of timestamps is empty or too long");
        let run = rest.split_at_mut_checked(n_run).filter(|_| n_run > 0);
        let (run, behind) = run.ok_or(is_too_long)?;
        at = at.wrapping_add(input.zigzag()?);
        for sample in run {
            sample.1 = TimestampMs(at);
        }
        rest = behind;
    }
    let values = input.bytes(8 * n_floats)?;
    let (values, _) = values.as_chunks::<8>();
    for (sample, bits) in floats.iter_mut().zip(values) {
        sample.2 = f64::from_bits(u64::from_le_bytes(*bits));
    }
    Ok(floats)
}

fn put_starts(out: &mut Vec<u8>, starts: &ListedStarts) {
    put_varint(out, starts.iter().count() as u64);
    let mut before = 0;
    for (position, start) in starts.iter() {
        put_varint(out, u64::from(position - before));
        put_zigzag(out, start.0);
        before = position;
    }
}

fn starts(input: &mut Input<'_>, n_samples: usize) -> Result<ListedStarts, Malformed> {
    let mut starts = ListedStarts::default();
    let mut position: usize = 0;
    for number in 0..input.count(2)? {
        let step = usize::try_from(input.varint()?).unwrap_or(usize::MAX);
        position = position.saturating_add(step);
        if position >= n_samples || (number > 0 && step == 0) {
            return Err(Malformed("a start timestamp belongs to no sample"));
        }
        starts.push(position, TimestampMs(input.zigzag()?));
    }
    Ok(starts)
}

/// Appends a label set.
pub fn put_labels(out: &mut Vec<u8>, labels: &Labels) {
    put_varint(out, labels.iter().count() as u64);
    for (name, value) in labels.iter() {
        put_text(out, name);
        put_text(out, value);
    }
}

/// Reads a label set.
pub fn labels(input: &mut Input<'_>) -> Result<Labels, Malformed> {
    let n_labels = input.count(2)?;
    let mut pairs: smallvec::SmallVec<[(&str, &str); 32]> = smallvec::SmallVec::new();
    for _ in 0..n_labels {
        let pair = (input.text()?, input.text()?);
        let is_long = |text: &str| text.len() > Labels::TEXT_BYTES_MAX;
        let is_sorted = pairs.last().is_none_or(|before| before.0 < pair.0);
        if !is_sorted || pair.1.is_empty() || is_long(pair.0) || is_long(pair.1) {
            return Err(Malformed("labels are not as they are kept"));
        }
        pairs.push(pair);
    }
    Ok(Labels::from_sorted(pairs.into_iter()))
}

const HINTS: [CounterResetHint; 4] = [
    CounterResetHint::Unknown,
    CounterResetHint::Reset,
    CounterResetHint::NotReset,
    CounterResetHint::Gauge,
];

/// Two differences, the hint, the schema, four floats, five counts.
const HISTOGRAM_BYTES_MIN: usize = 2 + 1 + 1 + 4 * 8 + 5;

fn put_histogram(out: &mut Vec<u8>, histogram: &FloatHistogram) {
    let hint = HINTS
        .iter()
        .position(|hint| *hint == histogram.counter_reset_hint);
    out.push(hint.unwrap_or_default() as u8);
    put_zigzag(out, i64::from(histogram.schema));
    for value in [
        histogram.zero_threshold,
        histogram.zero_count,
        histogram.count,
        histogram.sum,
    ] {
        put_float(out, value);
    }
    for spans in [&histogram.positive_spans, &histogram.negative_spans] {
        put_varint(out, spans.len() as u64);
        for span in spans {
            put_zigzag(out, i64::from(span.offset));
            put_varint(out, u64::from(span.length));
        }
    }
    for values in [
        &histogram.positive_buckets,
        &histogram.negative_buckets,
        &histogram.custom_values,
    ] {
        put_varint(out, values.len() as u64);
        values.iter().for_each(|value| put_float(out, *value));
    }
}

fn histogram(input: &mut Input<'_>) -> Result<FloatHistogram, Malformed> {
    let hint = HINTS.get(usize::from(input.byte()?));
    let small = |value: i64| i32::try_from(value).map_err(|_| Malformed("a number is too large"));
    let mut histogram = FloatHistogram {
        counter_reset_hint: *hint.ok_or(Malformed("a hint about resets is none"))?,
        schema: small(input.zigzag()?)?,
        zero_threshold: input.float()?,
        zero_count: input.float()?,
        count: input.float()?,
        sum: input.float()?,
        ..FloatHistogram::default()
    };
    for spans in [&mut histogram.positive_spans, &mut histogram.negative_spans] {
        for _ in 0..input.count(2)? {
            spans.push(BucketSpan {
                offset: small(input.zigzag()?)?,
                length: input.varint32()?,
            });
        }
    }
    for values in [
        &mut histogram.positive_buckets,
        &mut histogram.negative_buckets,
        &mut histogram.custom_values,
    ] {
        let n_values = input.count(8)?;
        values.reserve_exact(n_values);
        for _ in 0..n_values {
            values.push(input.float()?);
        }
    }
    Ok(histogram)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Change, EngineSettings, RuleSource};
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn any_stamp() -> impl Strategy<Value = Stamp> {
        let clock = prop::option::of(any::<i64>().prop_map(TimestampMs));
        (any::<u64>(), any::<i64>(), clock).prop_map(|(sequence, wall, clock)| Stamp {
            sequence,
            wall: TimestampMs(wall),
            clock,
        })
    }

    fn any_labels() -> impl Strategy<Value = Labels> {
        vec(("[a-z_]{1,8}", "\\PC{0,12}"), 0..6).prop_map(Labels::from_pairs)
    }

    fn any_histogram() -> impl Strategy<Value = Arc<FloatHistogram>> {
        let spans = || vec((any::<i32>(), any::<u32>()), 0..4);
        let floats = || vec(any::<u64>().prop_map(f64::from_bits), 0..6);
        let parts = (
            0..4usize,
            any::<i32>(),
            floats(),
            floats(),
            spans(),
            spans(),
        );
        parts.prop_map(|(hint, schema, buckets, values, positive, negative)| {
            let spans = |spans: Vec<(i32, u32)>| {
                let span = |(offset, length)| BucketSpan { offset, length };
                spans.into_iter().map(span).collect()
            };
            Arc::new(FloatHistogram {
                counter_reset_hint: HINTS[hint],
                schema,
                sum: buckets.first().copied().unwrap_or_default(),
                positive_spans: spans(positive),
                negative_spans: spans(negative),
                negative_buckets: values.clone(),
                positive_buckets: buckets,
                custom_values: values,
                ..FloatHistogram::default()
            })
        })
    }

    fn any_batch() -> impl Strategy<Value = Batch> {
        let handle = || any::<u32>().prop_map(SeriesHandle);
        let at = || prop_oneof![Just(1_000), 0..9_000_i64, any::<i64>()].prop_map(TimestampMs);
        let definitions = vec((handle(), any_labels()), 0..4);
        let float = (handle(), at(), any::<u64>().prop_map(f64::from_bits));
        let histogram = (handle(), at(), any_histogram());
        let starts = || vec(at(), 0..20);
        let parts = (
            definitions,
            vec(float, 0..20),
            vec(histogram, 0..4),
            starts(),
            starts(),
        );
        parts.prop_map(|(definitions, floats, histograms, starts, more_starts)| {
            let listed = |starts: Vec<TimestampMs>, n: usize| {
                let mut listed = ListedStarts::default();
                let starts = starts.into_iter().take(n).enumerate();
                starts.for_each(|(position, start)| listed.push(position, start));
                listed
            };
            let define = |(handle, labels)| SeriesDefinition { handle, labels };
            Batch {
                definitions: definitions.into_iter().map(define).collect(),
                float_starts: listed(starts, floats.len()),
                histogram_starts: listed(more_starts, histograms.len()),
                floats,
                histograms,
            }
        })
    }

    fn any_entry() -> impl Strategy<Value = Entry> {
        let rules = vec(("\\PC{0,9}", "\\PC{0,40}"), 0..3).prop_map(|files| {
            Arc::new(RuleSource {
                files,
                settings: EngineSettings::default(),
            })
        });
        let generation = || any::<u64>().prop_map(Generation);
        prop_oneof![
            8 => (any_stamp(), generation(), any_batch()).prop_map(|(stamp, generation, batch)| {
                Entry::Samples { stamp, generation, batch }
            }),
            1 => any_stamp().prop_map(|stamp| Entry::Clock { stamp }),
            1 => (any_stamp(), generation(), rules).prop_map(|(stamp, generation, rules)| {
                Entry::Rules { stamp, generation, rules }
            }),
            1 => (any_stamp(), any::<i64>(), any_labels(), vec("\\PC{0,9}", 4)).prop_map(
                |(stamp, at, labels, texts)| {
                    let text = |at: usize| texts[at].clone();
                    let change = Arc::new(Change {
                        at: TimestampMs(at),
                        kind: text(0),
                        labels,
                        version: text(1),
                        text: text(2),
                        link: text(3),
                    });
                    Entry::Change { stamp, change }
                }
            ),
        ]
    }

    fn bytes_of(entry: &Entry) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(entry, &mut bytes);
        bytes
    }

    proptest! {
        /// Bits of floats included, which `==` would not look at.
        #[test]
        fn entries_come_back(entry in any_entry()) {
            let bytes = bytes_of(&entry);
            let again = decode(&bytes).expect("it was encoded");
            prop_assert_eq!(&bytes_of(&again), &bytes);
            let texts = (format!("{again:?}"), format!("{entry:?}"));
            prop_assert_eq!(texts.0, texts.1);
        }

        /// Any bytes are an entry or an error, and what is an entry says all of it.
        #[test]
        fn decoding_is_total(
            entry in any_entry(),
            damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = bytes_of(&entry);
            prop_assert!(decode(&bytes[..cut.index(bytes.len())]).is_err());
            for (at, byte) in damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Ok(read) = decode(&bytes) {
                let again = decode(&bytes_of(&read)).expect("it was encoded");
                prop_assert_eq!(format!("{again:?}"), format!("{read:?}"));
            }
        }
    }

    #[test]
    fn a_float_of_a_scrape_takes_ten_bytes() {
        let float = |n: u32| (SeriesHandle(3 * n), TimestampMs(5), f64::from(n));
        let entry = Entry::Samples {
            stamp: Stamp {
                sequence: 1,
                wall: TimestampMs(9),
                clock: None,
            },
            generation: Generation(1),
            batch: Batch {
                floats: (0..1000).map(float).collect(),
                ..Batch::default()
            },
        };
        let n_bytes = bytes_of(&entry).len();
        assert!((9_000..10_000).contains(&n_bytes), "{n_bytes}");
    }
}
