//! What an executor promises, asked of a real one with real guests.

#[cfg(unix)]
mod compiler;
mod endings;
mod exceptions;
mod files;
mod folders;
mod fuel;
mod kit;
mod lifecycle;
mod modules;
mod net;
mod news;
mod output;
mod pools;
mod quotas;
mod sharing;
mod starter;
mod volumes;
