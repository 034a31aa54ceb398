//! `haggle artifacts`.

use std::time::{Duration, SystemTime};

use haggle_core::Bytes;
use haggle_sdk::KeptArtifact;
use haggle_sources::Source;
use serde::Serialize;

use super::Verdict;
use crate::args::{ArtifactsArgs, ArtifactsCommand, GcArgs, LsArtifactsArgs, PullArgs, RmArtifactArgs};
use crate::error::CommandError;
use crate::output::{self, Fetching, Table};
use crate::target::Target;

pub(super) async fn run(target: &Target, args: ArtifactsArgs) -> Verdict {
    match args.command {
        ArtifactsCommand::Ls(args) => list(target, args).await,
        ArtifactsCommand::Pull(args) => pull(target, args).await,
        ArtifactsCommand::Rm(args) => remove(target, args).await,
        ArtifactsCommand::Gc(args) => collect(target, args).await,
    }
}

#[derive(Serialize)]
struct Record<'a> {
    digest: String,
    size_bytes: u64,
    sources: &'a [String],
    used_ms: u64,
    tasks: u64,
}

async fn list(target: &Target, LsArtifactsArgs { list }: LsArtifactsArgs) -> Verdict {
    let kept = super::connect(target).await?.kept_artifacts().await?;
    let records: Vec<_> = kept.iter().map(record).collect();
    output::list(&records, list.json, || table(&kept))?;
    Ok(0)
}

fn record(of: &KeptArtifact) -> Record<'_> {
    let KeptArtifact { digest, size, sources, used_ms, tasks } = of;
    Record { digest: digest.to_string(), size_bytes: *size, sources, used_ms: *used_ms, tasks: *tasks }
}

fn table(kept: &[KeptArtifact]) -> Table {
    let mut table = Table::new(["DIGEST", "SIZE", "USED", "TASKS", "FROM"]);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    for of in kept {
        let ago = now.saturating_sub(Duration::from_millis(of.used_ms));
        let from = of.sources.last().map_or("uploaded", String::as_str);
        table.row([
            of.digest.to_string(),
            Bytes::new(of.size).to_string(),
            format!("{} ago", humantime::format_duration(Duration::from_secs(ago.as_secs()))),
            of.tasks.to_string(),
            output::printable(from),
        ]);
    }
    table
}

async fn pull(target: &Target, args: PullArgs) -> Verdict {
    let client = super::connect(target).await?;
    for source in &args.sources {
        let mut fetching = Fetching::of(source);
        let pulled = client.pull_with(&whole(source), false, |got, size| fetching.has(got, size)).await?;
        drop(fetching);
        output::said(
            args.list.json,
            &serde_json::json!({
                "digest": pulled.digest.to_string(),
                "size_bytes": pulled.size,
                "pinned": pulled.pinned,
            }),
            &format!("{}  {}", pulled.digest, pulled.pinned),
        )?;
    }
    Ok(0)
}

/// As it was typed: what is shown leaves out what follows a question mark.
pub(super) fn whole(source: &Source) -> String {
    match source {
        Source::Web(url) => url.to_string(),
        other => other.to_string(),
    }
}

async fn remove(target: &Target, args: RmArtifactArgs) -> Verdict {
    let client = super::connect(target).await?;
    for digest in args.digests {
        let freed =
            client.remove_artifact(digest).await.map_err(super::unknown_as(CommandError::NoSuchArtifact(digest)))?;
        output::said(
            args.list.json,
            &serde_json::json!({ "digest": digest.to_string(), "freed_bytes": freed }),
            &format!("{digest} is gone: {}", Bytes::new(freed)),
        )?;
    }
    Ok(0)
}

async fn collect(target: &Target, GcArgs { keep, unused, list }: GcArgs) -> Verdict {
    let collected = super::connect(target).await?.collect_artifacts(keep.get(), unused).await?;
    let [freed, kept] = [collected.freed, collected.kept].map(Bytes::new);
    output::said(
        list.json,
        &serde_json::json!({
            "artifacts": collected.artifacts,
            "freed_bytes": collected.freed,
            "kept_bytes": collected.kept,
        }),
        &format!("{} artifacts are gone: {freed}; {kept} are kept", collected.artifacts),
    )?;
    Ok(0)
}
