//! The network of a task, all the way from the command line.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::thread;

use haggle_kit::wasm;
use serde_json::Value;
use tempfile::TempDir;

use crate::run::{assert_success, embedded, text};

/// An example task that is linked against WASI 0.2, as the component that rustc makes for wasm32-wasip2.
fn component(dir: &TempDir, name: &str) -> PathBuf {
    let adapter = wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER;
    let encoder = wit_component::ComponentEncoder::default().module(&std::fs::read(wasm(name)).unwrap()).unwrap();
    let component = dir.path().join(name);
    std::fs::write(&component, encoder.adapter("wasi_snapshot_preview1", adapter).unwrap().encode().unwrap()).unwrap();
    component
}

/// Greets everybody who asks over HTTP.
fn greeter() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // The whole request is one packet, on loopback.
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
        }
    });
    address
}

#[test]
fn a_task_sends_requests_to_whom_the_command_line_allows_and_to_nobody_else() {
    let dir = TempDir::new().unwrap();
    let fetch = component(&dir, "fetch").display().to_string();
    let address = greeter().to_string();
    let url = format!("http://{address}/");

    let allowed = embedded(&[&fetch, "--allow-http", &address, "--", &url]).output().unwrap();
    let foreign = embedded(&[&fetch, "--allow-http", "127.0.0.1:1", "--", &url]).output().unwrap();

    assert_success(&allowed);
    assert_eq!(text(&allowed.stdout), "hello");
    assert_eq!(foreign.status.code(), Some(1));
    assert!(text(&foreign.stderr).contains("HttpRequestDenied"), "{}", text(&foreign.stderr));
}

#[test]
fn the_bytes_of_a_connection_are_told() {
    let dir = TempDir::new().unwrap();
    let dial = component(&dir, "dial").display().to_string();
    let address = greeter().to_string();

    let output =
        embedded(&[&dial, "--json", "--allow-net", &address, "--", "tcp", &address, "hello?"]).output().unwrap();

    assert_success(&output);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["usage"]["net_bytes"], 6 + "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello".len(), "{told}");
}
