//! 4. Order: re-batching or re-ordering requests that are not late changes no alert.

use proptest::prelude::*;

use crate::world::{World, told};

const RULES: &str = "
groups:
- name: b_reader
  rules:
  - {alert: High, expr: 'job:x:sum > 10', for: 20s}
  - {alert: Any, expr: 'x > 6'}
  - {alert: Pair, expr: 'x > on (instance) y'}
- name: a_recorder
  rules:
  - {record: 'job:x:sum', expr: 'sum by (job) (x)'}
";

type Scrape = Vec<(String, f64)>;

fn scrapes() -> impl Strategy<Value = Vec<Vec<f64>>> {
    prop::collection::vec(prop::collection::vec(0.0..9.0f64, 4), 3..20)
}

fn scrape(values: &[f64]) -> Scrape {
    ["x", "y"]
        .iter()
        .flat_map(|name| (0..2).map(move |i| format!("{name}{{job=\"j\",instance=\"{i}\"}}")))
        .zip(values)
        .map(|(series, value)| (series, value.round()))
        .collect()
}

/// Plays the scrapes; `split` says into how many requests each is cut, and whether these come
/// in reverse order.
fn play(scrapes: &[Vec<f64>], split: &[(usize, bool)]) -> Vec<String> {
    let mut world = World::new(RULES);
    for (n, values) in scrapes.iter().enumerate() {
        let second = n as f64 * 7.0;
        let samples = scrape(values);
        // The first scrape comes whole: nothing is known of a target before it.
        let (pieces, reverse) = if n == 0 {
            (1, false)
        } else {
            split[n % split.len()]
        };
        let mut requests: Vec<&[(String, f64)]> =
            samples.chunks(samples.len().div_ceil(pieces)).collect();
        if reverse {
            requests.reverse();
        }
        for request in requests {
            let request: Vec<_> = request.iter().map(|(s, v)| (s.as_str(), *v)).collect();
            world.push(second, &request);
        }
    }
    told(&world.effects)
}

proptest! {
    #![proptest_config(crate::world::cases(64))]

    #[test]
    fn how_samples_are_batched_changes_no_alert(
        scrapes in scrapes(),
        split in prop::collection::vec((1usize..5, any::<bool>()), 1..6),
    ) {
        prop_assert_eq!(play(&scrapes, &[(1, false)]), play(&scrapes, &split));
    }
}

#[test]
fn a_group_that_reads_what_another_records_ticks_after_it() {
    let mut world = World::new(RULES);
    world.push(0.0, &[("x{job=\"j\",instance=\"0\"}", 11.0)]);
    world.push(20.0, &[("x{job=\"j\",instance=\"0\"}", 11.0)]);
    // Alphabetical order would tick b_reader... first only by luck of names; dependence decides.
    assert!(
        world
            .told()
            .contains(&"20s firing High{job=\"j\"}".to_owned()),
        "{:?}",
        world.told()
    );
}
