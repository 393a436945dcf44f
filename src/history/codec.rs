//! Samples as few bits, one after another: no sample needs another chunk or a later sample.
//!
//! Both the time and the value of a sample are foretold from those before it, and what they
//! differ by is written as a Golomb-Rice code whose parameter follows the lengths that came
//! (R. F. Rice, "Some practical universal noiseless coding techniques", 1979; its adaptation by
//! the quotients: H. S. Malvar, "Adaptive run-length / Golomb-Rice encoding", 2006). Scrapes come
//! on a grid with jitter, so time is foretold by a phase and an interval that are both tracked (an
//! alpha-beta filter), which takes one bit less than the difference of differences. Values are
//! whole numbers in one of some forms ([`Form`]), foretold by a running mean of their steps.
//! What is known is kept in few bytes, since every window keeps it for the place of its head.
//!
//! Encoder and decoder keep the same [`Predictor`], in whole numbers that wrap, so that whatever
//! was put in comes out, bit for bit.
//!
//! Cost: about 25 ns a sample either way.

use crate::history::bits::{BITS_AT_ONCE, Code, Window, unzigzag, zigzag};
use crate::history::form::Form;
use crate::model::{STALE_NAN_BITS, TimestampMs};

/// A NaN that stands for a native histogram, which lies aside. No sender's sample can be one,
/// since it is replaced on the way in.
pub const HISTOGRAM_BITS: u64 = 0x7ff0_0000_0000_0bad;

/// So many ones say that something else than a Rice code follows.
const ESCAPE: u32 = 20;
/// The largest Rice parameter of values.
const VALUE_RICE_MAX: u16 = 56;
/// The largest Rice parameter of times, whose eighths are to fit a byte.
const TIME_RICE_MAX: u16 = 31;
/// Rice parameters are kept in eighths.
const EIGHTHS: u32 = 3;
/// Phase and interval are kept in sixteenths, and so is the step, or a little more coarsely.
const SIXTEENTHS: u32 = 4;
/// Steps are kept to a 2^8th of what values usually differ by, or to a sixteenth.
const SLOPE_BITS: u16 = 8;
/// A step towards the mean of steps: an eighth of the difference.
const SLOPE_SHARE: i64 = 8;
/// The phase follows by a quarter of the difference.
const PHASE_SHARE: i64 = 4;
/// The interval follows by a 64th of the difference.
const INTERVAL_SHARE: i64 = 64;
/// Intervals are kept up to this, 37 h, in sixteenths of a ms.
const INTERVAL_MAX: i64 = i32::MAX as i64;

// What may follow an escape in place of a value's difference.
const WIDE: u64 = 0;
const SWITCH: u64 = 1;
const RAW: u64 = 2;
const MARKER: u64 = 3;

/// What the last sample was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// [`Predictor::number`] in its form, or nothing yet.
    #[default]
    Number,
    /// A stale marker.
    Stale,
    /// A native histogram.
    Histogram,
    /// A float that says nothing about its neighbours: its bits are the last of its code.
    Raw,
}

impl Kind {
    /// Returns the number, below 4, by which it is written down.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// Returns the kind of a number; higher bits are left out.
    pub fn of_code(code: u8) -> Kind {
        [Kind::Number, Kind::Stale, Kind::Histogram, Kind::Raw][usize::from(code & 3)]
    }
}

/// What is known before a sample comes: the state of encoder and decoder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Predictor {
    /// When the last sample was, ms.
    pub at: i64,
    /// The last value as a whole number, of those that are one.
    pub number: i64,
    /// The mean step of that number, in units of [`Predictor::slope_unit`] sixteenths.
    pub slope: i32,
    /// The interval of samples, in sixteenths of a ms.
    pub interval: i32,
    /// By how much the grid is ahead of `at`, in sixteenths of a ms.
    pub phase: i16,
    /// The Rice parameter of values, in eighths.
    pub value_rice: u16,
    /// The Rice parameter of times, in eighths.
    pub time_rice: u8,
    /// What `number` stands for.
    pub form: Form,
    /// Whether there was no step yet in this form.
    pub is_fresh: bool,
    /// What the last sample was.
    pub kind: Kind,
}

