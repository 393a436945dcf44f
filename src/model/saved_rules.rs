//! A rule set with its settings as bytes and back, so that a start does not need the files of
//! then.

use crate::model::bytes::{ByteReader, ByteWriter, Read};
use crate::model::{
    ContextSettings, Dialect, EngineSettings, EvaluationMode, Grid, GroupKey, ModeOverride,
    NameValidation, RuleFormat, RuleSource,
};

/// The last byte of the settings: one bit says that ticks wait until what they read has settled,
/// the other that settings of contexts follow. What was written before there were any has neither.
const TICKS_WHEN_SETTLED: u8 = 1;
const CONTEXT: u8 = 2;

impl RuleSource {
    /// Puts the files' texts and the settings.
    pub fn save(&self, out: &mut ByteWriter) {
        out.list(self.files.iter(), |out, (path, text)| {
            out.text(path);
            out.text(text);
        });
        save_settings(&self.settings, out);
    }

    /// Takes what [`RuleSource::save`] has put.
    pub fn load(read: &mut ByteReader<'_>) -> Read<RuleSource> {
        Ok(RuleSource {
            files: read.list(2, |read| Ok((read.string()?, read.string()?)))?,
            settings: load_settings(read)?,
        })
    }
}

fn save_settings(settings: &EngineSettings, out: &mut ByteWriter) {
    // Named one by one, so that a field that is added cannot be forgotten.
    let EngineSettings {
        evaluation_interval,
        query_offset,
        external_labels,
        external_url,
        mode,
        mode_overrides,
        grid,
        watch,
        retention,
        scrape_settle,
        backlog_settle,
        idle_timeout,
        out_of_order_window,
        resend_delay,
        ticks_per_leap_max,
        samples_max,
        subquery_steps_max,
        elements_max,
        group_work_max,
        features,
        rule_format,
        share,
        ticks_when_settled,
        context,
    } = settings;
    out.span(*evaluation_interval);
    out.span(*query_offset);
    out.labels(external_labels);
    out.text(external_url);
    save_mode(*mode, out);
    out.list(mode_overrides.iter(), |out, entry| {
        out.text(&entry.file);
        out.text(&entry.group);
        save_mode(entry.mode, out);
    });
    save_grid(grid, out);
    out.list(watch.iter(), |out, text| out.text(text));
    for span in [
        retention,
        scrape_settle,
        backlog_settle,
        idle_timeout,
        out_of_order_window,
        resend_delay,
    ] {
        out.span(*span);
    }
    for count in [
        ticks_per_leap_max,
        samples_max,
        subquery_steps_max,
        elements_max,
        group_work_max,
    ] {
        out.count(*count);
    }
    out.list(features.iter(), |out, text| out.text(text));
    let RuleFormat {
        dialect,
        names,
        ignore_unknown_fields,
    } = rule_format;
    out.text(dialect.name());
    out.flag(*names == NameValidation::Legacy);
    out.flag(*ignore_unknown_fields);
    out.option(share.as_ref(), |out, share| {
        out.list(share.iter(), |out, group| {
            out.text(&group.file);
            out.text(&group.name);
        });
    });
    let ticks = if *ticks_when_settled {
        TICKS_WHEN_SETTLED
    } else {
        0
    };
    out.byte(ticks | CONTEXT);
    context.save(out);
}

