//! 9. Log: the engine is a state machine over it: same log, same effects, byte for byte.

use proptest::prelude::*;

use crate::world::{World, replay};

const RULES: &str = "
groups:
- name: g
  rules:
  - {record: 'r', expr: 'sum by (job) (rate(x[30s]))'}
  - {alert: High, expr: 'r > 0.5', for: 15s, annotations: {value: '{{ $value }}'}}
  - {alert: Gone, expr: 'absent(x{job=\"b\"})', labels: {severity: '{{ $labels.job }}'}}
";

proptest! {
    #![proptest_config(crate::world::cases(64))]

    #[test]
    fn the_same_log_has_the_same_effects(
        steps in prop::collection::vec((0u8..3, 0u8..20, 0.0..100.0f64), 1..60),
    ) {
        let mut world = World::new(RULES);
        let mut now = 0.0;
        for (kind, seconds, value) in steps {
            now += f64::from(seconds);
            match kind {
                0 => world.push(now, &[("x{job=\"a\",instance=\"1\"}", value)]),
                1 => world.push_at_wall(now, now - 3.0, &[("x{job=\"b\",instance=\"2\"}", value)]),
                _ => world.idle(now),
            }
        }
        prop_assert_eq!(&replay(&world.log), &world.effects);
    }
}

#[test]
fn the_samples_of_a_retried_request_change_nothing() {
    let play = |times: usize| {
        let mut world = World::new(RULES);
        for n in 0..20 {
            let second = f64::from(n) * 5.0;
            for _ in 0..times {
                world.push(second, &[("x{job=\"a\"}", second * 2.0)]);
            }
        }
        (world.told(), world.query("r", 90.0))
    };
    assert_eq!(play(1), play(3));
}
