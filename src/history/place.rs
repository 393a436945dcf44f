//! A place in a history in few bytes.
//!
//! Every window of every series keeps the place of its head, so what a place takes is most of what
//! a watched series takes. It is a [`WalkCursor`](crate::history::WalkCursor) without air, and
//! without what all places of one series share: the number of insertions.

use std::num::NonZeroU16;

use crate::history::codec::{Kind, Predictor};
use crate::history::form::Form;
use crate::model::TimestampMs;
use crate::model::bytes::{ByteReader, ByteWriter, Read};

/// A place between two samples of one history, packed by
/// [`WalkCursor::pack`](crate::history::WalkCursor::pack) and unpacked by
/// [`SeriesHistory::unpack`](crate::history::SeriesHistory::unpack).
#[derive(Clone, Copy, Debug)]
pub struct Place {
    at: i64,
    number: i64,
    slope: i32,
    interval: i32,
    phase: i16,
    value_rice: u16,
    /// One more than the bit, so that something else can lie where a place may.
    bit: NonZeroU16,
    /// The lowest 47 bits of [`Place::chunk`], and its highest.
    chunk: [u16; 3],
    time_rice: u8,
    /// [`FORM`], [`FRESH`], [`KIND`] and [`LOOKED_AT`].
    mode: u8,
    n_passed: u8,
    n_cold: u8,
}

// The bits of `mode`.
const FORM: u8 = 0b1111;
const FRESH: u8 = 1 << 4;
const KIND: u32 = 5;
const LOOKED_AT: u8 = 1 << 7;

/// The highest bit of six bytes.
const TOP: u64 = 1 << 47;

impl Place {
    pub(in crate::history) fn new(
        predictor: &Predictor,
        chunk: u64,
        bit: u16,
        (n_passed, n_cold): (u8, u8),
    ) -> Place {
        let low = chunk & (TOP - 1);
        let packed = low | (chunk >> 63) << 47;
        let fresh = if predictor.is_fresh { FRESH } else { 0 };
        Place {
            at: predictor.at,
            number: predictor.number,
            slope: predictor.slope,
            interval: predictor.interval,
            phase: predictor.phase,
            value_rice: predictor.value_rice,
            bit: NonZeroU16::MIN.saturating_add(bit),
            chunk: [packed as u16, (packed >> 16) as u16, (packed >> 32) as u16],
            time_rice: predictor.time_rice,
            mode: predictor.form.code() & FORM | fresh | predictor.kind.code() << KIND,
            n_passed,
            n_cold,
        }
    }

    #[inline]
    pub(in crate::history) fn predictor(&self) -> Predictor {
        Predictor {
            at: self.at,
            number: self.number,
            slope: self.slope,
            interval: self.interval,
            phase: self.phase,
            value_rice: self.value_rice,
            time_rice: self.time_rice,
            form: Form::of_code(self.mode & FORM),
            is_fresh: self.mode & FRESH != 0,
            kind: Kind::of_code(self.mode >> KIND),
        }
    }

    /// Goes on behind the next samples of the same chunk, after which `predictor` knows so much:
    /// so many bits and so many samples.
    #[inline]
    pub(in crate::history) fn pass(&mut self, predictor: &Predictor, (n_bits, n): (u16, u8)) {
        let fresh = if predictor.is_fresh { FRESH } else { 0 };
        self.at = predictor.at;
        self.number = predictor.number;
        self.slope = predictor.slope;
        self.interval = predictor.interval;
        self.phase = predictor.phase;
        self.value_rice = predictor.value_rice;
        self.time_rice = predictor.time_rice;
        let form = predictor.form.code() & FORM;
        self.mode = form | fresh | predictor.kind.code() << KIND;
        self.bit = self.bit.saturating_add(n_bits);
        self.n_passed += n;
    }

    /// Returns the number of its chunk, if that is not cold and there is one.
    #[inline]
    pub(in crate::history) fn chunk_number(&self) -> Option<u32> {
        u32::try_from(self.chunk()).ok()
    }

