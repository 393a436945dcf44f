//! The real programs that tests run, and addresses for them to listen on.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

/// Finds a program on PATH or under target/tools, where `tests/tools.sh` puts it.
pub fn tool(name: &str) -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let candidates = std::env::split_paths(&path).chain([target]);
    candidates
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
}

/// Returns an address on loopback that is free now.
pub fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("it is bound")
}
