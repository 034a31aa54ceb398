//! What an executor promises, asked of a real one with real guests.

mod endings;
mod files;
mod folders;
mod fuel;
mod kit;
mod lifecycle;
mod modules;
mod net;
mod output;
mod quotas;
mod sharing;