impl Predictor {
    /// Knows nothing but that the first sample is at `at`.
    pub fn before(at: TimestampMs) -> Predictor {
        Predictor {
            at: at.0.wrapping_sub(1),
            ..Predictor::default()
        }
    }

    /// Returns the Rice parameters of times and of values, in eighths; `None` for what is none.
    pub fn rices(time: u64, value: u64) -> Option<(u8, u16)> {
        let is_time = time <= u64::from(TIME_RICE_MAX << EIGHTHS);
        let is_value = value <= u64::from(VALUE_RICE_MAX << EIGHTHS);
        (is_time && is_value).then_some((time as u8, value as u16))
    }

    /// Returns the code of a sample and learns it.
    pub fn encode(&mut self, at: TimestampMs, value: f64) -> Code {
        let mut out = Code::default();
        self.encode_time(at.0, &mut out);
        self.encode_value(value, &mut out);
        out
    }

    /// Returns the value of the last sample, a histogram as its marker; `None` where that is to be
    /// read at the end of its code.
    #[inline]
    pub fn last_value(&self) -> Option<f64> {
        match self.kind {
            Kind::Number => Some(self.form.value(self.number)),
            Kind::Stale => Some(f64::from_bits(STALE_NAN_BITS)),
            Kind::Histogram => Some(f64::from_bits(HISTOGRAM_BITS)),
            Kind::Raw => None,
        }
    }

    /// Tells whether a sample of this value may be one at which a counter was reset, or at which
    /// floats and histograms meet; `false` is certain.
    #[inline]
    pub fn may_break(&self, value: f64) -> bool {
        let is_histogram = value.to_bits() == HISTOGRAM_BITS;
        match self.kind {
            Kind::Number => value < self.form.value(self.number) || is_histogram,
            Kind::Raw => !value.is_nan() || is_histogram,
            // What there was before is not known.
            Kind::Stale | Kind::Histogram => value.to_bits() != STALE_NAN_BITS,
        }
    }

    /// Returns the power of two that [`Predictor::slope`] counts: what values differ by anyhow
    /// need not be foretold more finely than they differ.
    #[inline]
    fn slope_unit(&self) -> u32 {
        (self.value_rice >> EIGHTHS)
            .saturating_sub(SLOPE_BITS)
            .into()
    }

    /// Returns the mean step in sixteenths.
    #[inline]
    fn slope(&self) -> i64 {
        i64::from(self.slope).wrapping_shl(self.slope_unit())
    }

    #[inline]
    fn set_slope(&mut self, slope: i64) {
        let unit = self.slope_unit();
        let half = (1_i64 << unit) >> 1;
        let slope = slope.saturating_add(half) >> unit;
        self.slope = slope.clamp(i32::MIN.into(), i32::MAX.into()) as i32;
    }

    /// Takes the time of the next sample without learning it.
    #[inline(always)]
    pub fn peek_time(&self, bits: &mut Window<'_>) -> NextTime {
        let (difference, quotient) = match take_rice(bits, self.time_rice.into()) {
            Some((difference, quotient)) => (unzigzag(difference), quotient),
            None => {
                let width = bits.take(6) as u32 + 1;
                (unzigzag(bits.take_wide(width)), ESCAPE)
            }
        };
        let step = self.step_foretold().wrapping_add(difference);
        NextTime {
            at: TimestampMs(self.at.wrapping_add(step)),
            difference,
            quotient,
        }
    }

    /// Takes the value that follows the time and learns both. Put into its callers, which then keep
    /// what is known in registers: every window of every series comes by here with every sample.
    #[inline(always)]
    pub fn decode_value(&mut self, time: &NextTime, bits: &mut Window<'_>) -> f64 {
        self.learn_time(time.at.0, time.difference, time.quotient);
        let rice = self.value_rice;
        if let Some((difference, quotient)) = take_rice(bits, rice) {
            let difference = unzigzag(difference);
            self.learn_value(difference, quotient);
            self.kind = Kind::Number;
            return self.form.value(self.number);
        }
        self.decode_escape(bits)
    }

