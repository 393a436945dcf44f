//! The command line of the bench.

/// What is to be run, and how much of it.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Smaller loads: a few minutes for all.
    pub quick: bool,
    /// Whether docs/PERFORMANCE.md and the plots are written.
    pub write: bool,
    /// The rows asked for; none means all.
    pub rows: Vec<usize>,
    /// Whether the plots of growing cost are asked for; so without rows, too.
    pub growth: bool,
    series: Option<usize>,
    rounds: Option<usize>,
    history_ms: Option<i64>,
    seconds: Option<u64>,
}

/// What the command line may say.
pub const USAGE: &str = "cargo bench --bench compare -- [--quick] [--write] [--row N]... [--growth]
  --quick      smaller loads, a few minutes in all
  --write      put the figures into docs/PERFORMANCE.md and draw docs/cost-by-*.svg
  --row N      only this row of the table; may be repeated
  --growth     only the plots, or with --row those too
  --series N   so many series instead of the row's own
  --rounds N   so many scrapes in a measured block
  --history D  at most so much history before windows are measured: 2h, 3d
  --seconds N  how long the fleet is watched live";

impl Settings {
    /// Reads the command line, or says what is wrong with it.
    pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut settings = Settings::default();
        let mut arguments = arguments;
        while let Some(name) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{name} needs a value"));
            let number = |text: String| match text.parse::<usize>() {
                Ok(number) if number > 0 => Ok(number),
                _ => Err(format!("not a number above 0: {text}")),
            };
            match name.as_str() {
                // Cargo gives it to every bench.
                "--bench" => {}
                "--quick" => settings.quick = true,
                "--write" => settings.write = true,
                "--growth" => settings.growth = true,
                "--row" => settings.rows.push(number(value()?)?),
                "--series" => settings.series = Some(number(value()?)?),
                "--rounds" => settings.rounds = Some(number(value()?)?),
                "--seconds" => settings.seconds = Some(number(value()?)? as u64),
                "--history" => settings.history_ms = Some(span_ms(&value()?)?),
                "--help" => return Err("the comparison with peers".to_owned()),
                _ => return Err(format!("unknown: {name}")),
            }
        }
        Ok(settings)
    }

    /// Says whether a row is asked for.
    pub fn has_row(&self, number: usize) -> bool {
        self.rows.contains(&number) || (self.rows.is_empty() && !self.growth)
    }

    /// Says whether the plots are asked for.
    pub fn has_growth(&self) -> bool {
        self.growth || self.rows.is_empty()
    }

    /// Returns how many series to push: what was asked for, or one of the row's own numbers.
    pub fn series(&self, full: usize, quick: usize) -> usize {
        self.series.unwrap_or(if self.quick { quick } else { full })
    }

    /// Returns how many scrapes a measured block has.
    pub fn rounds(&self, full: usize, quick: usize) -> usize {
        self.rounds.unwrap_or(if self.quick { quick } else { full })
    }

    /// Returns how much history is pushed for a window.
    pub fn history_ms(&self, window_ms: i64) -> i64 {
        self.history_ms.unwrap_or(i64::MAX).min(window_ms)
    }

    /// Returns how many seconds something is watched for.
    pub fn seconds(&self, full: u64, quick: u64) -> u64 {
        self.seconds
            .unwrap_or(if self.quick { quick } else { full })
    }
}

/// Reads a span such as `5m`, `6h` or `30d`, in ms.
pub fn span_ms(text: &str) -> Result<i64, String> {
    let wrong = || format!("not a span such as 6h: {text}");
    let (number, unit) = text
        .split_at_checked(text.len().saturating_sub(1))
        .ok_or_else(wrong)?;
    let unit_ms = match unit {
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    let number: i64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(unit_ms).ok_or_else(wrong)
}
