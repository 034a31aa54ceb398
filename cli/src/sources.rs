//! What this command fetches or pushes itself: with the user's own logins, from whom the command line names.

use bytes::Bytes;
use haggle_master::{HostRule, Hosts, SourceSettings};
use haggle_sources::{BadAuthorities, NotARule, Proxies, Source, SourceError, Sources};

use crate::module::MODULE_MAX;

/// Names hosts that are allowed beside those of the command line, as `haggle master --artifact-hosts` does.
const HOSTS: &str = "HAGGLE_ARTIFACT_HOSTS";

/// Names a file of authorities, as `haggle master --artifact-ca` does.
const AUTHORITIES: &str = "HAGGLE_ARTIFACT_CA";

/// Why nothing is fetched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("{HOSTS}: {0}")]
    Hosts(#[from] NotARule),
    #[error(transparent)]
    Authorities(#[from] BadAuthorities),
    #[error("{name}: {source}")]
    Source { name: String, source: Box<SourceError> },
}

/// Whoever types a source is the operator of what runs in this process: its host is allowed, and so is what that leads to.
pub(crate) fn settings_for<'a>(named: impl IntoIterator<Item = &'a Source>) -> Result<SourceSettings, FetchError> {
    let mut rules: Vec<_> = named.into_iter().filter_map(HostRule::of).collect();
    if let Ok(more) = std::env::var(HOSTS) {
        for rule in more.split(',').filter(|rule| !rule.is_empty()) {
            rules.push(rule.parse()?);
        }
    }
    let authorities = std::env::var_os(AUTHORITIES).filter(|file| !file.is_empty()).map(Into::into);
    let proxies = Proxies::of_environment();
    Ok(SourceSettings { hosts: Hosts::and_beyond(rules), authorities, proxies, ..SourceSettings::default() })
}

/// A module from there, and the source by what it names now.
pub(crate) async fn fetch(source: &Source) -> Result<(Bytes, String), FetchError> {
    let sources = Sources::new(settings_for([source])?)?;
    let fetching = async {
        let found = sources.find(source).await?;
        let pinned = found.pinned.clone();
        let digest = found.digest;
        let mut incoming = sources.open(found, MODULE_MAX).await?;
        let mut all = Vec::new();
        while let Some(bytes) = incoming.next().await? {
            all.extend_from_slice(&bytes);
        }
        if let Some(wanted) = digest {
            incoming.check(wanted, &all)?;
        }
        Ok((all.into(), pinned))
    };
    fetching.await.map_err(|error| of(source, error))
}

/// The same error, with what it is about.
pub(crate) fn of(source: &impl ToString, error: SourceError) -> FetchError {
    FetchError::Source { name: source.to_string(), source: Box::new(error) }
}
