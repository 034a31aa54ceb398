//! Machines that come together by tokens.

mod agents;
mod contexts;
mod service;
mod strangers;
mod tour;

use haggle_kit::{Machine, Master};
