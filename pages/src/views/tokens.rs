//! Who is let in.

use askama::Template;
use haggle_core::access::{TokenId, TokenKind, TokenRecord};
use serde_json::{Value, json};

use super::View;
use crate::layout::Section;
use crate::link::Query;
use crate::parts::{Action, Moment, Pager};
use crate::text::printable;

struct TokenRow {
    id: String,
    name: String,
    kind: &'static str,
    roles: String,
    made: Moment,
    made_by: String,
    expires: Moment,
    revoke: Option<Action>,
}

/// Tokens that let somebody in.
#[derive(Template)]
#[template(path = "tokens.html")]
pub struct TokensPage {
    rows: Vec<TokenRow>,
    pager: Pager,
    tokens: Vec<(TokenId, TokenRecord)>,
}

impl TokensPage {
    /// Those of one page. `may_revoke`: whoever looks may end them.
    pub fn new(query: &Query, mut tokens: Vec<(TokenId, TokenRecord)>, may_revoke: bool, now_ms: u64) -> Self {
        let pager = Pager::new("/tokens", query, tokens.len(), "token");
        let range = Pager::range(query, tokens.len());
        let tokens: Vec<_> = tokens.drain(range).collect();
        let rows = tokens.iter().map(|(id, record)| row(*id, record, may_revoke, now_ms)).collect();
        Self { rows, pager, tokens }
    }
}

fn kind(record: &TokenRecord) -> (&'static str, Vec<String>) {
    match &record.kind {
        TokenKind::Agent { .. } => ("agent", Vec::new()),
        TokenKind::Framework(roles) => ("framework", roles.to_strings()),
        TokenKind::Operator => ("operator", Vec::new()),
        TokenKind::Viewer(roles) => ("viewer", roles.to_strings()),
    }
}

fn row(id: TokenId, record: &TokenRecord, may_revoke: bool, now_ms: u64) -> TokenRow {
    let (kind, roles) = kind(record);
    TokenRow {
        id: id.to_string(),
        name: printable(&record.name),
        kind,
        roles: printable(&roles.join(", ")),
        made: Moment::new(record.made_ms, now_ms),
        made_by: printable(&record.made_by),
        expires: Moment::new(record.expires_ms, now_ms),
        revoke: may_revoke.then(|| Action {
            label: "Revoke",
            url: format!("/tokens/{id}/revoke"),
            command: format!("haggle token revoke {id}"),
            what: "It lets nobody in any more, and the sessions that came by it end.",
            ends: true,
        }),
    }
}

impl View for TokensPage {
    fn title(&self) -> String {
        "Tokens".to_owned()
    }

    fn section(&self) -> Option<Section> {
        Some(Section::Tokens)
    }

    fn content(&self) -> String {
        self.render().unwrap_or_default()
    }

    fn json(&self) -> Value {
        let token = |(id, record): &(TokenId, TokenRecord)| {
            let (kind, roles) = kind(record);
            json!({ "id": id.to_string(), "name": *record.name, "kind": kind, "roles": roles, "made_ms": record.made_ms,
                "expires_ms": record.expires_ms, "made_by": *record.made_by })
        };
        let tokens: Vec<Value> = self.tokens.iter().map(token).collect();
        json!({ "tokens": tokens, "shown": self.pager.text, "next": self.pager.behind })
    }

    fn is_live(&self) -> bool {
        false
    }
}
