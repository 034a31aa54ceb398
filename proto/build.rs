//! Compiles `haggle.v1` without a system protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = ["types", "framework", "agent", "artifacts", "operator", "masters", "join"]
        .map(|name| format!("haggle/v1/{name}.proto"));
    let descriptors = protox::compile(&files, ["."])?;
    tonic_prost_build::configure()
        .codec_path("crate::codec::Lean")
        // As the core has them: names of attributes are neither hashed nor sorted on the way.
        .btree_map(".")
        .bytes(".haggle.v1.UploadChunk.data")
        .bytes(".haggle.v1.DownloadChunk.data")
        .bytes(".haggle.v1.LogChunk.data")
        .bytes(".haggle.v1.LogData.data")
        .compile_fds(descriptors)?;
    println!("cargo::rerun-if-changed=haggle");
    Ok(())
}
