//! What people see of a cluster in a browser: words, view models and templates. No socket, no clock, no decision.
//!
//! ```text
//! core's views ─► views::* (words, bars, links) ─► templates/*.html ─► layout ─► HTML
//!              └► record::* ─────────────────────────────────────────────────► JSON
//! ```
//!
//! The words, and the records in JSON, are those of the command line too.

pub mod assets;
pub mod layout;
pub mod link;
pub mod parts;
pub mod record;
pub mod text;
pub mod views;
pub mod why;
