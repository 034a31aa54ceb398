//! What is promised at the moment, to whom, and since when.

use askama::Template;
use haggle_core::cluster::OfferView;
use serde_json::{Value, json};

use super::{View, found};
use crate::layout::Section;
use crate::link::Query;
use crate::parts::{Pager, took};
use crate::record::OfferRecord;
use crate::text::printable;

struct OfferRow {
    id: String,
    framework: String,
    role: String,
    agent: String,
    resources: String,
    age: String,
}

/// All that somebody sees.
#[derive(Template)]
#[template(path = "offers.html")]
pub struct OffersPage {
    query: String,
    rows: Vec<OfferRow>,
    pager: Pager,
    is_filtered: bool,
    offers: Vec<OfferView>,
}

impl OffersPage {
    /// What the address selects of them: the oldest first.
    pub fn new(query: &Query, mut offers: Vec<OfferView>) -> Self {
        let text = query.get("q");
        offers.retain(|offer| {
            let (framework, agent) = (offer.framework.to_string(), offer.agent.to_string());
            text.is_empty() || found(text, &[&framework, &agent, &offer.role])
        });
        offers.sort_by_key(|offer| std::cmp::Reverse(offer.age));
        let pager = Pager::new("/offers", query, offers.len(), "offer");
        let range = Pager::range(query, offers.len());
        let offers: Vec<OfferView> = offers.drain(range).collect();
        let row = |offer: &OfferView| OfferRow {
            id: offer.id.to_string(),
            framework: offer.framework.to_string(),
            role: printable(&offer.role),
            agent: offer.agent.to_string(),
            resources: printable(&offer.resources.to_string()),
            age: took(offer.age),
        };
        let rows = offers.iter().map(row).collect();
        Self { query: text.to_owned(), rows, pager, is_filtered: !query.is_empty(), offers }
    }
}

impl View for OffersPage {
    fn title(&self) -> String {
        "Offers".to_owned()
    }

    fn section(&self) -> Option<Section> {
        Some(Section::Offers)
    }

    fn content(&self) -> String {
        self.render().unwrap_or_default()
    }

    fn json(&self) -> Value {
        let offers: Vec<OfferRecord> = self.offers.iter().map(Into::into).collect();
        json!({ "offers": offers, "shown": self.pager.text, "next": self.pager.behind })
    }
}
