//! One page: its headings, and its links as the site has them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};

use super::{Entry, plain};

pub(super) struct Page {
    pub(super) title: String,
    pub(super) depth: usize,
    /// Its file in the site.
    pub(super) name: String,
    source: PathBuf,
    text: String,
    /// What links may name behind `#`.
    anchors: BTreeSet<String>,
}

/// Where a link leads.
enum Goal {
    /// As it stands here.
    Here(String),
    /// To what is in the project and not on the site.
    Elsewhere,
    Nowhere,
}

impl Page {
    pub(super) fn read(entry: &Entry, source: PathBuf, text: String) -> Self {
        let stem = source.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
        let name = if stem == "readme" { "index.html".to_owned() } else { format!("{stem}.html") };
        let anchors = headings(&text).into_iter().collect();
        Self { title: entry.title.clone(), depth: entry.depth, name, source, text, anchors }
    }

    /// What is in its body. Files of `docs` that it links to are added to `files`, and links that lead nowhere to `broken`.
    pub(super) fn html(
        &self,
        pages: &[Self],
        docs: &Path,
        files: &mut BTreeSet<PathBuf>,
        broken: &mut Vec<String>,
    ) -> String {
        let mut anchors = headings(&self.text).into_iter();
        let mut unlinked = 0;
        let events = Parser::new_ext(&self.text, options()).filter_map(|event| match event {
            Event::Start(Tag::Heading { level, classes, attrs, .. }) => {
                let id = anchors.next().map(CowStr::from);
                Some(Event::Start(Tag::Heading { level, id, classes, attrs }))
            }
            Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
                match self.goal(&dest_url, pages, docs, files) {
                    Goal::Here(to) => Some(Event::Start(Tag::Link { link_type, dest_url: to.into(), title, id })),
                    goal => {
                        if matches!(goal, Goal::Nowhere) {
                            broken.push(format!("{}: {dest_url}", self.source.display()));
                        }
                        unlinked += 1;
                        None
                    }
                }
            }
            Event::End(TagEnd::Link) if unlinked > 0 => {
                unlinked -= 1;
                None
            }
            Event::Start(Tag::Image { link_type, dest_url, title, id }) => {
                let to = match self.goal(&dest_url, pages, docs, files) {
                    Goal::Here(to) => to,
                    Goal::Elsewhere | Goal::Nowhere => {
                        broken.push(format!("{}: {dest_url}", self.source.display()));
                        dest_url.to_string()
                    }
                };
                Some(Event::Start(Tag::Image { link_type, dest_url: to.into(), title, id }))
            }
            event => Some(event),
        });
        let mut body = String::new();
        html::push_html(&mut body, events);
        body
    }

    fn goal(&self, url: &str, pages: &[Self], docs: &Path, files: &mut BTreeSet<PathBuf>) -> Goal {
        if url.contains("://") {
            return Goal::Here(url.to_owned());
        }
        let (path, anchor) = url.split_once('#').map_or((url, None), |(path, anchor)| (path, Some(anchor)));
        let folder = self.source.parent().unwrap_or(docs);
        let to = if path.is_empty() { self.source.clone() } else { plain(&folder.join(path)) };
        if let Some(page) = pages.iter().find(|page| page.source == to) {
            return match anchor {
                None => Goal::Here(page.name.clone()),
                Some(anchor) if page.anchors.contains(anchor) => Goal::Here(format!("{}#{anchor}", page.name)),
                Some(_) => Goal::Nowhere,
            };
        }
        match to.strip_prefix(docs) {
            Ok(inside) if to.is_file() => {
                let url = inside.to_string_lossy().replace('\\', "/");
                files.insert(to);
                Goal::Here(url)
            }
            _ if to.exists() => Goal::Elsewhere,
            _ => Goal::Nowhere,
        }
    }
}

fn options() -> Options {
    Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH
}

/// What each heading is called behind `#`, in their order.
fn headings(text: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut heading = None;
    for event in Parser::new_ext(text, options()) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                let name = anchor(&heading.take().unwrap_or_default());
                let again = names.iter().filter(|known| **known == name).count();
                names.push(if again == 0 { name } else { format!("{name}-{again}") });
            }
            _ => {}
        }
    }
    names
}

/// As GitHub makes them.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|&letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str) -> Page {
        let entry = Entry { title: "A".to_owned(), path: "A.md".to_owned(), depth: 0 };
        Page::read(&entry, PathBuf::from("/docs/A.md"), text.to_owned())
    }

    fn made(text: &str) -> (String, Vec<String>) {
        let mut broken = Vec::new();
        let one = page(text);
        let html = one.html(&[page(text)], Path::new("/docs"), &mut BTreeSet::new(), &mut broken);
        (html, broken)
    }

    #[test]
    fn a_link_to_a_page_leads_to_its_place_on_the_site() {
        let (html, broken) = made("# Two words\n\n[here](A.md), [there](#two-words), [away](https://example.org)");

        assert_eq!(broken, [""; 0]);
        assert!(html.contains("<h1 id=\"two-words\">"), "{html}");
        for link in ["href=\"a.html\"", "href=\"a.html#two-words\"", "href=\"https://example.org\""] {
            assert!(html.contains(link), "{html}");
        }
    }

    #[test]
    fn a_link_that_leads_nowhere_is_told() {
        for wrong in ["B.md", "A.md#three-words", "#gone", "../nothing/here"] {
            let (html, broken) = made(&format!("[text]({wrong})"));

            assert_eq!(broken, [format!("/docs/A.md: {wrong}")]);
            assert_eq!(html, "<p>text</p>\n");
        }
    }
}
