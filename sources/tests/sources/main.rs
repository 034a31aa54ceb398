//! Servers of every kind, the bad ones among them, and what comes from them.

mod proxies;
mod registries;
mod server;
mod stores;
mod web;

use std::path::Path;
use std::time::Duration;

use haggle_sources::{Hosts, Pace, Settings, Source, SourceError, Sources};
use tempfile::TempDir;

/// Somebody who may fetch from these hosts, with a home of their own.
struct Caller {
    home: TempDir,
    settings: Settings,
}

impl Caller {
    fn of(hosts: &[String]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let rules = hosts.iter().map(|host| host.parse().unwrap()).collect();
        let settings = Settings { hosts: Hosts::only(rules), home: Some(home.path().into()), ..Settings::default() };
        Self { home, settings }
    }

    /// Leaves something in its home.
    fn keeps(self, file: &str, content: &str) -> Self {
        let path = self.home.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    /// Believes this certificate.
    fn believes(mut self, certificate: &str) -> Self {
        let path = self.home.path().join("ca.pem");
        std::fs::write(&path, certificate).unwrap();
        self.settings.authorities = Some(path);
        self
    }

    /// Has little patience.
    fn in_a_hurry(mut self) -> Self {
        self.settings.pace = Pace { grace: Duration::from_millis(200), least: 1 << 20, ..Pace::default() };
        self
    }

    fn sources(&self) -> Sources {
        Sources::new(self.settings.clone()).unwrap()
    }

    /// What comes from there: the content, and how it is pinned.
    async fn fetch(&self, source: &str) -> Result<(Vec<u8>, String), SourceError> {
        self.fetch_at_most(source, 1 << 20).await
    }

    async fn fetch_at_most(&self, source: &str, most: u64) -> Result<(Vec<u8>, String), SourceError> {
        let (sources, source): (_, Source) = (self.sources(), source.parse().unwrap());
        let found = sources.find(&source).await?;
        let pinned = found.pinned.clone();
        let wanted = found.digest;
        let mut incoming = sources.open(found, most).await?;
        let mut all = Vec::new();
        while let Some(bytes) = incoming.next().await? {
            all.extend_from_slice(&bytes);
        }
        if let Some(wanted) = wanted {
            incoming.check(wanted, &all)?;
        }
        Ok((all, pinned))
    }

    async fn refused(&self, source: &str) -> String {
        self.fetch(source).await.unwrap_err().to_string()
    }
}

fn here(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

#[test]
fn a_file_that_is_no_authority_is_told() {
    let missing = Settings { authorities: Some(Path::new("/no/such/file").into()), ..Settings::default() };
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("ca.pem"), "no certificate").unwrap();
    let empty = Settings { authorities: Some(home.path().join("ca.pem")), ..Settings::default() };

    let errors = [missing, empty].map(|settings| Sources::new(settings).unwrap_err().to_string());

    assert!(errors[0].starts_with("cannot use the authorities of /no/such/file"), "{errors:?}");
    assert!(errors[1].contains("no certificate in PEM"), "{errors:?}");
}
