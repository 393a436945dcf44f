//! See `rule_file` in `src/lib.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| burnwatch_fuzz::rule_file(data));