    #[inline]
    pub(in crate::history) fn chunk(&self) -> u64 {
        let [low, middle, high] = self.chunk.map(u64::from);
        let packed = low | middle << 16 | high << 32;
        match packed {
            // No place at all is all ones.
            packed if packed == TOP | (TOP - 1) => u64::MAX,
            packed => packed & (TOP - 1) | (packed & TOP) << 16,
        }
    }

    #[inline]
    pub(in crate::history) fn bit(&self) -> u16 {
        self.bit.get() - 1
    }

    #[inline]
    pub(in crate::history) fn counts(&self) -> (u8, u8) {
        (self.n_passed, self.n_cold)
    }

    /// Returns the instant up to which everything is passed.
    #[inline]
    pub fn passed(&self) -> TimestampMs {
        TimestampMs(self.at)
    }

    /// Returns the value of the last sample passed, where that is an ordinary number.
    #[inline]
    pub fn number(&self) -> Option<f64> {
        let is_number = Kind::of_code(self.mode >> KIND) == Kind::Number;
        is_number.then(|| Form::of_code(self.mode & FORM).value(self.number))
    }

    /// Tells whether its owner has only looked at the last sample passed.
    #[inline]
    pub fn is_looked_at(&self) -> bool {
        self.mode & LOOKED_AT != 0
    }

    /// Notes whether its owner has only looked at the last sample passed.
    pub fn set_looked_at(&mut self, is_looked_at: bool) {
        self.mode &= !LOOKED_AT;
        if is_looked_at {
            self.mode |= LOOKED_AT;
        }
    }
}

impl Place {
    /// Puts the place; `newest` is an instant near it, which is known when it is taken.
    pub fn save(&self, newest: TimestampMs, out: &mut ByteWriter) {
        out.byte(self.mode);
        out.signed(newest.0.wrapping_sub(self.at));
        for number in [self.time_rice.into(), self.value_rice, self.bit()] {
            out.number(number.into());
        }
        out.signed(self.number);
        for number in [self.slope, self.interval, self.phase.into()] {
            out.signed(number.into());
        }
        // The highest bit says that the chunk is cold: next to the lowest it costs no byte.
        out.number(self.chunk().rotate_left(1));
        out.byte(self.n_passed);
        out.byte(self.n_cold);
    }

    /// Takes what [`Place::save`] has put. Wherever it stands, its history says for itself what
    /// lies there.
    pub fn load(newest: TimestampMs, read: &mut ByteReader<'_>) -> Read<Place> {
        let mode = read.byte()?;
        let at = newest.0.wrapping_sub(read.signed()?);
        let (time, value) = (read.number()?, read.number()?);
        let rices = Predictor::rices(time, value);
        let (time_rice, value_rice) = rices.ok_or_else(|| read.malformed("a Rice parameter"))?;
        let bit = u16::try_from(read.number()?)
            .ok()
            .filter(|bit| *bit <= BIT_MAX);
        let bit = bit.ok_or_else(|| read.malformed("a bit of a chunk"))?;
        let number = read.signed()?;
        let (slope, interval) = (read.signed()? as i32, read.signed()? as i32);
        let predictor = Predictor {
            at,
            number,
            slope,
            interval,
            phase: read.signed()? as i16,
            value_rice,
            time_rice,
            form: Form::of_code(mode & FORM),
            is_fresh: mode & FRESH != 0,
            kind: Kind::of_code(mode >> KIND),
        };
        let chunk = read.number()?.rotate_right(1);
        let counts = (read.byte()?, read.byte()?);
        let mut place = Place::new(&predictor, chunk, bit, counts);
        place.set_looked_at(mode & LOOKED_AT != 0);
        Ok(place)
    }
}

/// No chunk has so many bits that one more sample could not be counted in 16.
const BIT_MAX: u16 = 1 << 15;

const _: () = assert!(size_of::<Place>() == 40 && size_of::<Option<Place>>() == 40);
