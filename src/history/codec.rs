//! Samples as few bits, one after another: no sample needs another chunk or a later sample.
//!
//! Both the time and the value of a sample are foretold from those before it, and what they
//! differ by is written as a Golomb-Rice code whose parameter follows the lengths that came
//! (R. F. Rice, "Some practical universal noiseless coding techniques", 1979; its adaptation by
//! the quotients: H. S. Malvar, "Adaptive run-length / Golomb-Rice encoding", 2006). Scrapes come
//! on a grid with jitter, so time is foretold by a phase and an interval that are both tracked (an
//! alpha-beta filter), which takes one bit less than the difference of differences. Values are
//! whole numbers in one of some forms ([`Form`]), foretold by a running mean of their steps.
//!
//! Encoder and decoder keep the same [`Predictor`], in whole numbers that wrap, so that whatever
//! was put in comes out, bit for bit.
//!
//! Cost: about 25 ns a sample either way.

use crate::history::bits::{BITS_AT_ONCE, Window, put, unzigzag, zigzag};
use crate::history::form::Form;
use crate::model::{STALE_NAN_BITS, TimestampMs};

/// A NaN that stands for a native histogram, which lies aside. No sender's sample can be one,
/// since it is replaced on the way in.
pub const HISTOGRAM_BITS: u64 = 0x7ff0_0000_0000_0bad;

/// So many ones say that something else than a Rice code follows.
const ESCAPE: u32 = 20;
/// The largest Rice parameter in use.
const RICE_MAX: u16 = 56;
/// Rice parameters are kept in eighths.
const EIGHTHS: u32 = 3;
/// Phase, interval and step are kept in sixteenths.
const SIXTEENTHS: u32 = 4;
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

/// What is known before a sample comes: the state of encoder and decoder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Predictor {
    /// When the last sample was, ms.
    pub at: i64,
    /// The last value as a whole number.
    pub number: i64,
    /// The mean step of that number, in sixteenths.
    pub slope: i64,
    /// The interval of samples, in sixteenths of a ms.
    pub interval: i32,
    /// By how much the grid is ahead of `at`, in sixteenths of a ms.
    pub phase: i32,
    /// The Rice parameter of times, in eighths.
    pub time_rice: u16,
    /// The Rice parameter of values, in eighths.
    pub value_rice: u16,
    /// What `number` stands for.
    pub form: Form,
    /// Whether there was no step yet in this form.
    pub is_fresh: bool,
}

impl Predictor {
    /// Knows nothing but that the first sample is at `at`.
    pub fn before(at: TimestampMs) -> Predictor {
        Predictor {
            at: at.0.wrapping_sub(1),
            ..Predictor::default()
        }
    }

    /// Appends the code of a sample and learns it.
    pub fn encode(&mut self, at: TimestampMs, value: f64, bytes: &mut Vec<u8>, n_bits: &mut usize) {
        let mut out = Code::new(bytes, n_bits);
        self.encode_time(at.0, &mut out);
        self.encode_value(value, &mut out);
        out.flush();
    }

