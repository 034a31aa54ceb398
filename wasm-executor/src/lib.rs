//! wasm-executor
