//! Hosts of their own: each is a network namespace with an address, a user and a home, and nothing passes between them but
//! what a cable would carry.
//!
//! Making them needs Linux, its root user and iproute2. Where one of them is missing, and where a row needs more than there
//! is, a line says what was left out. `cargo xtask hosts` prints the figures.

#![cfg(target_os = "linux")]

mod cut;
mod far;
mod host;
mod nat;
mod net;
mod scene;
mod tour;
