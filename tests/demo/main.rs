//! The demo as a newcomer runs it, as fast as it goes: its exit code says whether every alert of
//! the truth fired inside its window, and nothing that nobody expected.

use std::process::Command;

fn demo(args: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_burnwatch"))
        .args(["demo", "--exit", "--seconds", "0"])
        .args(args)
        .output()
        .expect("the demo starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complained}");
    assert!(said.contains("all as it should be: yes"), "{said}");
}

#[test]
fn the_three_stories_at_once_are_told_apart() {
    demo(&[]);
}

#[test]
fn the_silent_model_is_noticed() {
    demo(&["--scenario", "silent"]);
}

#[test]
fn the_nan_feature_is_noticed() {
    demo(&["--scenario", "nan"]);
}

#[test]
fn the_gpu_is_noticed_before_its_memory_runs_out() {
    demo(&["--scenario", "oom"]);
}

#[test]
fn without_an_incident_nothing_fires() {
    demo(&["--variant", "control", "--seed", "11"]);
}
