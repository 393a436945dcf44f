//! Our decoder against `prost`: what one encodes the other reads, and on damaged bodies ours
//! never panics and never takes what `prost` refuses.

use std::collections::HashMap;

use burnwatch::ingest::Limits;
use burnwatch::ingest::decode::histogram::RawHistogram;
use burnwatch::ingest::decode::labels::RawLabels;
use burnwatch::ingest::decode::wire::DecodeError;
use burnwatch::ingest::decode::{DecodeBuffers, HashKey, Visitor, v1, v2};
use burnwatch::ingest::rejection::Reason;
use burnwatch::model::{FloatHistogram, TimestampMs};
use burnwatch::wire;
use proptest::prelude::*;
use prost::Message;

use crate::support::Symbols;

/// A series as decoded: labels as they print, floats by bits, histograms.
#[derive(Clone, Debug, Default, PartialEq)]
struct Decoded {
    labels: String,
    floats: Vec<(i64, u64)>,
    histograms: Vec<(i64, Result<FloatHistogram, String>)>,
    starts: Vec<i64>,
    exemplars: Vec<i64>,
}

/// Reads everything of series that it does not know, and knows those whose labels were good, if
/// it is to remember them.
#[derive(Default)]
struct Recorder {
    remembers: bool,
    known: HashMap<u128, String>,
    series: Vec<Decoded>,
    hashes: Vec<u128>,
    metadata: Vec<String>,
}

impl Recorder {
    fn last(&mut self) -> &mut Decoded {
        self.series.last_mut().expect("a series began")
    }
}

impl Visitor for Recorder {
    /// Whether it is known.
    type Found = bool;

    fn expect(&mut self, _hash: u128) {}

    fn find(&mut self, hash: u128) -> bool {
        self.known.contains_key(&hash)
    }

    fn knows(&self, found: bool) -> bool {
        found
    }

    fn series(
        &mut self,
        hash: u128,
        found: bool,
        labels: &RawLabels<'_>,
    ) -> Result<bool, DecodeError> {
        let labels = match labels.read(&Limits::default())? {
            _ if found => self.known[&hash].clone(),
            Ok(labels) => {
                let labels = labels.to_string();
                if self.remembers {
                    self.known.insert(hash, labels.clone());
                }
                labels
            }
            Err(invalid) => format!("{:?}", invalid.reason),
        };
        self.hashes.push(hash);
        self.series.push(Decoded {
            labels,
            ..Decoded::default()
        });
        Ok(true)
    }

    fn unreadable_series(&mut self, reason: Reason, _labels: &RawLabels<'_>) {
        self.hashes.push(0);
        self.series.push(Decoded {
            labels: format!("{reason:?}"),
            ..Decoded::default()
        });
    }

    fn start_timestamp(&mut self, start: TimestampMs) {
        self.last().starts.push(start.0);
    }

    fn float(&mut self, at: TimestampMs, value: f64) {
        self.last().floats.push((at.0, value.to_bits()));
    }

    fn histogram(&mut self, at: TimestampMs, histogram: &mut RawHistogram) {
        let built = histogram.check().map(|()| histogram.build());
        self.last().histograms.push((at.0, built));
    }

    fn exemplar(&mut self, at: TimestampMs, _verdict: Result<(), Reason>) {
        self.last().exemplars.push(at.0);
    }

    fn series_end(&mut self) {}

    fn metadata(&mut self, metric: Option<&[u8]>, kind: u64, help: &[u8], unit: &[u8]) {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let metric = metric.map_or_else(|| "-".to_owned(), text);
        let (help, unit) = (text(help), text(unit));
        self.metadata.push(format!("{metric} {kind} {help} {unit}"));
    }
}

fn decode_v1(body: &[u8]) -> Result<Recorder, DecodeError> {
    let (mut recorder, mut buffers) = (Recorder::default(), DecodeBuffers::default());
    buffers.begin(1_000_000);
    v1::decode(body, &HashKey::new(3), &mut buffers, &mut recorder)?;
    Ok(recorder)
}

