//! `haggle up`.

use std::future::pending;
use std::io;
use std::pin::pin;
use std::thread;

use haggle_core::Resources;
use tokio::sync::oneshot;

use super::Verdict;
use crate::args::UpArgs;
use crate::embedded::{Beginning, Cluster, Plan};
use crate::error::CommandError;
use crate::signals::Signals;
use crate::{logging, output};

pub(super) async fn run(args: UpArgs) -> Verdict {
    logging::start(&args.log, "warn")?;
    let begun = Beginning::new(args.state.is_none() && args.agents == 1)?;
    let mut signals = Signals::catch().map_err(CommandError::Signals)?;
    let deserted = if args.until_stdin_ends { Some(end_of_stdin()) } else { None };
    let mut over = pin!(async move {
        let deserted = async {
            match deserted {
                Some(deserted) => drop(deserted.await),
                None => pending().await,
            }
        };
        tokio::select! {
            () = signals.next() => crate::exit::INTERRUPTED,
            () = deserted => 0,
        }
    });
    let plan = Plan {
        listen: args.listen,
        is_shared: true,
        state: args.state,
        agents: args.agents,
        cpus: args.cpus,
        mem: args.mem,
        allowed_folders: args.allowed.folders,
        allow_network: args.allowed.network,
        oversubscribe: args.unused.oversubscribe,
        modules: Some(args.modules),
        traces: args.traces.collector()?,
        sources: args.sources.settings(),
        artifacts: args.sources.limits(),
    };
    let starting = async {
        let cluster = Cluster::start(begun, plan).await?;
        cluster.joined().await?;
        Ok::<_, CommandError>(cluster)
    };
    let mut cluster = tokio::select! {
        cluster = starting => cluster?,
        code = &mut over => return Ok(code),
    };

    let resources: Vec<Resources> = cluster.agents().iter().map(|agent| agent.resources().clone()).collect();
    let ended = match output::bytes(welcome(&cluster.url(), &resources).as_bytes()) {
        Ok(()) => tokio::select! {
            _ = over => Ok(0),
            failure = cluster.failed() => Err(failure),
        },
        Err(error) => Err(error.into()),
    };
    cluster.stop().await;
    ended
}

/// Is ready when standard input has ended. A thread of its own reads it, which the end of the process ends as well.
fn end_of_stdin() -> oneshot::Receiver<()> {
    let (told, ended) = oneshot::channel::<()>();
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        drop(told);
    });
    ended
}

/// What is up, where, and what to try next.
fn welcome(url: &str, agents: &[Resources]) -> String {
    let who = match agents {
        [only] => format!("one agent ({only})"),
        [first, ..] => format!("{} agents ({first} each)", agents.len()),
        [] => "no agent".into(),
    };
    format!(
        "\
A cluster is up: one master and {who}.
The master listens on {url}

Try, in another terminal:
  export HAGGLE_MASTER={url}
  haggle agents
  haggle run MODULE      (a .wasm or .wat file, or the folder of a cargo package)
  haggle watch

Ctrl-C ends it.
"
    )
}
