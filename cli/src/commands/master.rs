//! `haggle master`.

use haggle_master::{Config, FirstTokens, Master, PlacesSetting};
use haggle_tls::OwnerTokens;
use tracing::info;

use super::Verdict;
use crate::args::MasterArgs;
use crate::args::values::without_duplicates;
use crate::error::CommandError;
use crate::signals::Signals;
use crate::{logging, output, state};

pub(super) async fn run(args: MasterArgs) -> Verdict {
    without_duplicates("--weight", args.weights.iter().map(|(role, _)| role.as_str()))?;
    without_duplicates("--limit", args.limits.iter().map(|setting| setting.limit.name()))?;
    without_duplicates("--places", args.places.iter().map(PlacesSetting::kind))?;
    logging::start(&args.log, "info")?;
    let mut signals = Signals::catch().map_err(CommandError::Signals)?;

    let mut config = Config::new(args.listen);
    config.advertise.clone_from(&args.tls.advertise);
    config.tls = args.tls.tls();
    config.several = args.etcd.several()?;
    config.audit = args.audit;
    config.traces = args.traces.collector()?;
    args.limits.into_iter().for_each(|setting| config.limits.set(setting));
    args.places.into_iter().for_each(|setting| config.places.set(setting));
    config.sources = args.sources.settings();
    config.artifacts = args.sources.limits();
    // So that the same user's commands are let in.
    config.owner_tokens = OwnerTokens::of_user();
    config.state = args.state.or_else(|| state::master().filter(|_| config.several.is_none() && !args.temporary));
    let folder = config.state.clone();
    config.cluster.offer_timeout = args.offer_timeout;
    config.cluster.agent_timeout = args.agent_timeout;
    config.cluster.agent_gone_after = args.agent_gone_after;
    config.cluster.weights = args.weights.into_iter().collect();
    let mut master = tokio::select! {
        // It may wait for room on its disk.
        () = signals.next() => return Ok(0),
        started = Master::start(config) => started?,
    };
    if let Some(first) = master.first_tokens() {
        output::bytes(welcome(first).as_bytes())?;
    }
    if let Some(folder) = folder {
        info!(state = %folder.display(), "what outlasts this master is here");
    }

    tokio::select! {
        () = signals.next() => {}
        ended = master.stopped() => ended?,
    }
    info!("the master stops; tasks run on, and agents wait for its return");
    master.stop().await;
    Ok(0)
}

/// How others get in. Standard output alone has it, and once: neither the log nor any file does.
fn welcome(first: &FirstTokens) -> String {
    let tokens = format!(
        "\
# On another machine, once, within an hour: it becomes an agent.
haggle agent --join {}
# Anywhere, within 90 days: then haggle run and everything else works from there.
haggle login {}
",
        *first.agent.text(),
        *first.operator.text()
    );
    let others = first.seal_key.as_ref().map(|seal_key| {
        format!(
            "\
# Each further master first needs a copy of this file, a secret of mode 0600, as its --ca-key-file or as pki/seal.key in
# its --state folder; keep another copy where you keep secrets:
# {}
",
            seal_key.display()
        )
    });
    tokens + &others.unwrap_or_default()
}
