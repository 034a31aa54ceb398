//! `cargo xtask site`: the pages of `docs` as a site of plain HTML, in the order of `docs/SUMMARY.md`, which mdBook reads as well.
//!
//! A link that leads nowhere is an error, so that the pages hold together wherever they are read.

mod page;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail};

use crate::workspace::Workspace;
use page::Page;

/// Makes the site anew, and says where it is.
///
/// # Errors
/// When a page cannot be read or written, or links lead nowhere: all of them are named.
pub(crate) fn make(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    let site = workspace.target.join("site");
    let docs = workspace.root.join("docs");
    let summary = fs::read_to_string(docs.join("SUMMARY.md")).context("no docs/SUMMARY.md")?;
    let entries = entries(&summary);
    let mut pages = Vec::new();
    for entry in &entries {
        let source = plain(&docs.join(&entry.path));
        let text = fs::read_to_string(&source).with_context(|| format!("no {}", source.display()))?;
        pages.push(Page::read(entry, source, text));
    }

    let mut files = BTreeSet::new();
    let mut broken = Vec::new();
    let mut made = Vec::new();
    for (place, page) in pages.iter().enumerate() {
        let html = page.html(&pages, &docs, &mut files, &mut broken);
        made.push((page.name.clone(), layout(&pages, place, &html)));
    }
    if !broken.is_empty() {
        bail!("these links lead nowhere:\n{}", broken.join("\n"));
    }

    if site.exists() {
        fs::remove_dir_all(&site)?;
    }
    fs::create_dir_all(&site)?;
    for (name, html) in made {
        fs::write(site.join(name), html)?;
    }
    fs::write(site.join("style.css"), include_str!("site/style.css"))?;
    for file in files {
        let to = site.join(file.strip_prefix(&docs).context("a file of docs")?);
        fs::create_dir_all(to.parent().context("it is in a folder")?)?;
        fs::copy(&file, to)?;
    }
    Ok(site)
}

/// A line of the summary.
#[derive(Debug, PartialEq)]
struct Entry {
    title: String,
    /// From `docs`.
    path: String,
    /// How far it is set in: 0 or 1.
    depth: usize,
}

fn entries(summary: &str) -> Vec<Entry> {
    let entry = |line: &str| {
        let depth = usize::from(line.starts_with(' '));
        let link = line.trim_start_matches([' ', '-']).strip_prefix('[')?;
        let (title, path) = link.strip_suffix(')')?.split_once("](")?;
        Some(Entry { title: title.to_owned(), path: path.to_owned(), depth })
    };
    summary.lines().filter_map(entry).collect()
}

/// The same path without `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    plain
}

fn layout(pages: &[Page], place: usize, html: &str) -> String {
    let page = &pages[place];
    let item = |page: &Page, current: bool| {
        let (class, mark) =
            (if page.depth > 0 { " class=\"in\"" } else { "" }, if current { " aria-current=\"page\"" } else { "" });
        format!("<li{class}><a href=\"{}\"{mark}>{}</a></li>\n", page.name, escape(&page.title))
    };
    let list: String = pages.iter().enumerate().map(|(at, page)| item(page, at == place)).collect();
    let step = |at: Option<usize>, rel: &str, arrow: &str| {
        at.and_then(|at| pages.get(at)).map_or(String::new(), |to| {
            format!("<a rel=\"{rel}\" href=\"{}\">{arrow} {}</a>\n", to.name, escape(&to.title))
        })
    };
    let steps = step(place.checked_sub(1), "prev", "←") + &step(Some(place + 1), "next", "→");
    include_str!("site/layout.html")
        .replace("{title}", &escape(&page.title))
        .replace("{list}", &list)
        .replace("{steps}", &steps)
        .replace("{page}", html)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_says_what_there_is_in_which_order() {
        let read = entries("# Haggle\n\n[Haggle](../README.md)\n\n- [Quotas](QUOTAS.md)\n  - [Roles](ROLES.md)\n");

        let entry = |title: &str, path: &str, depth| Entry { title: title.into(), path: path.into(), depth };
        let expected =
            [entry("Haggle", "../README.md", 0), entry("Quotas", "QUOTAS.md", 0), entry("Roles", "ROLES.md", 1)];
        assert_eq!(read, expected);
    }

    #[test]
    fn every_page_of_docs_is_in_the_summary() {
        let docs = plain(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs"));
        let listed = entries(&fs::read_to_string(docs.join("SUMMARY.md")).unwrap());
        let listed: BTreeSet<PathBuf> = listed.iter().map(|entry| plain(&docs.join(&entry.path))).collect();
        let pages = fs::read_dir(&docs).unwrap().map(|entry| entry.unwrap().path());
        let pages =
            pages.filter(|path| path.extension().is_some_and(|end| end == "md") && !path.ends_with("SUMMARY.md"));

        let missing: Vec<_> = pages.filter(|page| !listed.contains(page)).collect();

        assert!(missing.is_empty(), "{missing:?}");
    }
}