fn decode_v2(body: &[u8]) -> Result<Recorder, DecodeError> {
    let (mut recorder, mut buffers) = (Recorder::default(), DecodeBuffers::default());
    buffers.begin(1_000_000);
    v2::decode(body, &HashKey::new(3), &mut buffers, &mut recorder)?;
    Ok(recorder)
}

/// Decodes a body twice by one recorder, which knows the series the second time; returns what it
/// was told then.
fn decode_known(body: &[u8], is_v2: bool) -> Vec<Decoded> {
    let mut recorder = Recorder {
        remembers: true,
        ..Recorder::default()
    };
    let mut buffers = DecodeBuffers::default();
    for _ in 0..2 {
        recorder.series.clear();
        buffers.begin(1_000_000);
        let key = HashKey::new(3);
        let decoded = if is_v2 {
            v2::decode(body, &key, &mut buffers, &mut recorder)
        } else {
            v1::decode(body, &key, &mut buffers, &mut recorder)
        };
        decoded.expect("well-formed");
    }
    recorder.series
}

type Pair = (String, String);
type Given = (Vec<Pair>, Vec<(i64, f64)>, Vec<i64>);

fn texts() -> impl Strategy<Value = Pair> {
    ("[a-c]{1,2}|é{1,2}", "[a-z]{0,3}|\\PC{0,40}")
}

fn given() -> impl Strategy<Value = Given> {
    let labels = prop::collection::vec(texts(), 0..6);
    let named = (labels, any::<bool>()).prop_map(|(mut labels, named)| {
        if named {
            labels.insert(0, ("__name__".to_owned(), "m".to_owned()));
        }
        labels
    });
    let float = prop_oneof![any::<f64>(), Just(0.0), Just(-0.0), Just(f64::NAN)];
    let at = prop_oneof![
        any::<i64>(),
        Just(0),
        1_700_000_000_000i64..1_700_000_100_000
    ];
    let samples = prop::collection::vec((at, float), 0..4);
    (named, samples, prop::collection::vec(any::<i64>(), 0..3))
}

/// What a series ought to decode to, by the rules on labels alone.
fn expected((labels, samples, exemplars): &Given) -> Decoded {
    let mut sorted = labels.clone();
    sorted.sort();
    let named = |(name, value): &Pair| name == "__name__" && !value.is_empty();
    let labels = if sorted.windows(2).any(|two| two[0].0 == two[1].0) {
        "DuplicateLabel".to_owned()
    } else if !sorted.iter().any(named) {
        "MissingName".to_owned()
    } else {
        let pairs = sorted.iter().map(|(name, value)| (name, value));
        burnwatch::model::Labels::from_pairs(pairs).to_string()
    };
    Decoded {
        labels,
        // `prost` leaves zeros out, and takes -0 for one.
        floats: samples
            .iter()
            .map(|(at, value)| (*at, if *value == 0.0 { 0 } else { value.to_bits() }))
            .collect(),
        histograms: match exemplars.len() {
            2 => vec![(crate::histograms::AT, Ok(crate::histograms::expected()))],
            _ => Vec::new(),
        },
        starts: Vec::new(),
        exemplars: exemplars.clone(),
    }
}

fn body_v1(given: &[Given]) -> Vec<u8> {
    let one = |(labels, samples, exemplars): &Given| {
        let pairs: Vec<_> = labels
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        let mut series = crate::support::series(&pairs, samples);
        let exemplar = |at: &i64| wire::v1::Exemplar {
            labels: vec![crate::support::label("trace_id", "t")],
            value: 1.0,
            timestamp: *at,
        };
        series.exemplars = exemplars.iter().map(exemplar).collect();
        if exemplars.len() == 2 {
            series.histograms = vec![crate::histograms::integers()];
        }
        series
    };
    crate::support::plain_v1(given.iter().map(one).collect())
}

