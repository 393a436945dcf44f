//! The `burnwatch` command.

fn main() {}
