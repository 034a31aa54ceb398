//! One view model for each page: made of the core's views, shown as HTML by a template of its name, or told as JSON.

mod agents;
mod cluster;
mod events;
mod frameworks;
mod login;
mod offers;
mod roles;
mod task;
mod tasks;
mod tokens;

use serde_json::Value;

use crate::layout::Section;

pub use agents::{AgentPage, AgentsPage};
pub use cluster::{ClusterPage, Hour, Whole};
pub use events::{AuditPage, EventsPage, event_row};
pub use frameworks::{FrameworkPage, FrameworksPage};
pub use login::{LoginPage, TroublePage};
pub use offers::OffersPage;
pub use roles::RolesPage;
pub use task::{LogTail, Looked, TaskPage};
pub use tasks::{TaskFilter, TasksPage};
pub use tokens::TokensPage;

/// What is shown of something.
pub trait View {
    /// In the title of the window.
    fn title(&self) -> String;

    /// Where in the head it is.
    fn section(&self) -> Option<Section>;

    /// As HTML, without what is around it.
    fn content(&self) -> String;

    /// The same as data.
    fn json(&self) -> Value;

    /// Whether it changes while somebody looks.
    fn is_live(&self) -> bool {
        true
    }
}

/// Whether the text is in one of these, whatever the case of its letters.
fn found(text: &str, within: &[&str]) -> bool {
    let text = text.to_lowercase();
    within.iter().any(|part| part.to_lowercase().contains(&text))
}