    #[cold]
    fn decode_escape(&mut self, bits: &mut Window<'_>) -> f64 {
        self.kind = Kind::Number;
        match bits.take(2) {
            WIDE => {
                let width = bits.take(6) as u32 + 1;
                let difference = unzigzag(bits.take_wide(width));
                self.learn_value(difference, ESCAPE);
                self.form.value(self.number)
            }
            SWITCH => {
                let form = Form::of_code(bits.take(4) as u8);
                let width = bits.take(6) as u32 + 1;
                self.switch(form, unzigzag(bits.take_wide(width)));
                self.form.value(self.number)
            }
            RAW => {
                self.kind = Kind::Raw;
                f64::from_bits(bits.take_wide(64))
            }
            _ => {
                let (kind, value) = match bits.take(1) {
                    0 => (Kind::Stale, STALE_NAN_BITS),
                    _ => (Kind::Histogram, HISTOGRAM_BITS),
                };
                self.kind = kind;
                f64::from_bits(value)
            }
        }
    }

    fn encode_time(&mut self, at: i64, out: &mut Code) {
        let step = at.wrapping_sub(self.at);
        let difference = step.wrapping_sub(self.step_foretold());
        let code = zigzag(difference);
        let quotient = put_rice(out, code, self.time_rice.into());
        if quotient == ESCAPE {
            put_wide(out, code);
        }
        self.learn_time(at, difference, quotient);
    }

    fn encode_value(&mut self, value: f64, out: &mut Code) {
        if let Some(number) = self.number(value) {
            let difference = number
                .wrapping_sub(self.number)
                .wrapping_sub(rounded(self.slope()));
            let code = zigzag(difference);
            let quotient = put_rice(out, code, self.value_rice);
            if quotient == ESCAPE {
                out.put(WIDE, 2);
                put_wide(out, code);
            }
            self.learn_value(difference, quotient);
            self.kind = Kind::Number;
            return;
        }
        out.put(!(!0 << ESCAPE), ESCAPE);
        self.kind = Kind::Number;
        match value.to_bits() {
            STALE_NAN_BITS => {
                self.kind = Kind::Stale;
                out.put(MARKER, 3);
            }
            HISTOGRAM_BITS => {
                self.kind = Kind::Histogram;
                out.put(MARKER | 4, 3);
            }
            // What says nothing about its neighbours changes nothing for them.
            bits if !value.is_finite() || bits == (-0.0_f64).to_bits() => {
                self.kind = Kind::Raw;
                out.put(RAW, 2);
                out.put(bits & 0xffff_ffff, 32);
                out.put(bits >> 32, 32);
            }
            _ => {
                let form = self.form.better_for(value);
                let number = form.number(value).unwrap_or_default();
                out.put(SWITCH, 2);
                out.put(form.code().into(), 4);
                put_wide(out, zigzag(number));
                self.switch(form, number);
            }
        }
    }

    /// Returns the number of `value` if it is to be coded as a step from the last.
    #[inline]
    fn number(&self, value: f64) -> Option<i64> {
        if value.is_finite() {
            self.form.number(value)
        } else {
            None
        }
    }

    fn switch(&mut self, form: Form, number: i64) {
        (self.form, self.number) = (form, number);
        (self.slope, self.is_fresh) = (0, true);
    }

    #[inline]
    fn step_foretold(&self) -> i64 {
        rounded(i64::from(self.interval) + i64::from(self.phase))
    }

    #[inline]
    fn learn_time(&mut self, at: i64, difference: i64, quotient: u32) {
        let step = at.wrapping_sub(self.at);
        self.at = at;
        let usual = 64_i64 << (self.time_rice >> EIGHTHS);
        self.time_rice = learned(self.time_rice.into(), quotient, TIME_RICE_MAX) as u8;
        let foretold = i64::from(self.interval) + i64::from(self.phase);
        let error = (step << SIXTEENTHS).wrapping_sub(foretold);
        if (difference, error) == (0, 0) {
            // Nearly always, where samples are taken on the beat; what follows would come to the same.
            self.phase = 0;
            return;
        }
        if difference.unsigned_abs() > usual.unsigned_abs() {
            // A gap, or another interval.
            self.phase = 0;
            self.interval = (nice(step).min(INTERVAL_MAX >> SIXTEENTHS) << SIXTEENTHS) as i32;
            return;
        }
        let phase = error / PHASE_SHARE - error;
        self.phase = phase.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
        let interval = i64::from(self.interval) + error / INTERVAL_SHARE;
        self.interval = interval.clamp(-INTERVAL_MAX, INTERVAL_MAX) as i32;
    }

