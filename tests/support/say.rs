//! `say!`: a line that is seen although the test passes, for counts and for what is skipped.
//!
//! `println!` in a test is shown only when the test fails, and a skipped comparison or "97 of 100"
//! must not hide behind an "ok".

macro_rules! say {
    ($($arg:tt)*) => {{
        let line = format!($($arg)*);
        let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{line}\n").as_bytes());
    }};
}
