//! What is around every page: the head, the way to the other pages, who looks.

use askama::Template;

use crate::assets;
use crate::text::printable;

/// One page of those that the head leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// The whole.
    Cluster,
    /// Machines.
    Agents,
    /// The tree of roles.
    Roles,
    /// Who launches tasks.
    Frameworks,
    /// What is promised at the moment.
    Offers,
    /// What runs and ran.
    Tasks,
    /// What happens.
    Events,
    /// Who is let in.
    Tokens,
    /// What was decided.
    Audit,
}

impl Section {
    /// Every one, in the order of the head.
    pub const ALL: [Self; 9] = [
        Self::Cluster,
        Self::Agents,
        Self::Roles,
        Self::Frameworks,
        Self::Offers,
        Self::Tasks,
        Self::Events,
        Self::Tokens,
        Self::Audit,
    ];

    /// As people read it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cluster => "Cluster",
            Self::Agents => "Agents",
            Self::Roles => "Roles",
            Self::Frameworks => "Frameworks",
            Self::Offers => "Offers",
            Self::Tasks => "Tasks",
            Self::Events => "Events",
            Self::Tokens => "Tokens",
            Self::Audit => "Audit",
        }
    }

    /// Where it is.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Cluster => "/",
            Self::Agents => "/agents",
            Self::Roles => "/roles",
            Self::Frameworks => "/frameworks",
            Self::Offers => "/offers",
            Self::Tasks => "/tasks",
            Self::Events => "/events",
            Self::Tokens => "/tokens",
            Self::Audit => "/audit",
        }
    }
}

/// Who looks.
#[derive(Clone, Debug)]
pub struct Viewer {
    /// Its name.
    pub name: String,
    /// What it is, in a word.
    pub kind: &'static str,
    /// Whether it came by a cookie of ours, which it can give up.
    pub can_leave: bool,
}

/// What is around a page.
#[derive(Debug)]
pub struct Layout<'a> {
    /// In the title of the window.
    pub title: &'a str,
    /// Where in the head it is.
    pub section: Option<Section>,
    /// The pages that may be seen.
    pub sections: &'a [Section],
    /// Who looks; `None` before anybody is known.
    pub viewer: Option<Viewer>,
    /// Its own address, from which it is kept up to date; `None`: it stays as it is.
    pub live: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "layout.html")]
struct Whole<'a> {
    layout: &'a Layout<'a>,
    content: &'a str,
    version: &'static str,
}

impl Layout<'_> {
    /// The whole page around what a view has rendered.
    pub fn around(&self, content: &str) -> String {
        let whole = Whole { layout: self, content, version: assets::version() };
        whole.render().unwrap_or_default()
    }

    fn title(&self) -> String {
        printable(self.title)
    }

    fn is_here(&self, section: &Section) -> bool {
        self.section == Some(*section)
    }
}
