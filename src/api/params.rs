//! Request parameters: from the URL and, for POST, from a form; times, durations, limits, selectors.

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{Method, header};
use axum::response::Response;

use crate::api::form::{self, Form};
use crate::api::instant::{Instant, parse_duration, parse_time};
use crate::api::response::{ApiError, text};
use crate::api::strconv::atoi;
use crate::functions::Functions;
use crate::model::Matcher;
use crate::promql::{self, Features};

/// Go's limit on a form's bytes; a longer one is answered 413.
const FORM_BYTES_MAX: usize = 10 << 20;

/// The parameters of a request, those of the form before those of the URL, as Go orders them.
#[derive(Clone, Debug, Default)]
pub struct Params {
    form: Form,
    url: Form,
}

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = Response;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Response> {
        let url = form::parse(request.uri().query().unwrap_or("").as_bytes());
        let may_have_form = matches!(
            *request.method(),
            Method::POST | Method::PUT | Method::PATCH
        );
        let form = if may_have_form && is_form(&request) {
            let body = to_bytes(request.into_body(), FORM_BYTES_MAX).await;
            let too_long = |_| {
                let status = axum::http::StatusCode::PAYLOAD_TOO_LARGE;
                text(status, "the form is cut off or longer than 10 MiB")
            };
            form::parse(&body.map_err(too_long)?)
        } else {
            Form::default()
        };
        Ok(Params { form, url })
    }
}

fn is_form(request: &Request) -> bool {
    let value = request.headers().get(header::CONTENT_TYPE);
    let value = value.and_then(|value| value.to_str().ok()).unwrap_or("");
    let media_type = value.split(';').next().unwrap_or("").trim();
    media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

impl Params {
    /// Returns the names of all parameters.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let pairs = self.form.pairs.iter().chain(&self.url.pairs);
        pairs.map(|(key, _)| key.as_str())
    }

    /// Returns the first value of `name`, or the empty text: the API makes no difference.
    pub fn value<'a>(&'a self, name: &str) -> &'a str {
        self.values(name).next().unwrap_or("")
    }

    /// Returns all values of `name`.
    pub fn values<'a, 'b>(&'a self, name: &'b str) -> impl Iterator<Item = &'a str> + use<'a, 'b> {
        let pairs = self.form.pairs.iter().chain(&self.url.pairs);
        pairs.filter_map(move |(key, value)| (key == name).then_some(value.as_str()))
    }

    /// Refuses parameters of which a part could not be read; what does not ask goes by the rest.
    pub fn check_form(&self) -> Result<(), ApiError> {
        match self.form.error.as_ref().or(self.url.error.as_ref()) {
            None => Ok(()),
            Some(cause) => Err(ApiError::bad_data(format!(
                "error parsing form values: {cause}"
            ))),
        }
    }

    /// Returns the time in `name`, or `default` where it is missing.
    pub fn time_or(&self, name: &str, default: Instant) -> Result<Instant, ApiError> {
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
    pub fn time(&self, name: &str) -> Result<Instant, ApiError> {
        parse_time(self.value(name)).map_err(|cause| ApiError::invalid_parameter(name, cause))
    }

    /// Returns the duration in `name` in ns; it is an error where it is missing.
    pub fn duration(&self, name: &str) -> Result<i64, ApiError> {
        parse_duration(self.value(name)).map_err(|cause| ApiError::invalid_parameter(name, cause))
    }

    /// Returns the number in `limit`; `None` is no limit, and so is 0.
    pub fn limit(&self) -> Result<Option<usize>, ApiError> {
        let value = self.value("limit");
        if value.is_empty() {
            return Ok(None);
        }
        let invalid = |cause: &str| ApiError::invalid_parameter("limit", cause);
        match usize::try_from(atoi(value).map_err(|cause| invalid(&cause))?) {
            Ok(0) => Ok(None),
            Ok(limit) => Ok(Some(limit)),
            Err(_) => Err(invalid("limit must be non-negative")),
        }
    }

    /// Returns the selectors in `match[]`, each as its matchers. One that every series satisfies
    /// is refused.
    pub fn matcher_sets(&self, features: Features) -> Result<Vec<Vec<Matcher>>, String> {
        let sets = self
            .values("match[]")
            .map(|text| promql::parse_selector(text, &Functions, features));
        let sets: Vec<Vec<Matcher>> = sets.collect::<Result<_, _>>().map_err(|e| e.to_string())?;
        let selects = |set: &Vec<Matcher>| set.iter().any(|matcher| !matcher.matches(""));
        if sets.iter().all(selects) {
            Ok(sets)
        } else {
            Err("match[] must contain at least one non-empty matcher".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_comes_before_the_url() {
        let params = Params {
            form: form::parse(b"match[]=up&query=a%2Bb"),
            url: form::parse(b"match%5B%5D=down&query=c&limit=-1&x=%zz"),
        };
        assert_eq!(params.value("query"), "a+b");
        assert_eq!(params.values("match[]").collect::<Vec<_>>(), ["up", "down"]);
        assert_eq!(params.value("none"), "");
        let error = params.limit().unwrap_err().message;
        assert_eq!(
            error,
            r#"invalid parameter "limit": limit must be non-negative"#
        );
        let error = params.check_form().unwrap_err().message;
        assert_eq!(
            error,
            r#"error parsing form values: invalid URL escape "%zz""#
        );
    }
}