    /// Takes the time of the next sample without learning it.
    #[inline]
    pub fn peek_time(&self, bits: &mut Window<'_>) -> NextTime {
        let (difference, quotient) = match take_rice(bits, self.time_rice) {
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

    /// Takes the value that follows the time and learns both.
    #[inline]
    pub fn decode_value(&mut self, time: &NextTime, bits: &mut Window<'_>) -> f64 {
        self.learn_time(time.at.0, time.difference, time.quotient);
        let rice = self.value_rice;
        if let Some((difference, quotient)) = take_rice(bits, rice) {
            let difference = unzigzag(difference);
            self.learn_value(difference, quotient);
            return self.form.value(self.number);
        }
        self.decode_escape(bits)
    }

    #[cold]
    fn decode_escape(&mut self, bits: &mut Window<'_>) -> f64 {
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
            RAW => f64::from_bits(bits.take_wide(64)),
            _ => f64::from_bits(match bits.take(1) {
                0 => STALE_NAN_BITS,
                _ => HISTOGRAM_BITS,
            }),
        }
    }

    fn encode_time(&mut self, at: i64, out: &mut Code<'_>) {
        let step = at.wrapping_sub(self.at);
        let difference = step.wrapping_sub(self.step_foretold());
        let code = zigzag(difference);
        let quotient = out.put_rice(code, self.time_rice);
        if quotient == ESCAPE {
            out.put_wide(code);
        }
        self.learn_time(at, difference, quotient);
    }

    fn encode_value(&mut self, value: f64, out: &mut Code<'_>) {
        if let Some(number) = self.number(value) {
            let difference = number
                .wrapping_sub(self.number)
                .wrapping_sub(rounded(self.slope));
            let code = zigzag(difference);
            let quotient = out.put_rice(code, self.value_rice);
            if quotient == ESCAPE {
                out.put(WIDE, 2);
                out.put_wide(code);
            }
            self.learn_value(difference, quotient);
            return;
        }
        out.put(!(!0 << ESCAPE), ESCAPE);
        match value.to_bits() {
            STALE_NAN_BITS => out.put(MARKER, 3),
            HISTOGRAM_BITS => out.put(MARKER | 4, 3),
            // What says nothing about its neighbours changes nothing for them.
            bits if !value.is_finite() || bits == (-0.0_f64).to_bits() => {
                out.put(RAW, 2);
                out.put(bits & 0xffff_ffff, 32);
                out.put(bits >> 32, 32);
            }
            _ => {
                let form = self.form.better_for(value);
                let number = form.number(value).unwrap_or_default();
                out.put(SWITCH, 2);
                out.put(form.code().into(), 4);
                out.put_wide(zigzag(number));
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
        let usual = 64_i64 << (self.time_rice >> EIGHTHS).min(32);
        self.time_rice = learned(self.time_rice, quotient);
        if difference.unsigned_abs() > usual.unsigned_abs() {
            // A gap, or another interval.
            self.phase = 0;
            self.interval = (nice(step).min(INTERVAL_MAX >> SIXTEENTHS) << SIXTEENTHS) as i32;
            return;
        }
        let foretold = i64::from(self.interval) + i64::from(self.phase);
        let error = (step << SIXTEENTHS) - foretold;
        self.phase = small(error / PHASE_SHARE - error);
        self.interval = small(i64::from(self.interval) + error / INTERVAL_SHARE);
    }

    #[inline]
    fn learn_value(&mut self, difference: i64, quotient: u32) {
        let foretold = rounded(self.slope);
        let step = difference.wrapping_add(foretold);
        self.number = self.number.wrapping_add(step);
        if self.is_fresh {
            self.is_fresh = false;
            self.slope = step.wrapping_shl(SIXTEENTHS);
            // Events that come by chance vary by the root of their number.
            let width = 64 - zigzag(step).leading_zeros();
            self.value_rice = ((width / 2) as u16) << EIGHTHS;
            return;
        }
        // One leap, such as a counter's reset, says little about the steps to come.
        let usual = 16_i64 << (self.value_rice >> EIGHTHS).min(54);
        self.value_rice = learned(self.value_rice, quotient);
        let difference = difference.clamp(-usual, usual);
        let rest = foretold.wrapping_shl(SIXTEENTHS).wrapping_sub(self.slope);
        let error = difference.wrapping_shl(SIXTEENTHS).wrapping_add(rest);
        self.slope = self.slope.wrapping_add(error / SLOPE_SHARE);
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

#[inline]
fn small(number: i64) -> i32 {
    number.clamp(-INTERVAL_MAX, INTERVAL_MAX) as i32
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
fn learned(rice: u16, quotient: u32) -> u16 {
    let change = LEARNED[quotient.min(ESCAPE) as usize];
    let rice = i32::from(rice) + i32::from(change);
    rice.clamp(0, i32::from(RICE_MAX << EIGHTHS)) as u16
}

/// Takes a Rice code and returns it with its quotient; `None` after an escape.
#[inline]
fn take_rice(bits: &mut Window<'_>, rice: u16) -> Option<(u64, u32)> {
    let width = u32::from(rice >> EIGHTHS).min(RICE_MAX.into());
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

/// The code of one sample on its way into its chunk.
struct Code<'a> {
    bytes: &'a mut Vec<u8>,
    n_bits: &'a mut usize,
    begun: u64,
    width: u32,
}

impl<'a> Code<'a> {
    fn new(bytes: &'a mut Vec<u8>, n_bits: &'a mut usize) -> Self {
        Code {
            bytes,
            n_bits,
            begun: 0,
            width: 0,
        }
    }

    #[inline]
    fn put(&mut self, value: u64, width: u32) {
        if self.width + width > BITS_AT_ONCE {
            self.flush();
        }
        self.begun |= value << self.width;
        self.width += width;
    }

    /// Puts a Rice code and returns its quotient; [`ESCAPE`] if it is put as an escape alone.
    #[inline]
    fn put_rice(&mut self, code: u64, rice: u16) -> u32 {
        let width = u32::from(rice >> EIGHTHS);
        let quotient = code >> width;
        if quotient >= u64::from(ESCAPE) {
            self.put(!(!0 << ESCAPE), ESCAPE);
            return ESCAPE;
        }
        let quotient = quotient as u32;
        self.put(!(!0 << quotient), quotient + 1);
        self.put(code & !(!0 << width), width);
        quotient
    }

    fn put_wide(&mut self, code: u64) {
        let width = (64 - code.leading_zeros()).max(1);
        self.put(u64::from(width - 1), 6);
        let low = width.min(32);
        self.put(code & !(!0 << low), low);
        if width > low {
            self.put(code >> low, width - low);
        }
    }

    #[inline]
    fn flush(&mut self) {
        put(self.bytes, self.n_bits, self.begun, self.width);
        (self.begun, self.width) = (0, 0);
    }
}
