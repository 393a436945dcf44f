//! `minute`, `hour`, `day_of_*`, `days_in_month`, `month`, `year`: parts of a date in UTC.
//!
//! Days since 1970 are turned into dates by the algorithm of Howard Hinnant
//! (<https://howardhinnant.github.io/date_algorithms.html>, `civil_from_days`), which is exact
//! for any year; calendar libraries stop at the year 9999.

use crate::functions::formula::map_floats;
use crate::functions::{Call, Element, Function, FunctionError, Output};
use crate::model::{Labels, SampleValue};
use crate::promql::{Signature, ValueType};

const DAY_SECONDS: u64 = 86_400;

/// Seconds from Go's absolute zero, 1 March of the year -292277022400, to 1970.
const ZERO_TO_1970_SECONDS: i64 = 9_223_372_028_741_760_000;

/// One part of a date.
pub(super) struct DatePart {
    name: &'static str,
    about: &'static str,
    example: &'static str,
    part: fn(&Date) -> i64,
}

pub(super) static MINUTE: DatePart = DatePart {
    name: "minute",
    about: "Returns the minute of the hour, 0 to 59, of each time in Unix seconds.",
    example: "minute()",
    part: |date| date.second_of_day % 3_600 / 60,
};

pub(super) static HOUR: DatePart = DatePart {
    name: "hour",
    about: "Returns the hour of the day, 0 to 23, of each time in Unix seconds.",
    example: "hour() >= 9 and hour() < 17",
    part: |date| date.second_of_day / 3_600,
};

pub(super) static DAY_OF_WEEK: DatePart = DatePart {
    name: "day_of_week",
    about: "Returns the day of the week, 0 for Sunday, of each time in Unix seconds.",
    example: "day_of_week() > 0",
    // 1970-01-01 was a Thursday.
    part: |date| (date.days + 4).rem_euclid(7),
};

pub(super) static DAY_OF_MONTH: DatePart = DatePart {
    name: "day_of_month",
    about: "Returns the day of the month, 1 to 31, of each time in Unix seconds.",
    example: "day_of_month()",
    part: |date| date.day,
};

pub(super) static DAY_OF_YEAR: DatePart = DatePart {
    name: "day_of_year",
    about: "Returns the day of the year, 1 to 366, of each time in Unix seconds.",
    example: "day_of_year()",
    part: |date| date.days - days_to(date.year, 1) + 1,
};

pub(super) static DAYS_IN_MONTH: DatePart = DatePart {
    name: "days_in_month",
    about: "Returns how many days the month has of each time in Unix seconds.",
    example: "days_in_month()",
    part: |date| {
        let (year, month) = match date.month {
            12 => (date.year + 1, 1),
            month => (date.year, month + 1),
        };
        days_to(year, month) - days_to(date.year, date.month)
    },
};

pub(super) static MONTH: DatePart = DatePart {
    name: "month",
    about: "Returns the month, 1 to 12, of each time in Unix seconds.",
    example: "month()",
    part: |date| date.month,
};

pub(super) static YEAR: DatePart = DatePart {
    name: "year",
    about: "Returns the year of each time in Unix seconds.",
    example: "year()",
    part: |date| date.year,
};

impl Function for DatePart {
    fn signature(&self) -> Signature {
        Signature {
            name: self.name,
            args: &[ValueType::Vector],
            variadic: 1,
            returns: ValueType::Vector,
            experimental: false,
        }
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn example(&self) -> &'static str {
        self.example
    }

    fn call(&self, call: &mut Call<'_>) -> Result<Output, FunctionError> {
        if call.args.is_empty() {
            // Truncated, not floored, as Go divides.
            let seconds = call.at.0 / 1000;
            return Ok(Output::Vector(vec![Element {
                labels: Labels::empty(),
                value: SampleValue::Float((self.part)(&Date::of(seconds)) as f64),
                at: call.at,
                drop_name: false,
            }]));
        }
        Ok(map_floats(call, |value| {
            (self.part)(&Date::of(go_int(value))) as f64
        }))
    }
}

/// Truncates as Go does on amd64: what does not fit, NaN included, is the least integer.
fn go_int(value: f64) -> i64 {
    if value >= -(2f64.powi(63)) && value < 2f64.powi(63) {
        value as i64
    } else {
        i64::MIN
    }
}

/// A date of the proleptic Gregorian calendar.
struct Date {
    /// Days since 1970-01-01.
    days: i64,
    second_of_day: i64,
    year: i64,
    month: i64,
    day: i64,
}

impl Date {
    fn of(seconds: i64) -> Date {
        // Go counts from its absolute zero without a sign, so that times before it (NaN and the
        // infinities among them) come round to the far future.
        let absolute = seconds.wrapping_add(ZERO_TO_1970_SECONDS) as u64;
        let second_of_day = (absolute % DAY_SECONDS) as i64;
        let day = |seconds: u64| (seconds / DAY_SECONDS) as i64;
        let days = day(absolute) - day(ZERO_TO_1970_SECONDS as u64);
        // Years are counted from March, so that the leap day is the last.
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 {
            month_from_march + 3
        } else {
            month_from_march - 9
        };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Date {
            days,
            second_of_day,
            year,
            month,
            day,
        }
    }
}

/// Returns the days from 1970-01-01 to the first of a month.
fn days_to(year: i64, month: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let parts = [
            &YEAR,
            &MONTH,
            &DAY_OF_MONTH,
            &DAY_OF_WEEK,
            &DAY_OF_YEAR,
            &DAYS_IN_MONTH,
            &HOUR,
            &MINUTE,
        ];
        let check = |seconds: i64, expected: [i64; 8]| {
            assert_eq!(
                parts.map(|part| (part.part)(&Date::of(seconds))),
                expected,
                "{seconds}"
            );
        };
        check(0, [1970, 1, 1, 4, 1, 31, 0, 0]);
        check(-1, [1969, 12, 31, 3, 365, 31, 23, 59]);
        check(951_782_400, [2000, 2, 29, 2, 60, 29, 0, 0]);
        check(1_735_689_599, [2024, 12, 31, 2, 366, 31, 23, 59]);
        check(4_107_542_400, [2100, 3, 1, 1, 60, 31, 0, 0]);
    }
}
