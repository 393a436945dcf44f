//! Request parameters: from the URL and, for POST, from a form; times, durations, limits, selectors.

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header;
use axum::response::Response;
use url::form_urlencoded;

use crate::api::response::{ApiError, text};
use crate::functions::Functions;
use crate::model::labels::quote;
use crate::model::{DurationMs, Matcher, TimestampMs};
use crate::promql::ast::ExprKind;
use crate::promql::{self, Features};

/// Go's limit on a form's bytes; a longer one is answered 413.
const FORM_BYTES_MAX: usize = 10 << 20;

/// The bounds that Prometheus' clients send for "since ever" and "for ever"; their years have
/// more digits than RFC 3339 allows.
const EARLIEST: &str = "-292273086-05-16T16:47:06Z";
const LATEST: &str = "292277025-08-18T07:12:54.999999999Z";

/// The parameters of a request, those of the form before those of the URL, as Go orders them.
#[derive(Clone, Debug, Default)]
pub struct Params {
    form: Vec<(String, String)>,
    url: Vec<(String, String)>,
}

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = Response;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Response> {
        let url = parse_pairs(request.uri().query().unwrap_or("").as_bytes());
        let has_form = request.method() == axum::http::Method::POST
            && content_type(&request).starts_with("application/x-www-form-urlencoded");
        let form = if has_form {
            let body = to_bytes(request.into_body(), FORM_BYTES_MAX).await;
            let too_long = |_| {
                let status = axum::http::StatusCode::PAYLOAD_TOO_LARGE;
                text(status, "the form is cut off or longer than 10 MiB")
            };
            parse_pairs(&body.map_err(too_long)?)
        } else {
            Vec::new()
        };
        Ok(Params { form, url })
    }
}

fn content_type(request: &Request) -> &str {
    let value = request.headers().get(header::CONTENT_TYPE);
    value.and_then(|value| value.to_str().ok()).unwrap_or("")
}

fn parse_pairs(text: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(text).into_owned().collect()
}

impl Params {
    /// Returns the first value of `name`, or the empty text: the API makes no difference.
    pub fn value<'a>(&'a self, name: &str) -> &'a str {
        self.values(name).next().unwrap_or("")
    }

    /// Returns all values of `name`.
    pub fn values<'a, 'b>(&'a self, name: &'b str) -> impl Iterator<Item = &'a str> + use<'a, 'b> {
        let pairs = self.form.iter().chain(&self.url);
        pairs.filter_map(move |(key, value)| (key == name).then_some(value.as_str()))
    }

    /// Returns the time in `name`, or `default` where it is missing.
    pub fn time_or(&self, name: &str, default: TimestampMs) -> Result<TimestampMs, ApiError> {
        let value = self.value(name);
        if value.is_empty() {
            return Ok(default);
        }
        parse_time(value).map_err(|cause| {
            let cause = format!("invalid time value for '{name}': {cause}");
            ApiError::invalid_parameter(name, cause)
        })
    }

    /// Returns the time in `name`; it is an error where it is missing.
    pub fn time(&self, name: &str) -> Result<TimestampMs, ApiError> {
        parse_time(self.value(name)).map_err(|cause| ApiError::invalid_parameter(name, cause))
    }

    /// Returns the duration in `name`; it is an error where it is missing.
    pub fn duration(&self, name: &str) -> Result<DurationMs, ApiError> {
        parse_duration(self.value(name)).map_err(|cause| ApiError::invalid_parameter(name, cause))
    }

    /// Returns the number in `limit`; `None` is no limit, and so is 0.
    pub fn limit(&self) -> Result<Option<usize>, ApiError> {
        let value = self.value("limit");
        if value.is_empty() {
            return Ok(None);
        }
        let limit: i64 = value.parse().map_err(|_| {
            ApiError::invalid_parameter(
                "limit",
                format!("cannot parse {} to a number", quote(value)),
            )
        })?;
        match usize::try_from(limit) {
            Ok(0) => Ok(None),
            Ok(limit) => Ok(Some(limit)),
            Err(_) => Err(ApiError::invalid_parameter(
                "limit",
                "limit must be non-negative",
            )),
        }
    }

    /// Returns the selectors in `match[]`, each as its matchers.
    pub fn matcher_sets(&self, features: Features) -> Result<Vec<Vec<Matcher>>, String> {
        self.values("match[]")
            .map(|text| matchers_of(text, features))
            .collect()
    }
}

