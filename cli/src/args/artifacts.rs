//! What can be typed after `artifacts` and `push`, and what a master is told of artifacts.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueHint};
use haggle_core::{Bytes, Digest};
use haggle_master::{ArtifactLimits, HostRule, Hosts, SourceSettings};
use haggle_sources::{OciRef, Proxies, Source};

use super::ListArgs;
use super::values;

/// From where a master fetches artifacts, and how much it keeps.
#[derive(Args, Debug)]
pub(crate) struct SourceArgs {
    /// Fetch artifacts from these hosts for whoever asks, and from no other: HOST, HOST:PORT, *.DOMAIN, or http://HOST:PORT
    /// for one in plain text
    ///
    /// `haggle run oci://…`, s3://… and https://… need it, and so do redirects and the services that hand out a registry's
    /// tokens. The logins are those of the user that runs the master: ~/.docker/config.json, AWS_* and ~/.aws, ~/.netrc. No
    /// name leads to an address of the master's own machine or of its provider.
    #[arg(
        long,
        value_name = "HOST[,HOST]",
        value_delimiter = ',',
        env = "HAGGLE_ARTIFACT_HOSTS",
        help_heading = "Artifacts"
    )]
    pub(crate) artifact_hosts: Vec<HostRule>,
    /// Believe servers of artifacts by these authorities too, PEM; else by those that Mozilla trusts alone
    #[arg(long, value_name = "FILE", env = "HAGGLE_ARTIFACT_CA", value_hint = ValueHint::FilePath, help_heading = "Artifacts")]
    pub(crate) artifact_ca: Option<PathBuf>,
    /// How large one artifact may be
    #[arg(long, value_name = "SIZE", default_value = "2GiB", value_parser = values::positive_size, help_heading = "Artifacts")]
    pub(crate) artifact_limit: Bytes,
    /// How much is kept of all artifacts: above, those go that no task needs and nobody used for an hour, the least recently
    /// used first
    #[arg(long, value_name = "SIZE", default_value = "16GiB", value_parser = values::positive_size, help_heading = "Artifacts")]
    pub(crate) artifact_store: Bytes,
}

impl SourceArgs {
    /// Whom the master asks, and by whom.
    pub(crate) fn settings(&self) -> SourceSettings {
        SourceSettings {
            hosts: Hosts::only(self.artifact_hosts.clone()),
            authorities: self.artifact_ca.clone(),
            proxies: Proxies::of_environment(),
            ..SourceSettings::default()
        }
    }

    /// How much it keeps.
    pub(crate) fn limits(&self) -> ArtifactLimits {
        ArtifactLimits { total: self.artifact_store, single: self.artifact_limit.min(self.artifact_store) }
    }
}

/// Look at the artifacts that a master keeps, have it fetch some, and let some go
///
/// An artifact is a module or an input, by its digest. What tasks need stays; of the rest, the least recently used goes
/// first when there is no more room.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle artifacts ls                      what is kept, the last used first
  haggle artifacts ls --json | jq -r 'select(.tasks == 0) | .digest'
  haggle artifacts pull oci://registry.example/team/app:1.0
  haggle artifacts rm sha256:…
  haggle artifacts gc --keep 1GiB --unused 1d")]
pub(crate) struct ArtifactsArgs {
    #[command(subcommand)]
    pub(crate) command: ArtifactsCommand,
}

#[derive(Subcommand, Debug)]
pub(crate) enum ArtifactsCommand {
    Ls(LsArtifactsArgs),
    Pull(PullArgs),
    Rm(RmArtifactArgs),
    Gc(GcArgs),
}

/// List them: digest, size, when it was used last, how many tasks need it, and where it came from
///
/// The last used first. A framework sees those that it has brought.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle artifacts ls
  haggle artifacts ls --json | jq -r 'select(.tasks == 0) | .digest'")]
pub(crate) struct LsArtifactsArgs {
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

/// Have the master fetch artifacts, and print their digests
///
/// It fetches each once for all who ask for it, by its own logins, from the hosts that its operator allows.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle artifacts pull oci://registry.example/team/app:1.0
  haggle artifacts pull s3://models/words.csv https://host.example/app.wasm")]
pub(crate) struct PullArgs {
    /// oci://registry/name:tag, s3://bucket/key or https://host/path
    #[arg(value_name = "SOURCE", required = true)]
    pub(crate) sources: Vec<Source>,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

/// Let an artifact go that no task needs
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle artifacts rm sha256:…")]
pub(crate) struct RmArtifactArgs {
    /// Its digest, as `haggle artifacts ls` shows it
    #[arg(value_name = "DIGEST", required = true)]
    pub(crate) digests: Vec<Digest>,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

/// Let artifacts go that no task needs, the least recently used first
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle artifacts gc                      all that nobody used within the hour
  haggle artifacts gc --keep 4GiB          until no more than 4 GiB are there
  haggle artifacts gc --unused 0s          all that no task needs")]
pub(crate) struct GcArgs {
    /// Stop when no more than this is there
    #[arg(long, value_name = "SIZE", default_value = "0", value_parser = values::size)]
    pub(crate) keep: Bytes,
    /// Only those that nobody used for so long
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = values::duration_or_none)]
    pub(crate) unused: Duration,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

/// Put a module into an OCI registry, where `haggle run oci://…` and other tools find it
///
/// As an artifact in the CNCF's format for WebAssembly, which wkg, wasmCloud and others read. It goes from this machine, by
/// your own login (`docker login`). What is printed names exactly this module, whatever becomes of the tag.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle push hello.wasm oci://registry.example/team/hello:1.0
  haggle push ./my-task oci://localhost:5000/my-task:latest
  haggle push --json hello.wasm oci://localhost:5000/hello:1.0 | jq -r .pinned")]
pub(crate) struct PushArgs {
    /// A .wasm or .wat file, or the folder of a cargo package
    #[arg(value_name = "MODULE", value_hint = ValueHint::AnyPath)]
    pub(crate) module: String,
    /// Where to: oci://registry/name:tag
    #[arg(value_name = "TARGET", value_parser = target)]
    pub(crate) target: OciRef,
    /// Which program of a package that has several
    #[arg(long, value_name = "NAME")]
    pub(crate) bin: Option<String>,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

fn target(text: &str) -> Result<OciRef, String> {
    match text.parse().map_err(|error: haggle_sources::NotASource| error.to_string())? {
        Source::Oci(reference) => Ok(reference),
        other => Err(format!("{other} is no registry: wanted is oci://registry/name:tag")),
    }
}
