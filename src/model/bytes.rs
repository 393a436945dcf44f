//! Values as bytes and back, for what is kept in files: numbers of varying length, texts, labels,
//! histograms.
//!
//! Reading is total: any bytes give a value or [`Malformed`], and nothing is allocated that the
//! bytes there are could not fill. What is kept says for itself which version it is of; here there
//! are only the letters.
//!
//! Numbers are LEB128, signed ones in zigzag, floats their eight bytes, little-endian.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::model::{
    BucketSpan, CounterResetHint, DurationMs, FloatHistogram, Labels, SampleValue, TimestampMs,
};

/// Bytes that are not what they were read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{wanted} was expected at byte {at}")]
pub struct Malformed {
    /// What should have been there.
    pub wanted: &'static str,
    /// Where, counted from the beginning of what is read.
    pub at: usize,
}

/// Bytes that grow by one value after another.
#[derive(Clone, Debug, Default)]
pub struct ByteWriter {
    bytes: Vec<u8>,
}

impl From<Vec<u8>> for ByteWriter {
    /// Goes on behind `bytes`.
    fn from(bytes: Vec<u8>) -> Self {
        ByteWriter { bytes }
    }
}

impl ByteWriter {
    /// Returns the bytes so far.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Takes the bytes out and begins anew.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// Returns how many bytes there are.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Tells whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Makes room for so many more bytes.
    pub fn reserve(&mut self, n_bytes: usize) {
        self.bytes.reserve(n_bytes);
    }

    /// Puts one byte.
    #[inline]
    pub fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// Puts a yes or no.
    pub fn flag(&mut self, flag: bool) {
        self.byte(flag.into());
    }

    /// Puts a whole number; small ones take few bytes.
    #[inline]
    pub fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    /// Puts how many of something follow, or a place in a list.
    #[inline]
    pub fn count(&mut self, count: usize) {
        self.number(count as u64);
    }

    /// Puts a whole number that may be negative; those near zero take few bytes.
    #[inline]
    pub fn signed(&mut self, number: i64) {
        self.number((number << 1) as u64 ^ (number >> 63) as u64);
    }

    /// Puts a float, bit for bit.
    #[inline]
    pub fn float(&mut self, float: f64) {
        self.word(float.to_bits());
    }

    /// Puts eight bytes.
    #[inline]
    pub fn word(&mut self, word: u64) {
        self.bytes.extend_from_slice(&word.to_le_bytes());
    }

    /// Puts an instant.
    #[inline]
    pub fn instant(&mut self, at: TimestampMs) {
        self.signed(at.0);
    }

    /// Puts a span of time.
    pub fn span(&mut self, span: DurationMs) {
        self.signed(span.0);
    }

    /// Puts a value that may be missing.
    pub fn option<T>(&mut self, value: Option<T>, put: impl FnOnce(&mut Self, T)) {
        self.flag(value.is_some());
        if let Some(value) = value {
            put(self, value);
        }
    }

    /// Puts a list: how many, then each.
    pub fn list<T>(
        &mut self,
        values: impl ExactSizeIterator<Item = T>,
        mut put: impl FnMut(&mut Self, T),
    ) {
        self.count(values.len());
        values.for_each(|value| put(self, value));
    }

