//! A rule set as bytes: the files' text, and every setting of an engine.

use std::collections::BTreeSet;

use crate::log::bytes::{Input, Malformed, put_text, put_varint, put_zigzag};
use crate::log::record::{labels, put_labels};
use crate::model::{
    Dialect, DurationMs, EngineSettings, EvaluationMode, Grid, GroupKey, ModeOverride,
    NameValidation, RuleFormat, RuleSource, TimestampMs,
};

/// Appends a rule set.
pub fn put(out: &mut Vec<u8>, rules: &RuleSource) {
    put_varint(out, rules.files.len() as u64);
    for (path, content) in &rules.files {
        put_text(out, path);
        put_text(out, content);
    }
    put_settings(out, &rules.settings);
}

/// Reads a rule set.
pub fn read(input: &mut Input<'_>) -> Result<RuleSource, Malformed> {
    let mut files = Vec::new();
    for _ in 0..input.count(2)? {
        files.push((input.text()?.to_owned(), input.text()?.to_owned()));
    }
    Ok(RuleSource {
        files,
        settings: settings(input)?,
    })
}

fn put_settings(out: &mut Vec<u8>, settings: &EngineSettings) {
    // All are named, so that a setting that is added cannot be left out.
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
    } = settings;
    for span in [
        evaluation_interval,
        query_offset,
        retention,
        scrape_settle,
        backlog_settle,
        idle_timeout,
        out_of_order_window,
        resend_delay,
    ] {
        put_zigzag(out, span.0);
    }
    for bound in [
        ticks_per_leap_max,
        samples_max,
        subquery_steps_max,
        elements_max,
        group_work_max,
    ] {
        put_varint(out, *bound as u64);
    }
    put_labels(out, external_labels);
    put_text(out, external_url);
    put_mode(out, *mode);
    put_varint(out, mode_overrides.len() as u64);
    for entry in mode_overrides {
        put_text(out, &entry.file);
        put_text(out, &entry.group);
        put_mode(out, entry.mode);
    }
    put_grid(out, grid);
    put_texts(out, watch);
    put_texts(out, features);
    let dialect = Dialect::ALL.iter().position(|d| *d == rule_format.dialect);
    out.push(dialect.unwrap_or_default() as u8);
    out.push(u8::from(rule_format.names == NameValidation::Legacy));
    out.push(u8::from(rule_format.ignore_unknown_fields));
    out.push(u8::from(share.is_some()));
    let share = share.iter().flatten();
    put_varint(out, share.clone().count() as u64);
    for key in share {
        put_text(out, &key.file);
        put_text(out, &key.name);
    }
    out.push(u8::from(*ticks_when_settled));
}

fn settings(input: &mut Input<'_>) -> Result<EngineSettings, Malformed> {
    let mut spans = [DurationMs::ZERO; 8];
    for span in &mut spans {
        *span = DurationMs(input.zigzag()?);
    }
    let [
        evaluation_interval,
        query_offset,
        retention,
        scrape_settle,
        backlog_settle,
        idle_timeout,
        out_of_order_window,
        resend_delay,
    ] = spans;
    let mut bounds = [0; 5];
    for bound in &mut bounds {
        *bound = usize::try_from(input.varint()?).unwrap_or(usize::MAX);
    }
    let [
        ticks_per_leap_max,
        samples_max,
        subquery_steps_max,
        elements_max,
        group_work_max,
    ] = bounds;
    let external_labels = labels(input)?;
    let external_url = input.text()?.to_owned();
    let default_mode = mode(input)?;
    let mut mode_overrides = Vec::new();
    for _ in 0..input.count(3)? {
        mode_overrides.push(ModeOverride {
            file: input.text()?.to_owned(),
            group: input.text()?.to_owned(),
            mode: mode(input)?,
        });
    }
    let grid = grid(input)?;
    let (watch, features) = (texts(input)?, texts(input)?);
    let dialect = Dialect::ALL.get(usize::from(input.byte()?));
    let rule_format = RuleFormat {
        dialect: *dialect.ok_or(Malformed("a dialect is none"))?,
        names: match input.flag()? {
            true => NameValidation::Legacy,
            false => NameValidation::Utf8,
        },
        ignore_unknown_fields: input.flag()?,
    };
    let has_share = input.flag()?;
    let mut share = BTreeSet::new();
    for _ in 0..input.count(2)? {
        share.insert(GroupKey::new(input.text()?, input.text()?));
    }
    Ok(EngineSettings {
        evaluation_interval,
        query_offset,
        external_labels,
        external_url,
        mode: default_mode,
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
        share: has_share.then_some(share),
        ticks_when_settled: input.flag()?,
    })
}

