//! `/metrics/snapshot`: the master's own numbers by Mesos's names, for exporters and dashboards of old.

use std::collections::BTreeMap;
use std::time::Duration;

use haggle_core::access::{Denied, Principal, Verb};
use haggle_core::cluster::{AgentMove, Cluster, Counts, Figures, OfferEnd, RoleView, Tally};
use haggle_core::{Histogram, Resources, TaskState};
use haggle_mesos::meaning::{counted_as, role_out};
use haggle_mesos::wire::master::Metric;
use serde_json::{Map, Value};
use sysinfo::System;
use tokio::task::spawn_blocking;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::Response;

use super::{Mesos, answer};
use crate::metrics::{CommandKind, Commands, Measured};

const MIB: f64 = (1 << 20) as f64;

/// Roles in one answer, by path.
const ROLES_MAX: usize = 1_000;

/// How much there is of something, as Mesos counts it.
type Amount = fn(&Resources) -> f64;

/// What Mesos knows resources of.
const KINDS: [(&str, Amount); 4] = [
    ("cpus", |resources| resources.cpus.as_cores()),
    ("mem", |resources| resources.mem.get() as f64 / MIB),
    ("disk", |resources| resources.disk.get() as f64 / MIB),
    ("gpus", |resources| resources.scalar("gpus") as f64 / 1_000.0),
];

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
    let of = who.clone();
    let look = move |cluster: &Cluster, _| {
        let (roles, _) = cluster.roles_page(&of, None, ROLES_MAX);
        (cluster.figures(), cluster.counts(), cluster.tally().clone(), roles, cluster.refusals_of_roles())
    };
    let (figures, counts, tally, roles, refusals) = mesos.0.handle.ask(look).await?;
    // It reads files.
    let machine = spawn_blocking(Machine::look).await.ok().flatten();
    let mut metrics = Vec::new();
    let mut tell = |name: &str, value: f64| metrics.push((name.to_owned(), value));
    tell("master/uptime_secs", mesos.0.began.elapsed().as_secs_f64());
    tell("master/elected", 1.0);
    // Whatever waits for the master waits in one queue.
    tell("master/event_queue_dispatches", mesos.0.handle.requests_waiting() as f64);
    tell("master/event_queue_messages", 0.0);
    tell("master/event_queue_http_requests", 0.0);
    tell("master/operator_event_stream_subscribers", mesos.0.handle.watchers() as f64);
    peers(&figures, &tally, &mut tell);
    resources(&figures, &mut tell);
    tasks(&tally, &mut tell);
    offers(&counts, &tally, &mut tell);
    for role in &roles {
        shares(role, &mut tell);
        let active = refusals.get(&role.name).copied().unwrap_or_default();
        tell(&format!("allocator/mesos/offer_filters/roles/{}/active", role_out(&role.name)), active as f64);
    }
    let measured = mesos.0.handle.timings().get();
    messages(&measured.commands, &mut tell);
    let left = measured.commands.carried_out(CommandKind::UnregisterAgent);
    tell("master/slave_removals/reason_unregistered", left as f64);
    timings(&measured, &mut tell);
    if let Some(machine) = machine {
        machine.tell(&mut tell);
    }
    Ok(metrics)
}

fn peers(figures: &Figures, tally: &Tally, tell: &mut impl FnMut(&str, f64)) {
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
    let moved = |what| tally.agents_moved(what) as f64;
    tell("master/slave_registrations", moved(AgentMove::Joined));
    tell("master/slave_reregistrations", moved(AgentMove::Returned));
    // Mesos removes an agent when it is unreachable.
    let unreachable = moved(AgentMove::Unreachable) + moved(AgentMove::Missed);
    tell("master/slave_unreachable_completed", unreachable);
    tell("master/slave_removals", unreachable + moved(AgentMove::Removed));
    tell("master/slave_removals/reason_unhealthy", unreachable);
    tell("master/recovery_slave_removals", moved(AgentMove::Missed));
}

fn resources(figures: &Figures, tell: &mut impl FnMut(&str, f64)) {
    let Figures { total, used, offered, .. } = figures;
    for (name, amount) in KINDS {
        // Nothing else is revocable.
        let revocable = match name {
            "cpus" => (figures.revocable.as_cores(), used.revocable.as_cores()),
            _ => (0.0, 0.0),
        };
        let (total, used, offered) = (amount(total), amount(used), amount(offered));
        for (name, total, used) in
            [(name.to_owned(), total, used), (format!("{name}_revocable"), revocable.0, revocable.1)]
        {
            tell(&format!("master/{name}_total"), total);
            tell(&format!("master/{name}_used"), used);
            tell(&format!("master/{name}_percent"), if total > 0.0 { used / total } else { 0.0 });
        }
        tell(&format!("allocator/mesos/resources/{name}/total"), total);
        tell(&format!("allocator/mesos/resources/{name}/offered_or_allocated"), used + offered);
    }
}

/// Those that go on stand somewhere now; those that ended, or were not launched, are counted.
fn tasks(tally: &Tally, tell: &mut impl FnMut(&str, f64)) {
    for state in TaskState::ALL {
        let name = format!("master/tasks_{}", state.name().to_ascii_lowercase());
        let tasks = match state.is_terminal() {
            true => {
                tally.told_as_ended().filter(|(told, ..)| *told == state).map(|(.., tasks)| tasks).sum::<u64>() as f64
            }
            false => tally.tasks(state) as f64,
        };
        tell(&name, tasks);
    }
    let mut by_reason: BTreeMap<String, u64> = BTreeMap::new();
    for (state, reason, source, tasks) in tally.told_as_ended() {
        if let Some(name) = reason.and_then(|reason| counted_as(state, source, reason)) {
            *by_reason.entry(name).or_default() += tasks;
        }
    }
    by_reason.iter().for_each(|(name, tasks)| tell(name, *tasks as f64));
}

