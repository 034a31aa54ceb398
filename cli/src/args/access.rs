//! What can be typed after the commands about who may do what.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use haggle_core::access::TokenId;
use haggle_tls::TokenKind;

use super::operator::ListArgs;
use super::{Contradiction, values};
use crate::completions;

/// Let others in: make, list and revoke tokens
///
/// A token is one word that says where the masters are, how to know them, and proves its holder. It is a secret. The
/// master keeps a hash of it and shows it this once.
#[derive(Args, Debug)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    pub(crate) command: TokenCommand,
}

#[derive(Subcommand, Debug)]
pub(crate) enum TokenCommand {
    Create(CreateArgs),
    /// List the tokens that may still be used
    Ls(ListArgs),
    Revoke(RevokeArgs),
}

/// Make a token, and print it
///
/// The token alone goes to standard output, and what to do with it to standard error.
#[derive(Args, Debug)]
#[command(after_help = "\
Kinds:
  agent      lets a machine join: once and within an hour, unless --uses and --ttl say more
  framework  runs tasks in its roles
  operator   does everything but be an agent
  viewer     looks, and changes nothing

Examples:
  haggle token create --kind agent                     for one more machine
  haggle token create --kind agent --uses 100 --ttl 24h --name autoscaler
  haggle token create --kind framework --role 'ci/*' --name ci > ci.token
  haggle token create --kind viewer --ttl 30d")]
pub(crate) struct CreateArgs {
    /// What its holder may do
    #[arg(long, value_enum, value_name = "KIND")]
    kind: Kind,
    /// A role that a framework may use or a viewer see: a/b, a/* for all below a, * for every one; repeatable [default:
    /// every role]
    #[arg(long = "role", value_name = "ROLE", value_parser = values::role_pattern)]
    pub(crate) roles: Vec<String>,
    /// Who comes with it, for people and the audit; frameworks of one name are one principal [default: its id]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// How long it may be used [default: 1h for an agent's, else 90d]
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    pub(crate) ttl: Option<Duration>,
    /// How many agents may join by it [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) uses: Option<u32>,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

impl CreateArgs {
    pub(crate) fn kind(&self) -> TokenKind {
        match self.kind {
            Kind::Agent => TokenKind::Agent,
            Kind::Framework => TokenKind::Framework,
            Kind::Operator => TokenKind::Operator,
            Kind::Viewer => TokenKind::Viewer,
        }
    }

    /// # Errors
    /// When a flag has no meaning for this kind.
    pub(crate) fn check(&self) -> Result<(), Contradiction> {
        if self.uses.is_some() && self.kind != Kind::Agent {
            return Err(Contradiction::UsesOfOthers(self.kind()));
        }
        if !self.roles.is_empty() && !matches!(self.kind, Kind::Framework | Kind::Viewer) {
            return Err(Contradiction::RolesOfOthers(self.kind()));
        }
        Ok(())
    }
}

/// What a token can be made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Agent,
    Framework,
    Operator,
    Viewer,
}

/// End a token
///
/// Nobody enters by it any more, and who has is cut off within a second. Agents that joined by it stay: they have
/// certificates of their own, which `haggle agents rm` ends.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle token revoke token-00c0ffee00c0ffee")]
pub(crate) struct RevokeArgs {
    /// Its id, as `haggle token ls` shows it
    #[arg(value_name = "ID", add = completions::tokens())]
    pub(crate) id: TokenId,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

/// Log in to a cluster: check a token, and keep it as a context
///
/// From then on commands go to that cluster unless they are told otherwise. Contexts are kept in
/// $XDG_CONFIG_HOME/haggle/contexts.toml (or ~/.config, on Windows %APPDATA%), which only you can read.
///
/// Whoever lists processes sees the words of a command line, and a shell keeps them: give the token by @FILE or on
/// standard input on a machine that you share.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle login                             paste the token
  haggle login @host1.token --name work
  ssh host1 haggle token create --kind operator | haggle login -")]
pub(crate) struct LoginArgs {
    /// What `haggle token create` printed: itself, @FILE, or - for standard input
    #[arg(value_name = "TOKEN|@FILE|-", default_value = "-", hide_default_value = true)]
    pub(crate) given: String,
    /// The name of the context [default: the master's host]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

/// List, choose and forget the clusters that you are logged in to
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle context ls
  haggle context use work
  haggle context use --none                back to this machine's own master
  haggle --context work ps                 only for one command
  haggle context rm work")]
pub(crate) struct ContextArgs {
    #[command(subcommand)]
    pub(crate) command: ContextCommand,
}

#[derive(Subcommand, Debug)]
pub(crate) enum ContextCommand {
    /// List the contexts
    Ls(ListArgs),
    /// Use a context from now on, when nothing else is said
    Use(UseArgs),
    /// Forget a context; its token stays good until it is revoked or expires
    Rm(ForgetArgs),
}

#[derive(Args, Debug)]
pub(crate) struct UseArgs {
    /// Its name, as `haggle context ls` shows it
    #[arg(value_name = "NAME", required_unless_present = "none", add = completions::contexts())]
    pub(crate) name: Option<String>,
    /// None of them
    #[arg(long, conflicts_with = "name")]
    pub(crate) none: bool,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ForgetArgs {
    /// Its name, as `haggle context ls` shows it
    #[arg(value_name = "NAME", add = completions::contexts())]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}