fn put_mode(out: &mut Vec<u8>, mode: EvaluationMode) {
    out.push(u8::from(mode == EvaluationMode::Tick));
}

fn mode(input: &mut Input<'_>) -> Result<EvaluationMode, Malformed> {
    Ok(match input.flag()? {
        true => EvaluationMode::Tick,
        false => EvaluationMode::Arrival,
    })
}

fn put_grid(out: &mut Vec<u8>, grid: &Grid) {
    match grid {
        Grid::Hashed => out.push(0),
        Grid::UnitTest {
            start,
            interval,
            group_order,
        } => {
            out.push(1);
            put_zigzag(out, start.0);
            put_zigzag(out, interval.0);
            out.push(u8::from(group_order.is_some()));
            put_texts(out, group_order.as_deref().unwrap_or_default());
        }
    }
}

fn grid(input: &mut Input<'_>) -> Result<Grid, Malformed> {
    if !input.flag()? {
        return Ok(Grid::Hashed);
    }
    let (start, interval) = (input.zigzag()?, input.zigzag()?);
    let has_order = input.flag()?;
    let order = texts(input)?;
    Ok(Grid::UnitTest {
        start: TimestampMs(start),
        interval: DurationMs(interval),
        group_order: has_order.then_some(order),
    })
}

fn put_texts(out: &mut Vec<u8>, texts: &[String]) {
    put_varint(out, texts.len() as u64);
    texts.iter().for_each(|text| put_text(out, text));
}

fn texts(input: &mut Input<'_>) -> Result<Vec<String>, Malformed> {
    let mut texts = Vec::new();
    for _ in 0..input.count(1)? {
        texts.push(input.text()?.to_owned());
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Labels;

    #[test]
    fn every_setting_comes_back() {
        let unlike_defaults = EngineSettings {
            evaluation_interval: DurationMs(1),
            query_offset: DurationMs(2),
            external_labels: Labels::from_pairs([("cluster", "eu")]),
            external_url: "http://x".to_owned(),
            mode: EvaluationMode::Tick,
            mode_overrides: vec![ModeOverride {
                file: "a*".to_owned(),
                group: "b".to_owned(),
                mode: EvaluationMode::Tick,
            }],
            grid: Grid::UnitTest {
                start: TimestampMs(3),
                interval: DurationMs(4),
                group_order: Some(vec!["g".to_owned()]),
            },
            watch: vec!["up".to_owned()],
            retention: DurationMs(5),
            scrape_settle: DurationMs(6),
            backlog_settle: DurationMs(7),
            idle_timeout: DurationMs(8),
            out_of_order_window: DurationMs(9),
            resend_delay: DurationMs(10),
            ticks_per_leap_max: 11,
            samples_max: 12,
            subquery_steps_max: 13,
            elements_max: usize::MAX,
            group_work_max: 14,
            features: vec!["promql-duration-expr".to_owned()],
            rule_format: RuleFormat {
                dialect: Dialect::Vmalert,
                names: NameValidation::Legacy,
                ignore_unknown_fields: true,
            },
            share: Some(BTreeSet::from([GroupKey::new("f", "g")])),
            ticks_when_settled: true,
        };
        for settings in [unlike_defaults, EngineSettings::default()] {
            let source = RuleSource {
                files: vec![("rules.yml".to_owned(), "groups: []".to_owned())],
                settings,
            };
            let mut bytes = Vec::new();
            put(&mut bytes, &source);
            let mut input = Input::new(&bytes);
            assert_eq!(read(&mut input), Ok(source));
            assert!(input.is_empty());
        }
    }
}
