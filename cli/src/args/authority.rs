//! What can be typed after `haggle ca`.

use clap::{Args, Subcommand};

use super::operator::ListArgs;

/// See and change the certificate authority of a cluster
///
/// Masters and agents know each other by certificates of the cluster's own authority, and tokens name it. A master that
/// speaks TLS makes it at its first start.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle ca show
  haggle ca rotate                         a new authority; the one before is believed meanwhile
  haggle ca show                           who still needs the one before
  haggle ca rotate --finish                end the trust in it, when nobody does")]
pub(crate) struct CaArgs {
    #[command(subcommand)]
    pub(crate) command: CaCommand,
}

#[derive(Subcommand, Debug)]
pub(crate) enum CaCommand {
    /// Show the authority that signs and, while it changes, the one before and who still needs it
    Show(ListArgs),
    Rotate(RotateArgs),
    SealKey(SealKeyArgs),
}

/// Print a fresh seal key, a secret, for the files of several masters
///
/// With it masters seal the authority that they keep in etcd. Each has a file of keys, a line each: it seals with the first,
/// and knows them all. To replace a key while the masters run, tell all of the new one, have each seal with it, and forget the
/// old one. If the old one may be known to others, change the authority after that: `haggle ca rotate`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle ca seal-key >> m/pki/seal.key     behind the old one; copy the file to every master, and restart one after the other
  tac seal.key > next && mv next seal.key  put the new line first, in each file; restart one after the other
  sed -i 2d seal.key                       remove the old line, in each file; restart one after the other")]
pub(crate) struct SealKeyArgs {}

/// Make a new authority, or end the one before
///
/// From then on the new one signs, and both are believed. The masters show a chain that leads to either, agents renew
/// their certificates within seconds, and contexts of `haggle login` learn of it with the next command. New tokens name the
/// new one; tokens that stand elsewhere, as in HAGGLE_TOKEN, go on until --finish, and are to be made anew.
#[derive(Args, Debug)]
pub(crate) struct RotateArgs {
    /// End the trust in the one before; refused while somebody would be cut off
    #[arg(long)]
    pub(crate) finish: bool,
    /// End it also when somebody is cut off: agents then join anew, and people log in anew, with new tokens
    #[arg(long, requires = "finish")]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}
