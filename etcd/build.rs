//! Compiles the part of etcd's API that we speak, without a system protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let descriptors = protox::compile(["rpc.proto"], ["src"])?;
    tonic_prost_build::configure().build_server(false).compile_fds(descriptors)?;
    println!("cargo::rerun-if-changed=src/rpc.proto");
    Ok(())
}