    /// Puts bytes behind their number.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.bytes.extend_from_slice(bytes);
    }

    /// Puts a text.
    pub fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Puts a label set.
    pub fn labels(&mut self, labels: &Labels) {
        self.count(labels.len());
        for (name, value) in labels.iter() {
            self.text(name);
            self.text(value);
        }
    }

    /// Puts a native histogram.
    pub fn histogram(&mut self, histogram: &FloatHistogram) {
        let h = histogram;
        self.byte(match h.counter_reset_hint {
            CounterResetHint::Unknown => 0,
            CounterResetHint::Reset => 1,
            CounterResetHint::NotReset => 2,
            CounterResetHint::Gauge => 3,
        });
        self.signed(h.schema.into());
        for float in [h.zero_threshold, h.zero_count, h.count, h.sum] {
            self.float(float);
        }
        for spans in [&h.positive_spans, &h.negative_spans] {
            self.list(spans.iter(), |out, span| {
                out.signed(span.offset.into());
                out.number(span.length.into());
            });
        }
        for floats in [&h.positive_buckets, &h.negative_buckets, &h.custom_values] {
            self.list(floats.iter(), |out, float| out.float(*float));
        }
    }

    /// Puts what a sample holds.
    pub fn value(&mut self, value: &SampleValue) {
        match value {
            SampleValue::Float(float) => {
                self.byte(0);
                self.float(*float);
            }
            SampleValue::Histogram(histogram) => {
                self.byte(1);
                self.histogram(histogram);
            }
        }
    }
}

/// Reads what a [`ByteWriter`] has put, in the same order.
#[derive(Clone, Debug)]
pub struct ByteReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// What reading gives.
pub type Read<T> = Result<T, Malformed>;

