//! Where the built things are.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use crate::wine;

/// A binary of this workspace, as built for the profile of the caller, or for Windows where its folder is one of those.
///
/// # Panics
/// When it is not there, saying how to build it.
pub fn binary(name: &str) -> PathBuf {
    let folder = std::env::var_os("HAGGLE_TEST_BIN").map_or_else(profile_folder, PathBuf::from);
    let path = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    let for_windows = folder.join(format!("{name}.exe"));
    let found = if path.is_file() { path } else { for_windows };
    assert!(found.is_file(), "{name} is not built in {}; run `cargo build --workspace --bins`", folder.display());
    found
}

/// The system that the binaries are for, as an agent says it.
pub fn system() -> &'static str {
    if wine::runs(&binary("haggle")) { "windows" } else { std::env::consts::OS }
}

/// A binary of this workspace for Windows.
///
/// # Panics
/// Unless `HAGGLE_TEST_WINDOWS_BIN` names a folder with it.
pub fn windows_binary(name: &str) -> PathBuf {
    let folder = std::env::var_os("HAGGLE_TEST_WINDOWS_BIN").map(PathBuf::from);
    let found = folder.map(|folder| folder.join(format!("{name}.exe"))).filter(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!("{name}.exe is not built, or HAGGLE_TEST_WINDOWS_BIN not set; run `cargo xtask windows`")
    })
}

/// An example task, compiled to WebAssembly.
///
/// # Panics
/// When it is not there, saying how to build it.
pub fn wasm(name: &str) -> PathBuf {
    let folder = std::env::var_os("HAGGLE_TEST_WASM").map_or_else(
        || profile_folder().parent().expect("a profile folder lies in the target folder").join("wasm"),
        PathBuf::from,
    );
    let path = folder.join(format!("{name}.wasm"));
    assert!(path.is_file(), "{} is not built; run `cargo xtask wasm`", path.display());
    path
}

/// `target/debug` or `target/release`: tests run from `deps` inside it, binaries from itself.
fn profile_folder() -> PathBuf {
    let executable = std::env::current_exe().expect("the path of this process is known");
    let folder = executable.parent().expect("an executable lies in a folder");
    let folder = if folder.ends_with("deps") { folder.parent().expect("deps lies in a folder") } else { folder };
    Path::to_path_buf(folder)
}

/// A port of this machine that nobody listens on. Another process may take it first; then whoever is to listen there says so, and the
/// test fails.
///
/// # Panics
/// When there is none.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("a bound socket has an address").port()
}
