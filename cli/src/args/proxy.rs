//! What can be typed after `proxy` and `ui`.

use std::net::SocketAddr;

use clap::Args;

use super::{LogArgs, values};

/// Carry a plain local port to the master, as you
///
/// For browsers, curl and programs that speak no TLS: every request to that port goes to the master that leads, over TLS and
/// with the token that any other command would use. The port has a token of its own, drawn at each start and left where
/// your programs alone can read it: your commands and the SDK find it by themselves, and other users of this machine are
/// turned away. Until Ctrl-C.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle proxy                               on any free port, which is printed with what to type
  haggle proxy --listen 127.0.0.1:8080 --context work
  haggle --master http://127.0.0.1:8080 ps   by way of it")]
pub(crate) struct ProxyArgs {
    /// Where to listen; loopback only, port 0 for any that is free
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", value_parser = values::proxy_on_loopback)]
    pub(crate) listen: SocketAddr,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

/// Open the pages of the cluster in a browser, logged in as you
///
/// By way of a port of this machine, as `haggle proxy` has one: no token is typed, none is seen on a command line, and the
/// browser keeps one that is good for that port alone. Until Ctrl-C.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle ui                 in the browser of this machine
  haggle ui --print         prints the address to open, which is good once
  haggle ui --context work  another cluster")]
pub(crate) struct UiArgs {
    /// Where to listen; loopback only, port 0 for any that is free
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", value_parser = values::proxy_on_loopback)]
    pub(crate) listen: SocketAddr,
    /// Print the address to open, and start no browser
    #[arg(long)]
    pub(crate) print: bool,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}
