//! Compiles the remote-write messages with a compiler written in Rust, so that no `protoc` needs
//! to be installed.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let files = [
        "remote_read.proto",
        "remote_write_v1.proto",
        "remote_write_v2.proto",
    ];
    for file in files {
        println!("cargo:rerun-if-changed=proto/{file}");
    }
    println!("cargo:rerun-if-changed=proto/build.rs");
    let descriptors = protox::compile(files, ["proto"])?;
    prost_build::Config::new().compile_fds(descriptors)?;
    Ok(())
}
