//! Alerts as bytes and back.

use std::sync::Arc;

use crate::alert::{ActiveAlerts, Alert, Phase};
use crate::model::bytes::{ByteReader, ByteWriter, Read};

impl ActiveAlerts {
    /// Puts a rule's alerts.
    pub fn save(&self, out: &mut ByteWriter) {
        out.count(self.iter().count());
        self.iter().for_each(|alert| alert.save(out));
    }

    /// Takes what [`ActiveAlerts::save`] has put.
    pub fn load(read: &mut ByteReader<'_>) -> Read<ActiveAlerts> {
        let alerts: Vec<Alert> = read.list(8, Alert::load)?;
        Ok(ActiveAlerts::from_alerts(alerts.into_iter()))
    }
}

impl Alert {
    fn save(&self, out: &mut ByteWriter) {
        out.labels(&self.labels);
        out.list(self.annotations.iter(), |out, (name, text)| {
            out.text(name);
            out.text(text);
        });
        out.float(self.value);
        out.option(self.fired_at(), ByteWriter::instant);
        out.instant(self.active_at);
        for since in [self.tick_since, self.seen_since, self.keep_firing_since] {
            out.option(since, ByteWriter::instant);
        }
        out.option(self.part, ByteWriter::word);
    }

    fn load(read: &mut ByteReader<'_>) -> Read<Alert> {
        let labels = read.labels()?;
        let annotations: Vec<(String, String)> =
            read.list(2, |read| Ok((read.string()?, read.string()?)))?;
        Ok(Alert {
            labels,
            annotations: Arc::from(annotations),
            value: read.float()?,
            phase: match read.option(ByteReader::instant)? {
                None => Phase::Pending,
                Some(fired_at) => Phase::Firing { fired_at },
            },
            active_at: read.instant()?,
            tick_since: read.option(ByteReader::instant)?,
            seen_since: read.option(ByteReader::instant)?,
            keep_firing_since: read.option(ByteReader::instant)?,
            part: read.option(ByteReader::word)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Labels, TimestampMs};

    #[test]
    fn alerts_come_back_as_they_were() {
        let alert = |name: &str, part, phase| Alert {
            value: f64::NAN,
            phase,
            tick_since: Some(TimestampMs(-3)),
            seen_since: None,
            keep_firing_since: Some(TimestampMs(9)),
            part,
            ..Alert::new(
                Labels::from_pairs([("alertname", name)]),
                Arc::from([("summary".to_owned(), "so".to_owned())]),
                TimestampMs(7),
            )
        };
        let fired_at = TimestampMs(8);
        let alerts = [
            alert("a", Some(7), Phase::Pending),
            alert("b", Some(7), Phase::Firing { fired_at }),
            alert("c", None, Phase::Pending),
        ];
        let all = ActiveAlerts::from_alerts(alerts.into_iter());
        let mut out = ByteWriter::default();
        all.save(&mut out);
        let bytes = out.into_bytes();
        let mut read = ByteReader::new(&bytes);
        let loaded = ActiveAlerts::load(&mut read);
        // NaN differs from itself, its text does not.
        assert_eq!(format!("{loaded:?}"), format!("{:?}", Ok::<_, ()>(all)));
        assert_eq!(read.end(), Ok(()));
    }
}
