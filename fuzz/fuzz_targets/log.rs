//! See `log` in `src/lib.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| burnwatch_fuzz::log(data));