    #[inline]
    fn learn_value(&mut self, difference: i64, quotient: u32) {
        let slope = self.slope();
        let foretold = rounded(slope);
        let step = difference.wrapping_add(foretold);
        self.number = self.number.wrapping_add(step);
        if self.is_fresh {
            self.is_fresh = false;
            // Events that come by chance vary by the root of their number.
            let width = 64 - zigzag(step).leading_zeros();
            self.value_rice = ((width / 2) as u16) << EIGHTHS;
            self.set_slope(step.wrapping_shl(SIXTEENTHS));
            return;
        }
        // One leap, such as a counter's reset, says little about the steps to come.
        let usual = 16_i64 << (self.value_rice >> EIGHTHS).min(54);
        self.value_rice = learned(self.value_rice, quotient, VALUE_RICE_MAX);
        let difference = difference.clamp(-usual, usual);
        let rest = foretold.wrapping_shl(SIXTEENTHS).wrapping_sub(slope);
        let error = difference.wrapping_shl(SIXTEENTHS).wrapping_add(rest);
        self.set_slope(slope.wrapping_add(error / SLOPE_SHARE));
    }
}

/// The time of a sample that is not taken yet.
#[derive(Clone, Copy, Debug)]
pub struct NextTime {
    /// The time.
    pub at: TimestampMs,
    difference: i64,
    quotient: u32,
}

/// Returns the nearest whole number of `number` sixteenths.
#[inline]
fn rounded(number: i64) -> i64 {
    number.wrapping_add(8) >> SIXTEENTHS
}

/// Returns the whole seconds that `step` ms nearly are, or `step`.
fn nice(step: i64) -> i64 {
    let step = step.max(0);
    let seconds = (step.saturating_add(500) / 1000).saturating_mul(1000);
    if (step - seconds).abs() <= step / 64 {
        seconds
    } else {
        step
    }
}

/// By how much a Rice parameter changes after a code with this quotient. A table, since which
/// quotient comes cannot be foretold, and a branch on it would be.
const LEARNED: [i8; ESCAPE as usize + 1] = [
    -2, 0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
];

/// Returns the Rice parameter after a code with this quotient.
#[inline]
fn learned(rice: u16, quotient: u32, rice_max: u16) -> u16 {
    let change = LEARNED[quotient.min(ESCAPE) as usize];
    let rice = i32::from(rice) + i32::from(change);
    rice.clamp(0, i32::from(rice_max << EIGHTHS)) as u16
}

/// Takes a Rice code and returns it with its quotient; `None` after an escape.
#[inline(always)]
fn take_rice(bits: &mut Window<'_>, rice: u16) -> Option<(u64, u32)> {
    let width = u32::from(rice >> EIGHTHS).min(VALUE_RICE_MAX.into());
    let next = bits.peek((ESCAPE + width).min(BITS_AT_ONCE));
    let quotient = next.trailing_ones();
    if quotient >= ESCAPE {
        bits.skip(ESCAPE);
        return None;
    }
    let prefix = quotient + 1;
    let low = if prefix + width <= BITS_AT_ONCE {
        bits.skip(prefix + width);
        next >> prefix & !(!0 << width)
    } else {
        bits.skip(prefix);
        bits.take(width)
    };
    Some((u64::from(quotient) << width | low, quotient))
}

/// Puts a Rice code and returns its quotient; [`ESCAPE`] if it is put as an escape alone.
#[inline]
fn put_rice(out: &mut Code, code: u64, rice: u16) -> u32 {
    let width = u32::from(rice >> EIGHTHS);
    let quotient = code >> width;
    if quotient >= u64::from(ESCAPE) {
        out.put(!(!0 << ESCAPE), ESCAPE);
        return ESCAPE;
    }
    let quotient = quotient as u32;
    out.put(!(!0 << quotient), quotient + 1);
    out.put(code & !(!0 << width), width);
    quotient
}

fn put_wide(out: &mut Code, code: u64) {
    let width = (64 - code.leading_zeros()).max(1);
    out.put(u64::from(width - 1), 6);
    let low = width.min(32);
    out.put(code & !(!0 << low), low);
    if width > low {
        out.put(code >> low, width - low);
    }
}
