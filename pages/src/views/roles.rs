//! The tree of roles: weights, quotas, shares beside fair shares, and who waits.

use askama::Template;
use haggle_core::cluster::RoleView;
use haggle_core::{Ceiling, Resources};
use serde_json::{Value, json};

use super::{View, found};
use crate::layout::Section;
use crate::link::{Query, encoded};
use crate::parts::{Bar, Pager};
use crate::record::RoleRecord;
use crate::text::printable;
use crate::views::tasks::role_url;

struct RoleRow {
    name: String,
    /// How deep it is: 0 to 7.
    depth: usize,
    last: String,
    weight: u32,
    share: Bar,
    used: String,
    guarantee: String,
    limit: String,
    frameworks: String,
    waiting: usize,
    url: String,
    tasks_url: String,
}

/// All roles that somebody sees.
#[derive(Template)]
#[template(path = "roles.html")]
pub struct RolesPage {
    query: String,
    rows: Vec<RoleRow>,
    pager: Pager,
    is_filtered: bool,
    may_set: bool,
    roles: Vec<RoleView>,
}

impl RolesPage {
    /// What the address selects of them. `may_set`: whoever looks may set weights and quotas.
    pub fn new(query: &Query, mut roles: Vec<RoleView>, may_set: bool) -> Self {
        let text = query.get("q");
        roles.retain(|role| text.is_empty() || found(text, &[&role.name]));
        // As a tree: a role before those below it, whatever letters its siblings have.
        roles.sort_by(|one, other| one.name.split('/').cmp(other.name.split('/')));
        let pager = Pager::new("/roles", query, roles.len(), "role");
        let range = Pager::range(query, roles.len());
        let roles: Vec<RoleView> = roles.drain(range).collect();
        let rows = roles.iter().map(row).collect();
        Self { query: text.to_owned(), rows, pager, is_filtered: !query.is_empty(), may_set, roles }
    }
}

fn row(role: &RoleView) -> RoleRow {
    let guarantee = role.quota.as_ref().map(|quota| &quota.guarantee).filter(|some| **some != Resources::default());
    let limit = role.quota.as_ref().map(|quota| &quota.limit).filter(|some| **some != Ceiling::default());
    RoleRow {
        name: printable(&role.name),
        depth: role.name.matches('/').count().min(7),
        last: printable(role.name.rsplit('/').next().unwrap_or_default()),
        weight: role.weight,
        share: Bar::of_share(role.share.as_f64(), role.fair_share.as_f64()),
        used: format!("{} cpu, {}", role.used.cpus.as_cores(), role.used.mem),
        guarantee: guarantee.map_or_else(String::new, ToString::to_string),
        limit: limit.map_or_else(String::new, ToString::to_string),
        frameworks: role.frameworks.to_string(),
        waiting: role.waiting,
        url: format!("/frameworks?q={}", encoded(&role.name)),
        tasks_url: role_url(&role.name),
    }
}

impl View for RolesPage {
    fn title(&self) -> String {
        "Roles".to_owned()
    }

    fn section(&self) -> Option<Section> {
        Some(Section::Roles)
    }

    fn content(&self) -> String {
        self.render().unwrap_or_default()
    }

    fn json(&self) -> Value {
        let roles: Vec<RoleRecord> = self.roles.iter().map(Into::into).collect();
        json!({ "roles": roles, "shown": self.pager.text, "next": self.pager.behind })
    }
}
