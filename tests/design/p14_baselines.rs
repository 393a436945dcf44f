//! 14. A loaded baseline is there at every instant, and what is no longer loaded is gone.

use crate::world::{World, replay, told};

const RULES: &str = r#"
groups:
- name: g
  rules:
  - alert: Drift
    expr: 'drift_total_variation(x, x:baseline, "label=class") > 0.4'
"#;
const BASELINE: &str = r#"
baseline: {captured_at: yesterday}
series:
  - 'x:baseline{class="cat",model="a"} 8'
  - 'x:baseline{class="dog",model="a"} 2'
"#;
const CAT: &str = r#"x{model="a",class="cat"}"#;
const DOG: &str = r#"x{model="a",class="dog"}"#;
const MISSING: &str = r#"burnwatch_baseline_missing{baseline="x:baseline", file="rules.yml", group="g", rule="Drift"} 1"#;

fn n_series(world: &World, seconds: f64) -> usize {
    world.query("x:baseline", seconds).len()
}

#[test]
fn a_baseline_is_never_stale_and_alerts_arrive_with_the_drift() {
    let mut world = World::new(RULES);
    world.load_baseline(Some(BASELINE));
    let mut n_told = 0;
    for seconds in 0..70 {
        let at = f64::from(seconds) * 10.0 + 1.0;
        world.push(at, &[(CAT, 8.0), (DOG, 2.0)]);
        assert_eq!(n_series(&world, at), 2, "{at}");
        n_told += world.told().len();
    }
    assert_eq!(n_told, 0);
    world.push(703.0, &[(CAT, 2.0), (DOG, 8.0)]);
    assert_eq!(world.told(), [r#"703s firing Drift{model="a"}"#]);
    assert_eq!(told(&replay(&world.log)), world.told());
}

#[test]
fn a_leap_of_the_clock_finds_it_on_the_other_side() {
    let mut world = World::new(RULES);
    world.load_baseline(Some(BASELINE));
    world.push(1.0, &[(CAT, 8.0), (DOG, 2.0)]);
    let later = 3.0 * 86_400.0;
    world.push(later, &[(CAT, 2.0), (DOG, 8.0)]);
    world.push(later + 1.0, &[(CAT, 2.0), (DOG, 8.0)]);
    assert_eq!(n_series(&world, later), 2);
}

#[test]
fn what_is_no_longer_loaded_is_ended_and_missed() {
    let mut world = World::new(RULES);
    world.load_baseline(Some(BASELINE));
    world.push(1.0, &[(CAT, 8.0), (DOG, 2.0)]);
    world.push(61.0, &[(CAT, 8.0), (DOG, 2.0)]);
    assert_eq!(
        world.query("burnwatch_baseline_missing", 61.0),
        Vec::<String>::new()
    );
    world.load_baseline(None);
    world.push(63.0, &[(CAT, 8.0), (DOG, 2.0)]);
    assert_eq!(n_series(&world, 63.0), 0);
    assert_eq!(world.query("burnwatch_baseline_missing", 63.0), [MISSING]);
    world.load_baseline(Some(BASELINE));
    world.push(65.0, &[(CAT, 8.0), (DOG, 2.0)]);
    assert_eq!(n_series(&world, 65.0), 2);
    assert_eq!(
        world.query("burnwatch_baseline_missing", 65.0),
        Vec::<String>::new()
    );
}

#[test]
fn an_arrival_is_looked_at_by_what_the_groups_have_in_common() {
    let rules = r#"
groups:
- name: g
  rules:
  - alert: Drift
    expr: 'drift_psi(rate(s_bucket[5m]), s_bucket:baseline) > 0.2'
  - alert: Turned
    expr: 'drift_cosine_similarity(e, e:baseline, "dim") < 0.9'
"#;
    let world = World::new(rules);
    let parts = |at: usize| {
        let partition = &world.engine.rules().rules[at].partition;
        partition.as_ref().expect("it is taken apart").to_string()
    };
    assert_eq!(parts(0), "all but the metric name, le");
    assert_eq!(parts(1), "all but the metric name, dim");
}