fn offers(counts: &Counts, tally: &Tally, tell: &mut impl FnMut(&str, f64)) {
    tell("master/outstanding_offers", counts.offers as f64);
    tell("master/messages_decline_offers", tally.offers_ended(OfferEnd::Declined) as f64);
    tell("master/offers_sent", tally.offers_made() as f64);
}

/// The share of a role, and its quota with what counts towards it, where it has one.
fn shares(role: &RoleView, tell: &mut impl FnMut(&str, f64)) {
    let name = role_out(&role.name);
    tell(&format!("allocator/mesos/roles/{name}/shares/dominant"), role.share.as_f64());
    let Some(quota) = &role.quota else { return };
    let limit = &quota.limit;
    let limits = [
        limit.cpus.map(|cpus| cpus.as_cores()),
        limit.mem.map(|mem| mem.get() as f64 / MIB),
        limit.disk.map(|disk| disk.get() as f64 / MIB),
        limit.scalars.get("gpus").map(|&gpus| gpus as f64 / 1_000.0),
    ];
    for ((kind, amount), limit) in KINDS.into_iter().zip(limits) {
        let mut of_kind =
            |what: &str, value| tell(&format!("allocator/mesos/quota/roles/{name}/resources/{kind}/{what}"), value);
        of_kind("guarantee", amount(&quota.guarantee));
        of_kind("offered_or_allocated", amount(&role.used) + amount(&role.offered));
        if let Some(limit) = limit {
            of_kind("limit", limit);
        }
    }
}

/// What Mesos's messages are called, and the commands that say the same.
const MESSAGES: [(&str, &[CommandKind]); 15] = [
    ("register_slave", &[CommandKind::RegisterAgent]),
    ("reregister_slave", &[CommandKind::ReregisterAgent]),
    ("unregister_slave", &[CommandKind::UnregisterAgent]),
    ("update_slave", &[CommandKind::Unused, CommandKind::Volumes]),
    ("status_update", &[CommandKind::StatusUpdate, CommandKind::QueueUpdate]),
    ("register_framework", &[CommandKind::Subscribe]),
    ("reregister_framework", &[CommandKind::Resubscribe]),
    ("unregister_framework", &[CommandKind::Teardown]),
    ("launch_tasks", &[CommandKind::Launch, CommandKind::LaunchGroup, CommandKind::Open, CommandKind::Enqueue]),
    ("resource_request", &[CommandKind::Demand]),
    ("revive_offers", &[CommandKind::Revive]),
    ("suppress_offers", &[CommandKind::Suppress]),
    ("kill_task", &[CommandKind::Kill]),
    ("status_update_acknowledgement", &[CommandKind::Acknowledge]),
    ("reconcile_tasks", &[CommandKind::Reconcile]),
];

fn messages(commands: &Commands, tell: &mut impl FnMut(&str, f64)) {
    for (name, kinds) in MESSAGES {
        let heard: u64 = kinds.iter().map(|&kind| commands.heard(kind)).sum();
        tell(&format!("master/messages_{name}"), heard as f64);
    }
    // What operators are refused they are told.
    let said = CommandKind::ALL.iter().filter(|&&kind| kind != CommandKind::Operator);
    let refused: u64 = said.map(|&kind| commands.refused(kind)).sum();
    tell("master/dropped_messages", refused as f64);
}

fn timings(measured: &Measured, tell: &mut impl FnMut(&str, f64)) {
    tell("allocator/mesos/allocation_runs", measured.allocations.count() as f64);
    timer("allocator/mesos/allocation_run_ms", &measured.allocations, tell);
    timer("allocator/mesos/allocation_run_latency_ms", &measured.waits, tell);
    timer("registrar/state_store_ms", &measured.writes, tell);
}

/// In milliseconds. Mesos has the last one under the plain name, here is their mean; and what others are below is told to a bound of the
/// buckets that they are counted in.
fn timer(name: &str, took: &Histogram, tell: &mut impl FnMut(&str, f64)) {
    let milliseconds = |time: Duration| time.as_secs_f64() * 1_000.0;
    tell(&format!("{name}/count"), took.count() as f64);
    tell(name, milliseconds(took.sum()) / took.count().max(1) as f64);
    for (part, of_a_million) in [
        ("min", 0),
        ("p50", 500_000),
        ("p90", 900_000),
        ("p95", 950_000),
        ("p99", 990_000),
        ("p999", 999_000),
        ("p9999", 999_900),
        ("max", 1_000_000),
    ] {
        tell(&format!("{name}/{part}"), milliseconds(took.quantile(of_a_million).unwrap_or_default()));
    }
}

/// The master's machine.
struct Machine {
    cores: usize,
    /// Some systems know none.
    load: Option<sysinfo::LoadAvg>,
    memory: u64,
    free: u64,
}

impl Machine {
    /// `None` where the system does not tell.
    fn look() -> Option<Self> {
        let mut system = System::new().ok()?;
        system.refresh_memory();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let load = System::load_average().ok();
        Some(Self { cores, load, memory: system.total_memory(), free: system.free_memory() })
    }

    fn tell(&self, tell: &mut impl FnMut(&str, f64)) {
        tell("system/cpus_total", self.cores as f64);
        if let Some(load) = &self.load {
            tell("system/load_1min", load.one);
            tell("system/load_5min", load.five);
            tell("system/load_15min", load.fifteen);
        }
        tell("system/mem_total_bytes", self.memory as f64);
        tell("system/mem_free_bytes", self.free as f64);
    }
}