fn body_v2(given: &[Given]) -> Vec<u8> {
    let mut symbols = Symbols::new();
    let one = |(labels, samples, exemplars): &Given| {
        let pairs: Vec<_> = labels
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        let mut series = symbols.series(&pairs, samples);
        let exemplar = |at: &i64| wire::v2::Exemplar {
            labels_refs: Vec::new(),
            value: 1.0,
            timestamp: *at,
        };
        series.exemplars = exemplars.iter().map(exemplar).collect();
        if exemplars.len() == 2 {
            let bytes = crate::histograms::integers().encode_to_vec();
            let same = wire::v2::Histogram::decode(&*bytes).expect("the same fields");
            series.histograms = vec![same];
        }
        series
    };
    let series = given.iter().map(one).collect();
    symbols.plain(series)
}

proptest! {
    #[test]
    fn what_prost_encodes_is_read_alike_in_both_protocols(
        given in prop::collection::vec(given(), 0..6)
    ) {
        let wanted: Vec<_> = given.iter().map(expected).collect();
        for decoded in [decode_v1(&body_v1(&given)), decode_v2(&body_v2(&given))] {
            let decoded = decoded.expect("well-formed");
            prop_assert_eq!(&decoded.series, &wanted);
            // Equal labels in equal order have equal hashes, others have others.
            for (a, hash) in given.iter().zip(&decoded.hashes) {
                for (b, other) in given.iter().zip(&decoded.hashes) {
                    prop_assert_eq!(a.0 == b.0, hash == other);
                }
            }
        }
    }

    #[test]
    fn known_series_are_read_as_unknown_ones(given in prop::collection::vec(given(), 0..6)) {
        let wanted: Vec<_> = given.iter().map(expected).collect();
        prop_assert_eq!(&decode_known(&body_v1(&given), false), &wanted);
        prop_assert_eq!(&decode_known(&body_v2(&given), true), &wanted);
    }

    #[test]
    fn damaged_bodies_are_refused_where_prost_refuses_them(
        given in prop::collection::vec(given(), 1..4),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        for v2 in [false, true] {
            let mut body = if v2 { body_v2(&given) } else { body_v1(&given) };
            for (at, byte) in &damage {
                let at = at.index(body.len());
                body[at] = *byte;
            }
            body.truncate(cut.index(body.len() + 1));
            let (ours, theirs) = if v2 {
                (decode_v2(&body).is_ok(), wire::v2::Request::decode(&*body).err())
            } else {
                (decode_v1(&body).is_ok(), wire::v1::WriteRequest::decode(&*body).err())
            };
            // A text that is not UTF-8 we refuse series by series.
            let theirs = theirs.filter(|error| !error.to_string().contains("UTF-8"));
            if let (true, Some(error)) = (ours, theirs) {
                prop_assert!(false, "taken by us, refused by prost: {error} in {body:?}");
            }
        }
    }
}

#[test]
fn a_label_that_looks_like_a_sample_is_none() {
    let sample = {
        let series = crate::support::series(&[], &[(1_700_000_000_000, 1.5)]);
        series.encode_to_vec()
    };
    let field = |bytes: &[u8]| [&[0x0a, bytes.len() as u8], bytes].concat();
    let label = |name: &str, value: &[u8]| {
        let value = [&[0x12, value.len() as u8], value].concat();
        field(&[&field(name.as_bytes())[..], &value].concat())
    };
    let name = label("__name__", b"m");
    // The last label's value ends in the very bytes of a sample, and no sample follows; then one
    // follows; then a sample and behind it a label that ends like one.
    let hidden = label("a", &sample);
    let alone = [&name[..], &sample].concat();
    let cases = [
        (alone.clone(), "m", 1),
        ([&name[..], &hidden].concat(), "InvalidUtf8", 0),
        ([&name[..], &hidden, &sample].concat(), "InvalidUtf8", 1),
        ([&alone[..], &hidden].concat(), "InvalidUtf8", 1),
        ([&alone[..], &sample].concat(), "m", 2),
        (alone, "m", 1),
    ];
    let body: Vec<u8> = cases
        .iter()
        .flat_map(|(series, ..)| field(series))
        .collect();
    let decoded = decode_known(&body, false);
    for ((_, labels, n_samples), decoded) in cases.iter().zip(&decoded) {
        assert_eq!(
            (&*decoded.labels, decoded.floats.len()),
            (*labels, *n_samples)
        );
    }
    assert_eq!(decoded.len(), cases.len());
}

