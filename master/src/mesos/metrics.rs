//! `/metrics/snapshot`: the master's own numbers by Mesos's names, for exporters and dashboards of old.

use haggle_core::TaskState;
use haggle_core::access::{Denied, Principal, Verb};
use haggle_core::cluster::{Cluster, Counts, Figures, OfferEnd, Tally};
use haggle_mesos::wire::master::Metric;
use serde_json::{Map, Value};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::Response;

use super::{Mesos, answer};

const MIB: f64 = (1 << 20) as f64;

/// The page.
pub(super) async fn answer(mesos: &Mesos, who: &Principal) -> Result<Response<Body>, Status> {
    let metrics = all(mesos, who).await?;
    let fields: Map<String, Value> = metrics.into_iter().map(|(name, value)| (name, value.into())).collect();
    Ok(answer::value(&Value::Object(fields)))
}

/// The same in the words of the v1 API.
pub(super) async fn of_call(mesos: &Mesos, who: &Principal) -> Result<Vec<Metric>, Status> {
    let metrics = all(mesos, who).await?.into_iter();
    Ok(metrics.map(|(name, value)| Metric { name, value: Some(value) }).collect())
}

/// For those who see the whole cluster: there are none of single roles.
async fn all(mesos: &Mesos, who: &Principal) -> Result<Vec<(String, f64)>, Status> {
    if !who.may_all(Verb::ReadMetrics) {
        return Err(Status::permission_denied(Denied { who: who.clone(), verb: Verb::ReadMetrics }.to_string()));
    }
    let _place = mesos.0.handle.house().list()?;
    let look = |cluster: &Cluster, _| (cluster.figures(), cluster.counts(), cluster.tally().clone());
    let (figures, counts, tally) = mesos.0.handle.ask(look).await?;
    let mut metrics = Vec::new();
    let mut tell = |name: &str, value: f64| metrics.push((name.to_owned(), value));
    tell("master/uptime_secs", mesos.0.began.elapsed().as_secs_f64());
    tell("master/elected", 1.0);
    tell("master/event_queue_dispatches", mesos.0.handle.requests_waiting() as f64);
    peers(&figures, &mut tell);
    resources(&figures, &mut tell);
    tasks(&tally, &mut tell);
    offers(&counts, &tally, &mut tell);
    Ok(metrics)
}

fn peers(figures: &Figures, tell: &mut impl FnMut(&str, f64)) {
    let connected = figures.agents_active + figures.agents_draining + figures.agents_withdrawn;
    tell("master/slaves_active", figures.agents_active as f64);
    tell("master/slaves_connected", connected as f64);
    tell("master/slaves_inactive", (figures.agents_draining + figures.agents_withdrawn) as f64);
    tell("master/slaves_disconnected", figures.agents_disconnected as f64);
    tell("master/slaves_unreachable", figures.agents_unreachable as f64);
    tell("master/frameworks_active", figures.frameworks_connected as f64);
    tell("master/frameworks_connected", figures.frameworks_connected as f64);
    tell("master/frameworks_disconnected", figures.frameworks_disconnected as f64);
    tell("master/frameworks_inactive", figures.frameworks_disconnected as f64);
}

fn resources(figures: &Figures, tell: &mut impl FnMut(&str, f64)) {
    let Figures { total, used, offered, .. } = figures;
    let gpus = |resources: &haggle_core::Resources| resources.scalar("gpus") as f64 / 1_000.0;
    for (name, total, used, offered) in [
        ("cpus", total.cpus.as_cores(), used.cpus.as_cores(), offered.cpus.as_cores()),
        ("mem", total.mem.get() as f64 / MIB, used.mem.get() as f64 / MIB, offered.mem.get() as f64 / MIB),
        ("disk", total.disk.get() as f64 / MIB, used.disk.get() as f64 / MIB, offered.disk.get() as f64 / MIB),
        ("gpus", gpus(total), gpus(used), gpus(offered)),
    ] {
        tell(&format!("master/{name}_total"), total);
        tell(&format!("master/{name}_used"), used);
        tell(&format!("master/{name}_percent"), if total > 0.0 { used / total } else { 0.0 });
        tell(&format!("allocator/mesos/resources/{name}/total"), total);
        tell(&format!("allocator/mesos/resources/{name}/offered_or_allocated"), used + offered);
    }
    tell("master/cpus_revocable_total", figures.revocable.as_cores());
    tell("master/cpus_revocable_used", used.revocable.as_cores());
}

/// Those that go on stand somewhere now; those that ended are counted.
fn tasks(tally: &Tally, tell: &mut impl FnMut(&str, f64)) {
    for state in TaskState::ALL {
        let name = format!("master/tasks_{}", state.name().to_ascii_lowercase());
        let tasks = match state.is_terminal() {
            true => tally.ended().filter(|(ended, ..)| *ended == state).map(|(.., tasks)| tasks).sum::<u64>() as f64,
            false => tally.tasks(state) as f64,
        };
        tell(&name, tasks);
    }
    tell("master/messages_launch_tasks", tally.launched() as f64);
}

fn offers(counts: &Counts, tally: &Tally, tell: &mut impl FnMut(&str, f64)) {
    tell("master/outstanding_offers", counts.offers as f64);
    tell("master/messages_decline_offers", tally.offers_ended(OfferEnd::Declined) as f64);
    tell("master/offers_sent", tally.offers_made() as f64);
}