impl<'a> ByteReader<'a> {
    /// Begins at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        ByteReader { bytes, at: 0 }
    }

    /// Returns how many bytes are left.
    pub fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Tells whether all has been read.
    pub fn is_done(&self) -> bool {
        self.left() == 0
    }

    /// Refuses bytes that are left over.
    pub fn end(&self) -> Read<()> {
        match self.is_done() {
            true => Ok(()),
            false => Err(self.malformed("the end")),
        }
    }

    /// Says that something else was expected here.
    #[cold]
    pub fn malformed(&self, wanted: &'static str) -> Malformed {
        Malformed {
            wanted,
            at: self.at,
        }
    }

    /// Takes so many bytes.
    #[inline]
    pub fn exactly(&mut self, n_bytes: usize) -> Read<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let Some(found) = rest.get(..n_bytes) else {
            return Err(self.malformed("more bytes"));
        };
        self.at += n_bytes;
        Ok(found)
    }

    /// Takes one byte.
    #[inline]
    pub fn byte(&mut self) -> Read<u8> {
        let byte = self.bytes.get(self.at).copied();
        let byte = byte.ok_or_else(|| self.malformed("a byte"))?;
        self.at += 1;
        Ok(byte)
    }

    /// Takes a yes or no.
    pub fn flag(&mut self) -> Read<bool> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.malformed("a flag")),
        }
    }

    /// Takes a whole number.
    #[inline]
    pub fn number(&mut self) -> Read<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(self.malformed("a number"))
    }

    /// Takes a whole number of four bytes at most.
    #[inline]
    pub fn small(&mut self) -> Read<u32> {
        u32::try_from(self.number()?).map_err(|_| self.malformed("a number of 32 bits"))
    }

    /// Takes a place in a list; whoever looks there finds out whether it exists.
    pub fn place(&mut self) -> Read<usize> {
        usize::try_from(self.number()?).map_err(|_| self.malformed("a place"))
    }

    /// Takes how many values follow, each of `bytes_min` at least.
    pub fn count(&mut self, bytes_min: usize) -> Read<usize> {
        let count = self.place()?;
        match count.checked_mul(bytes_min.max(1)) {
            Some(bytes) if bytes <= self.left() => Ok(count),
            _ => Err(self.malformed("as many values as were announced")),
        }
    }

    /// Takes a whole number that may be negative.
    #[inline]
    pub fn signed(&mut self) -> Read<i64> {
        let number = self.number()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    /// Takes a float.
    #[inline]
    pub fn float(&mut self) -> Read<f64> {
        self.word().map(f64::from_bits)
    }

    /// Takes eight bytes.
    #[inline]
    pub fn word(&mut self) -> Read<u64> {
        let bytes = self.exactly(8)?;
        let word = bytes.try_into().map(u64::from_le_bytes);
        word.map_err(|_| self.malformed("eight bytes"))
    }

    /// Takes an instant; one that no writer could have put is refused.
    #[inline]
    pub fn instant(&mut self) -> Read<TimestampMs> {
        self.signed().map(TimestampMs)
    }

    /// Takes a span of time.
    pub fn span(&mut self) -> Read<DurationMs> {
        self.signed().map(DurationMs)
    }

    /// Takes a value that may be missing.
    pub fn option<T>(&mut self, take: impl FnOnce(&mut Self) -> Read<T>) -> Read<Option<T>> {
        match self.flag()? {
            true => take(self).map(Some),
            false => Ok(None),
        }
    }

    /// Takes a list of values of `bytes_min` at least.
    pub fn list<T, L: FromIterator<T>>(
        &mut self,
        bytes_min: usize,
        mut take: impl FnMut(&mut Self) -> Read<T>,
    ) -> Read<L> {
        let count = self.count(bytes_min)?;
        (0..count).map(|_| take(self)).collect()
    }

    /// Takes bytes behind their number.
    pub fn bytes(&mut self) -> Read<&'a [u8]> {
        let n_bytes = self.count(1)?;
        self.exactly(n_bytes)
    }

    /// Takes a text.
    pub fn text(&mut self) -> Read<&'a str> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).map_err(|_| self.malformed("UTF-8"))
    }

    /// Takes a text of one's own.
    pub fn string(&mut self) -> Read<String> {
        self.text().map(str::to_owned)
    }

    /// Takes a label set.
    pub fn labels(&mut self) -> Read<Labels> {
        Ok(Labels::from_sorted(self.label_pairs()?.into_iter()))
    }

    /// Takes the pairs of a label set.
    pub fn label_pairs(&mut self) -> Read<SmallVec<[(&'a str, &'a str); 32]>> {
        let count = self.count(2)?;
        let mut pairs: SmallVec<[(&str, &str); 32]> = SmallVec::new();
        for _ in 0..count {
            let pair = (self.text()?, self.text()?);
            let is_next = pairs.last().is_none_or(|before| before.0 < pair.0);
            let is_short = |text: &str| text.len() <= Labels::TEXT_BYTES_MAX;
            if !is_next || pair.1.is_empty() || !is_short(pair.0) || !is_short(pair.1) {
                return Err(self.malformed("a label"));
            }
            pairs.push(pair);
        }
        Ok(pairs)
    }

    /// Takes a native histogram; its buckets are as many as its spans say.
    pub fn histogram(&mut self) -> Read<FloatHistogram> {
        let histogram = self.any_histogram()?;
        let fits = |spans: &[BucketSpan], buckets: &[f64]| {
            let n_buckets: u64 = spans.iter().map(|span| u64::from(span.length)).sum();
            n_buckets == buckets.len() as u64
        };
        let h = &histogram;
        match fits(&h.positive_spans, &h.positive_buckets)
            && fits(&h.negative_spans, &h.negative_buckets)
        {
            true => Ok(histogram),
            false => Err(self.malformed("as many buckets as the spans say")),
        }
    }

    /// Takes a native histogram as it was put, whatever its spans say of its buckets: nobody has
    /// judged those that lie in a log.
    pub fn any_histogram(&mut self) -> Read<FloatHistogram> {
        let counter_reset_hint = match self.byte()? {
            0 => CounterResetHint::Unknown,
            1 => CounterResetHint::Reset,
            2 => CounterResetHint::NotReset,
            3 => CounterResetHint::Gauge,
            _ => return Err(self.malformed("what is known of a reset")),
        };
        let schema = self.narrow()?;
        let [zero_threshold, zero_count, count, sum] =
            [self.float()?, self.float()?, self.float()?, self.float()?];
        let mut spans = || self.list(2, ByteReader::bucket_span);
        let (positive_spans, negative_spans) = (spans()?, spans()?);
        let mut floats = || self.list(8, ByteReader::float);
        Ok(FloatHistogram {
            counter_reset_hint,
            schema,
            zero_threshold,
            zero_count,
            count,
            sum,
            positive_spans,
            negative_spans,
            positive_buckets: floats()?,
            negative_buckets: floats()?,
            custom_values: floats()?,
        })
    }

    fn bucket_span(&mut self) -> Read<BucketSpan> {
        Ok(BucketSpan {
            offset: self.narrow()?,
            length: self.small()?,
        })
    }

    fn narrow(&mut self) -> Read<i32> {
        i32::try_from(self.signed()?).map_err(|_| self.malformed("a number of 32 bits"))
    }

    /// Takes what a sample holds.
    pub fn value(&mut self) -> Read<SampleValue> {
        match self.byte()? {
            0 => self.float().map(SampleValue::Float),
            1 => Ok(SampleValue::Histogram(Arc::new(self.histogram()?))),
            _ => Err(self.malformed("a float or a histogram")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_put_is_taken(
            numbers in prop::collection::vec(any::<u64>(), 0..20),
            signed in any::<i64>(),
            bits in any::<u64>(),
            texts in prop::collection::vec(("[a-z]{1,5}", "[a-zé]{1,5}"), 0..6),
        ) {
            let labels = Labels::from_pairs(texts);
            let mut out = ByteWriter::default();
            out.list(numbers.iter(), |out, number| out.number(*number));
            out.signed(signed);
            out.float(f64::from_bits(bits));
            out.labels(&labels);
            out.option(Some(TimestampMs(signed)), ByteWriter::instant);
            let bytes = out.into_bytes();
            let mut read = ByteReader::new(&bytes);
            prop_assert_eq!(read.list::<_, Vec<u64>>(1, ByteReader::number), Ok(numbers));
            prop_assert_eq!(read.signed(), Ok(signed));
            prop_assert_eq!(read.float().map(f64::to_bits), Ok(bits));
            prop_assert_eq!(read.labels(), Ok(labels));
            prop_assert_eq!(read.option(ByteReader::instant), Ok(Some(TimestampMs(signed))));
            prop_assert_eq!(read.end(), Ok(()));
        }

        #[test]
        fn any_bytes_give_a_value_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let read = || ByteReader::new(&bytes);
            let _ = (read().number(), read().text(), read().labels(), read().histogram());
            let _ = (read().value(), read().list::<_, Vec<_>>(1, ByteReader::labels));
        }
    }

    #[test]
    fn numbers_come_back() {
        let edges = [
            0,
            1,
            63,
            64,
            127,
            128,
            1 << 20,
            i64::MAX,
            i64::MIN,
            -1,
            -64,
            -65,
        ];
        for value in edges {
            let mut out = ByteWriter::default();
            out.signed(value);
            out.number(value as u64);
            let bytes = out.into_bytes();
            let mut read = ByteReader::new(&bytes);
            assert_eq!(read.signed(), Ok(value));
            assert_eq!(read.number(), Ok(value as u64));
            assert_eq!(read.end(), Ok(()));
        }
    }

    #[test]
    fn what_is_no_number_is_said() {
        let refused = |bytes: &[u8]| ByteReader::new(bytes).number().map_err(|e| e.wanted);
        assert_eq!(refused(&[0xff; 11]), Err("a number"));
        // Ten bytes hold 70 bits, of which the last six must not be used.
        assert_eq!(
            refused(&[0xff, 255, 255, 255, 255, 255, 255, 255, 255, 2]),
            Err("a number")
        );
        assert_eq!(refused(&[0x80]), Err("a byte"));
        let much = ByteReader::new(&[200, 1, 0]).count(1).map_err(|e| e.wanted);
        assert_eq!(much, Err("as many values as were announced"));
    }

    #[test]
    fn what_announces_too_much_is_refused_before_anything_is_allocated() {
        let mut out = ByteWriter::default();
        out.number(u64::MAX);
        let bytes = out.into_bytes();
        let wanted = "as many values as were announced";
        let refused = ByteReader::new(&bytes).list::<_, Vec<f64>>(8, ByteReader::float);
        assert_eq!(refused.map_err(|error| error.wanted), Err(wanted));
    }
}