#[test]
fn metadata_is_read_in_both_protocols() {
    let request = wire::v1::WriteRequest {
        metadata: vec![wire::v1::MetricMetadata {
            r#type: 2,
            metric_family_name: "up".to_owned(),
            help: "Help.".to_owned(),
            unit: "s".to_owned(),
        }],
        ..wire::v1::WriteRequest::default()
    };
    let decoded = decode_v1(&request.encode_to_vec()).expect("fine");
    assert_eq!(decoded.metadata, ["up 2 Help. s"]);

    let mut symbols = Symbols::new();
    let mut series = symbols.series(&[("__name__", "up")], &[(1, 1.0)]);
    series.metadata = Some(wire::v2::Metadata {
        r#type: 1,
        help_ref: symbols.add("Help."),
        unit_ref: 99,
    });
    let decoded = decode_v2(&symbols.plain(vec![series])).expect("fine");
    assert_eq!(decoded.metadata, ["- 1 Help. "]);
}

#[test]
fn labels_behind_samples_and_unpacked_references_are_read_too() {
    let one = crate::support::series(&[("__name__", "m"), ("a", "1")], &[(5, 1.0)]);
    let usual = one.encode_to_vec();
    // A 1.0 series with its sample between its labels.
    let label = |at: usize| one.labels[at].encode_to_vec();
    let mut odd = Vec::new();
    for (tag, bytes) in [
        (0x0a, label(0)),
        (0x12, one.samples[0].encode_to_vec()),
        (0x0a, label(1)),
    ] {
        odd.push(tag);
        odd.push(bytes.len() as u8);
        odd.extend(bytes);
    }
    let body = |series: &[u8]| [&[0x0a, series.len() as u8], series].concat();
    let (usual, odd) = (decode_v1(&body(&usual)), decode_v1(&body(&odd)));
    let (usual, odd) = (usual.expect("fine"), odd.expect("fine"));
    assert_eq!(usual.series, odd.series);
    assert_eq!(usual.hashes, odd.hashes);

    // A 2.0 series before its symbols, references one by one, the sample first.
    let series = [0x12, 2, 0x10, 5, 0x08, 1, 0x08, 2];
    let mut body = vec![0x2a, series.len() as u8];
    body.extend(series);
    for symbol in ["", "__name__", "m"] {
        body.extend([0x22, symbol.len() as u8]);
        body.extend(symbol.as_bytes());
    }
    let decoded = decode_v2(&body).expect("fine");
    assert_eq!(decoded.series[0].labels, "m");
    assert_eq!(decoded.series[0].floats, [(5, 0)]);
}

#[test]
fn start_timestamps_of_2_0_come_with_their_samples() {
    let mut symbols = Symbols::new();
    let mut series = symbols.series(&[("__name__", "m")], &[(5, 1.0), (6, 2.0), (7, 3.0)]);
    series.samples[1].start_timestamp = 4;
    let decoded = decode_v2(&symbols.plain(vec![series])).expect("fine");
    assert_eq!(decoded.series[0].starts, [4]);
    assert_eq!(decoded.series[0].floats[1], (6, 2.0f64.to_bits()));
}
