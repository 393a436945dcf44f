//! The set-up of the log: `--log.level`, `--log.format`; one line an event, on standard error.

use std::fmt::{self, Write};
use std::io;
use std::str::FromStr;

use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// Libraries that at `debug` say more than an operator of ours can use.
const TALKATIVE: [&str; 7] = [
    "h2",
    "hickory_proto",
    "hickory_resolver",
    "hyper",
    "hyper_util",
    "reqwest",
    "rustls",
];

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// `time=… level=INFO msg="…" key=value`
    #[default]
    Logfmt,
    /// `{"time":"…","level":"INFO","msg":"…","key":"value"}`
    Json,
}

/// Why the log cannot be set up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoggingError {
    /// No such level.
    #[error("unrecognized log level {0:?}; use debug, info, warn or error")]
    Level(String),
    /// No such format.
    #[error("unrecognized log format {0:?}; use logfmt or json")]
    Format(String),
    /// It was set up before.
    #[error("the log is set up already")]
    Again,
}

impl FromStr for LogFormat {
    type Err = LoggingError;

    fn from_str(text: &str) -> Result<Self, LoggingError> {
        match text {
            "logfmt" => Ok(LogFormat::Logfmt),
            "json" => Ok(LogFormat::Json),
            _ => Err(LoggingError::Format(text.to_owned())),
        }
    }
}

/// Reads a level: `debug`, `info`, `warn` or `error`.
pub fn parse_level(text: &str) -> Result<LevelFilter, LoggingError> {
    match text {
        "debug" => Ok(LevelFilter::DEBUG),
        "info" => Ok(LevelFilter::INFO),
        "warn" => Ok(LevelFilter::WARN),
        "error" => Ok(LevelFilter::ERROR),
        _ => Err(LoggingError::Level(text.to_owned())),
    }
}

/// Sets up the log of the process; once.
pub fn init(level: LevelFilter, format: LogFormat) -> Result<(), LoggingError> {
    let library_level = level.min(LevelFilter::INFO);
    let targets = TALKATIVE.map(|target| (target, library_level));
    let filter = Targets::new().with_default(level).with_targets(targets);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .event_format(Lines(format));
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init()
        .map_err(|_| LoggingError::Again)
}

struct Lines(LogFormat);

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let mut fields = Fields(Map::new());
        fields.0.insert("time".into(), time.into());
        let level = event.metadata().level().as_str();
        fields.0.insert("level".into(), level.into());
        // The message comes first whatever its place among the fields.
        fields.0.insert("msg".into(), "".into());
        event.record(&mut fields);
        match self.0 {
            LogFormat::Logfmt => write_logfmt(&mut writer, &fields.0)?,
            LogFormat::Json => write!(writer, "{}", Value::Object(fields.0))?,
        }
        writer.write_char('\n')
    }
}

struct Fields(Map<String, Value>);

impl Fields {
    fn set(&mut self, field: &Field, value: Value) {
        let name = match field.name() {
            "message" => "msg",
            name => name,
        };
        self.0.insert(name.to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, json!(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.set(field, value.to_string().into());
    }
}

fn write_logfmt(writer: &mut impl Write, fields: &Map<String, Value>) -> fmt::Result {
    let mut separator = "";
    for (name, value) in fields {
        write!(writer, "{separator}{name}=")?;
        match value {
            Value::String(text) if needs_quotes(text) => {
                write!(writer, "{}", crate::model::labels::quote(text))?;
            }
            Value::String(text) => writer.write_str(text)?,
            value => write!(writer, "{value}")?,
        }
        separator = " ";
    }
    Ok(())
}

fn needs_quotes(text: &str) -> bool {
    let special = |c: char| c <= ' ' || matches!(c, '=' | '"' | '\u{7f}');
    text.is_empty() || text.contains(special)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::fmt::MakeWriter;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Captured {
        type Writer = Captured;

        fn make_writer(&'a self) -> Captured {
            self.clone()
        }
    }

    fn check(format: LogFormat, expected: &str) {
        let captured = Captured::default();
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(captured.clone())
            .event_format(Lines(format));
        let subscriber = tracing_subscriber::registry().with(lines);
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(
                offset = 7u64,
                path = "a b",
                empty = "",
                "segment \"x\" is torn"
            );
        });
        let line = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
        let (_, behind_time) = line.split_once("level").unwrap();
        assert_eq!(behind_time, expected);
    }

    #[test]
    fn events_are_lines_of_logfmt_or_json() {
        check(
            LogFormat::Logfmt,
            "=WARN msg=\"segment \\\"x\\\" is torn\" offset=7 path=\"a b\" empty=\"\"\n",
        );
        check(
            LogFormat::Json,
            "\":\"WARN\",\"msg\":\"segment \\\"x\\\" is torn\",\"offset\":7,\"path\":\"a b\",\
             \"empty\":\"\"}\n",
        );
    }

    #[test]
    fn unknown_words_are_refused() {
        assert_eq!(parse_level("warn"), Ok(LevelFilter::WARN));
        let error = parse_level("loud").unwrap_err().to_string();
        assert_eq!(
            error,
            "unrecognized log level \"loud\"; use debug, info, warn or error"
        );
        assert!("xml".parse::<LogFormat>().is_err());
    }
}
