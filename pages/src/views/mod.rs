//! One view model for each page: made of the core's views, shown as HTML by a template of its name, or told as JSON.

mod agents;
mod cluster;
mod events;
mod frameworks;
mod life;
mod login;
mod offers;
mod roles;
mod task;
mod tasks;
mod tokens;

use serde_json::Value;

use crate::layout::Section;
use crate::parts::count;

pub use agents::{AboutAgent, AgentPage, AgentsPage};
pub use cluster::{ClusterPage, Hour, Whole};
pub use events::{AuditPage, EventsPage, event_row, queue_rows};
pub use frameworks::{FrameworkPage, FrameworksPage};
pub use login::{LoginPage, TroublePage};
pub use offers::OffersPage;
pub use roles::RolesPage;
pub use task::{LogTail, May, Seen, TaskPage};
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

/// A view of lists of which something was left out.
pub struct Shortened<V> {
    /// What is shown all the same.
    pub view: V,
    /// How many of each list were looked at.
    pub most: usize,
}

impl<V> Shortened<V> {
    fn told(&self) -> String {
        format!(
            "Of a list no more than the first {} are looked at, and here are more: what is shown is not all",
            count(self.most as u64)
        )
    }
}

impl<V: View> View for Shortened<V> {
    fn title(&self) -> String {
        self.view.title()
    }

    fn section(&self) -> Option<Section> {
        self.view.section()
    }

    fn content(&self) -> String {
        format!("<p class=\"message\" role=\"note\">{}.</p>{}", self.told(), self.view.content())
    }

    fn json(&self) -> Value {
        let mut json = self.view.json();
        if let Some(fields) = json.as_object_mut() {
            fields.insert("left_out".to_owned(), self.told().into());
        }
        json
    }

    fn is_live(&self) -> bool {
        self.view.is_live()
    }
}

/// Whether the text is in one of these, whatever the case of its letters.
fn found(text: &str, within: &[&str]) -> bool {
    let text = text.to_lowercase();
    within.iter().any(|part| part.to_lowercase().contains(&text))
}
