//! See `unit_test` in `src/lib.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| burnwatch_fuzz::unit_test(data));