fn matchers_of(text: &str, features: Features) -> Result<Vec<Matcher>, String> {
    let expr = promql::parse(text, &Functions, features).map_err(|e| e.to_string())?;
    match expr.kind {
        ExprKind::Vector(selector)
            if selector.at.is_none() && selector.offset.literal() == Some(DurationMs::ZERO) =>
        {
            Ok(selector.matchers)
        }
        _ => Err(format!("{} is not a series selector", quote(text))),
    }
}

/// Reads a time: Unix seconds, rounded to ms, or RFC 3339.
pub fn parse_time(text: &str) -> Result<TimestampMs, String> {
    if let Ok(seconds) = text.parse::<f64>()
        && seconds.is_finite()
    {
        let ms = seconds.trunc() * 1000.0 + (seconds.fract() * 1000.0).round();
        return Ok(clamped(ms as i64));
    }
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return Ok(TimestampMs(instant.as_millisecond()));
    }
    match text {
        EARLIEST => Ok(TimestampMs::MIN),
        LATEST => Ok(TimestampMs::MAX),
        _ => Err(format!("cannot parse {} to a valid timestamp", quote(text))),
    }
}

fn clamped(ms: i64) -> TimestampMs {
    TimestampMs(ms).clamp(TimestampMs::MIN, TimestampMs::MAX)
}

/// Reads a duration: seconds, or Prometheus' `1h30m`.
pub fn parse_duration(text: &str) -> Result<DurationMs, String> {
    if let Ok(seconds) = text.parse::<f64>()
        && !seconds.is_nan()
    {
        let nanoseconds = seconds * 1e9;
        if nanoseconds.abs() > i64::MAX as f64 {
            return Err(format!(
                "cannot parse {} to a valid duration. It overflows int64",
                quote(text)
            ));
        }
        return Ok(DurationMs(nanoseconds as i64 / 1_000_000));
    }
    DurationMs::parse(text).map_err(|_| format!("cannot parse {} to a valid duration", quote(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_unix_seconds_or_rfc_3339() {
        let check = |text: &str, expected: Option<i64>| {
            assert_eq!(parse_time(text).ok().map(|at| at.0), expected, "{text}");
        };
        check("0", Some(0));
        check("123", Some(123_000));
        check("123.123", Some(123_123));
        check("1543578564.705", Some(1_543_578_564_705));
        check("-1.5", Some(-1_500));
        check("1e3", Some(1_000_000));
        check("2015-06-03T13:21:58.555Z", Some(1_433_337_718_555));
        check("2015-06-03T14:21:58.555+01:00", Some(1_433_337_718_555));
        check("2015-06-03T13:21:58.555999999Z", Some(1_433_337_718_555));
        check(EARLIEST, Some(TimestampMs::MIN.0));
        check(LATEST, Some(TimestampMs::MAX.0));
        check("9e99", Some(TimestampMs::MAX.0));
        for text in [
            "",
            "30s",
            "NaN",
            "Inf",
            "foo",
            "2015-06-03",
            "2015-06-03T13:21",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn durations_are_seconds_or_prometheus_durations() {
        let check = |text: &str, expected: Option<i64>| {
            assert_eq!(parse_duration(text).ok().map(|d| d.0), expected, "{text}");
        };
        check("123", Some(123_000));
        check("123.333", Some(123_333));
        check("0.0001", Some(0));
        check("-3", Some(-3_000));
        check("15s", Some(15_000));
        check("5m", Some(300_000));
        for text in ["", "foo", "1e99", "-5m", "NaN", "Inf"] {
            check(text, None);
        }
    }

    #[test]
    fn the_form_comes_before_the_url() {
        let params = Params {
            form: parse_pairs(b"match[]=up&query=a%2Bb"),
            url: parse_pairs(b"match%5B%5D=down&query=c&limit=-1"),
        };
        assert_eq!(params.value("query"), "a+b");
        assert_eq!(params.values("match[]").collect::<Vec<_>>(), ["up", "down"]);
        assert_eq!(params.value("none"), "");
        let error = params.limit().unwrap_err().message;
        assert_eq!(
            error,
            r#"invalid parameter "limit": limit must be non-negative"#
        );
    }
}