fn load_settings(read: &mut ByteReader<'_>) -> Read<EngineSettings> {
    // In the order in which they were put.
    let settings = EngineSettings {
        evaluation_interval: read.span()?,
        query_offset: read.span()?,
        external_labels: read.labels()?,
        external_url: read.string()?,
        mode: load_mode(read)?,
        mode_overrides: read.list(3, |read| {
            Ok(ModeOverride {
                file: read.string()?,
                group: read.string()?,
                mode: load_mode(read)?,
            })
        })?,
        grid: load_grid(read)?,
        watch: read.list(1, ByteReader::string)?,
        retention: read.span()?,
        scrape_settle: read.span()?,
        backlog_settle: read.span()?,
        idle_timeout: read.span()?,
        out_of_order_window: read.span()?,
        resend_delay: read.span()?,
        ticks_per_leap_max: read.place()?,
        samples_max: read.place()?,
        subquery_steps_max: read.place()?,
        elements_max: read.place()?,
        group_work_max: read.place()?,
        features: read.list(1, ByteReader::string)?,
        rule_format: RuleFormat {
            dialect: load_dialect(read)?,
            names: match read.flag()? {
                true => NameValidation::Legacy,
                false => NameValidation::Utf8,
            },
            ignore_unknown_fields: read.flag()?,
        },
        share: read.option(|read| {
            read.list(2, |read| {
                Ok(GroupKey {
                    file: read.string()?,
                    name: read.string()?,
                })
            })
        })?,
        ..EngineSettings::default()
    };
    let flags = read.byte()?;
    if flags & !(TICKS_WHEN_SETTLED | CONTEXT) != 0 {
        return Err(read.malformed("settings that are known"));
    }
    Ok(EngineSettings {
        ticks_when_settled: flags & TICKS_WHEN_SETTLED != 0,
        context: match flags & CONTEXT {
            0 => ContextSettings::default(),
            _ => ContextSettings::load(read)?,
        },
        ..settings
    })
}

fn save_mode(mode: EvaluationMode, out: &mut ByteWriter) {
    out.flag(mode == EvaluationMode::Tick);
}

fn load_mode(read: &mut ByteReader<'_>) -> Read<EvaluationMode> {
    Ok(match read.flag()? {
        true => EvaluationMode::Tick,
        false => EvaluationMode::Arrival,
    })
}

fn load_dialect(read: &mut ByteReader<'_>) -> Read<Dialect> {
    let name = read.text()?;
    name.parse()
        .map_err(|_| read.malformed("a dialect of rules"))
}

fn save_grid(grid: &Grid, out: &mut ByteWriter) {
    match grid {
        Grid::Hashed => out.flag(false),
        Grid::UnitTest {
            start,
            interval,
            group_order,
        } => {
            out.flag(true);
            out.instant(*start);
            out.span(*interval);
            out.option(group_order.as_ref(), |out, order| {
                out.list(order.iter(), |out, name| out.text(name));
            });
        }
    }
}

fn load_grid(read: &mut ByteReader<'_>) -> Read<Grid> {
    Ok(match read.flag()? {
        false => Grid::Hashed,
        true => Grid::UnitTest {
            start: read.instant()?,
            interval: read.span()?,
            group_order: read.option(|read| read.list(1, ByteReader::string))?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ContextParts, DurationMs, Labels, TimestampMs};

    fn check(settings: EngineSettings) {
        let source = RuleSource {
            files: vec![("a.yml".to_owned(), "groups: []".to_owned())],
            settings,
        };
        let mut out = ByteWriter::default();
        source.save(&mut out);
        let bytes = out.into_bytes();
        let mut read = ByteReader::new(&bytes);
        assert_eq!(RuleSource::load(&mut read), Ok(source));
        assert_eq!(read.end(), Ok(()));
        for cut in 0..bytes.len() {
            assert!(RuleSource::load(&mut ByteReader::new(&bytes[..cut])).is_err());
        }
    }

    #[test]
    fn what_was_saved_is_loaded() {
        check(EngineSettings::default());
        check(EngineSettings {
            external_labels: Labels::from_pairs([("cluster", "a")]),
            external_url: "http://b".to_owned(),
            mode: EvaluationMode::Tick,
            mode_overrides: vec![ModeOverride {
                file: "x*.yml".to_owned(),
                group: "*".to_owned(),
                mode: EvaluationMode::Arrival,
            }],
            grid: Grid::UnitTest {
                start: TimestampMs(-5),
                interval: DurationMs(7),
                group_order: Some(vec!["g".to_owned()]),
            },
            watch: vec!["up".to_owned()],
            retention: DurationMs(1 << 40),
            features: vec!["st-storage".to_owned()],
            rule_format: RuleFormat {
                dialect: Dialect::Vmalert,
                names: NameValidation::Legacy,
                ignore_unknown_fields: true,
            },
            share: Some([GroupKey::new("x.yml", "g")].into()),
            ticks_when_settled: true,
            context: ContextSettings {
                default: ContextParts::ALL,
                links: vec![("logs".to_owned(), "http://logs/".to_owned())],
                changes_max: 7,
                ..ContextSettings::default()
            },
            ..EngineSettings::default()
        });
    }
}
