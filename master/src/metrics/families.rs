//! Which metrics there are.

use std::fmt;
use std::time::Duration;

use haggle_core::cluster::{AgentMove, Counts, Figures, OfferEnd, Processor, Tally};
use haggle_core::{Resources, TaskState};
use haggle_otlp::Figures as Spans;
use haggle_proto::v1;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Unit;

use super::agents::{self, AgentRow};
use super::commands::{CommandKind, Commands};
use super::page::Page;
use super::process::Process;
use super::roles::{self, RoleRow};
use super::timings::Measured;
use crate::handle::{Levels, Reign};
use crate::outbox::{Level, WAITING_MAX};
use crate::pull::Counts as PullCounts;

/// What is told to one that asks, as it was at that moment.
#[derive(Debug)]
pub(super) struct Scrape {
    pub(super) roles: Vec<RoleRow>,
    /// Roles beyond those.
    pub(super) more_roles: bool,
    /// `None` for whoever may see certain roles alone.
    pub(super) whole: Option<Whole>,
}

/// The cluster as a whole, and the master.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) reign: Reign,
    pub(super) figures: Figures,
    pub(super) counts: Counts,
    pub(super) tally: Tally,
    pub(super) measured: Measured,
    pub(super) requests_waiting: usize,
    /// What agents and frameworks have said that was not heard yet.
    pub(super) unheard: [usize; 2],
    pub(super) levels: Levels,
    /// None of either where no traces are recorded.
    pub(super) spans: Spans,
    /// Each limit that principals have, with how high it is.
    pub(super) each_has: Vec<(&'static str, u64)>,
    pub(super) limits: Vec<v1::LimitUse>,
    pub(super) process: Option<Process>,
    pub(super) agents: Vec<AgentRow>,
    pub(super) pulls: PullCounts,
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let mut page = Page(encoder);
        if let Some(whole) = &self.whole {
            whole.encode(&mut page)?;
        }
        roles::encode(&self.roles, self.more_roles, &mut page)
    }
}

impl Whole {
    fn encode(&self, page: &mut Page<'_>) -> fmt::Result {
        let (cluster, epoch) = (self.reign.cluster.to_string(), self.reign.epoch.0.to_string());
        let labels = [("version", env!("CARGO_PKG_VERSION")), ("cluster", &cluster), ("epoch", &epoch)];
        page.info("haggle_master", "The master that leads", &labels)?;
        if let Some(process) = &self.process {
            process.encode(page)?;
        }
        self.peers(page)?;
        self.resources(page)?;
        self.offers(page)?;
        self.tasks(page)?;
        self.driver(page)?;
        self.sessions(page)?;
        self.traces(page)?;
        self.pulls(page)?;
        self.limits(page)?;
        agents::encode(&self.agents, page)
    }

    fn peers(&self, page: &mut Page<'_>) -> fmt::Result {
        let Figures {
            agents_active, agents_draining, agents_withdrawn, agents_disconnected, agents_unreachable, ..
        } = self.figures;
        let agents = [
            ("active", agents_active),
            ("draining", agents_draining),
            ("withdrawn", agents_withdrawn),
            ("disconnected", agents_disconnected),
            ("unreachable", agents_unreachable),
        ];
        page.gauges("haggle_agents", "Known agents", None, by("state", agents))?;
        let moves = AgentMove::ALL.map(|what| ([("what", what.name())], self.tally.agents_moved(what) as f64));
        page.counters(
            "haggle_agents_moved",
            "How often agents joined, came back, were out of reach and were removed",
            None,
            moves,
        )?;
        let Figures { frameworks_connected, frameworks_disconnected, .. } = self.figures;
        let frameworks = [("connected", frameworks_connected), ("disconnected", frameworks_disconnected)];
        page.gauges("haggle_frameworks", "Known frameworks", None, by("state", frameworks))?;
        let waiting = float(self.figures.frameworks_waiting);
        page.gauge(
            "haggle_frameworks_waiting",
            "Frameworks that would take something that they are not offered",
            waiting,
        )?;
        page.gauge("haggle_sessions", "Connections of agents and frameworks", float(self.counts.sessions))
    }

    fn resources(&self, page: &mut Page<'_>) -> fmt::Result {
        let Figures { total, used, offered, .. } = &self.figures;
        let uses = [("total", total), ("used", used), ("offered", offered)];
        let of = |amount: fn(&Resources) -> f64| uses.map(|(name, resources)| ([("use", name)], amount(resources)));
        page.gauges("haggle_cpus", "Processors of all agents", None, of(cpus))?;
        let revocable = Resources::default().with_revocable(self.figures.revocable);
        let uses = [("total", &revocable), ("used", used), ("offered", offered)];
        let revocable = uses.map(|(name, resources)| ([("use", name)], resources.revocable.as_cores()));
        let what = "Processors that tasks hold and leave unused, as agents measure, and what of them runs others";
        page.gauges("haggle_revocable_cpus", what, None, revocable)?;
        page.gauges("haggle_memory", "Memory of all agents", Some(&Unit::Bytes), of(memory))?;
        page.gauges("haggle_disk", "Disk of all agents", Some(&Unit::Bytes), of(disk))
    }

    fn offers(&self, page: &mut Page<'_>) -> fmt::Result {
        page.gauge("haggle_offers_open", "Offers that wait for an answer", float(self.counts.offers))?;
        page.counter("haggle_offers_made", "Offers that were made", self.tally.offers_made())?;
        let ends = OfferEnd::ALL.map(|end| ([("end", end.name())], self.tally.offers_ended(end) as f64));
        page.counters("haggle_offers_ended", "Offers by how they ended", None, ends)?;
        let refusals = float(self.figures.refusals);
        page.gauge("haggle_filters", "How often a framework refuses something of an agent for now", refusals)?;
        let dirty = float(self.figures.agents_dirty);
        page.gauge("haggle_allocation_agents_dirty", "Agents that changed and wait to be looked at", dirty)?;
        page.counter(
            "haggle_allocation_agents_examined",
            "How often an agent was looked at for whoever would take what is free there",
            self.tally.agents_examined(),
        )?;
        page.histogram(
            "haggle_allocation_wait",
            "From the first of a batch of commands until it was chosen who is offered what",
            &self.measured.waits,
        )?;
        page.histogram(
            "haggle_allocation",
            "How long it took to choose who is offered what, for each batch of commands",
            &self.measured.allocations,
        )
    }

    fn tasks(&self, page: &mut Page<'_>) -> fmt::Result {
        let tally = &self.tally;
        let states = TaskState::ALL.map(|state| (state.name(), tally.tasks(state)));
        page.gauges(
            "haggle_tasks",
            "Tasks that run, or whose end is not acknowledged, those in queues among them",
            None,
            by("state", states),
        )?;
        let queued = float(self.counts.queued);
        page.gauge("haggle_tasks_queued", "Of those tasks, the ones in the queues of allocations", queued)?;
        page.counter("haggle_tasks_launched", "Tasks that were sent to an agent", tally.launched())?;
        let refused = tally.not_launched().map(|(reason, count)| ([("reason", reason.name())], count as f64));
        page.counters("haggle_launches_refused", "Tasks that were to be launched and were not", None, refused)?;
        let ended = tally.ended().map(|(state, reason, count)| {
            ([("state", state.name()), ("reason", reason.map_or("", |reason| reason.name()))], count as f64)
        });
        page.counters("haggle_tasks_ended", "Tasks by how and why they ended", None, ended)?;
        page.histogram(
            "haggle_task_start",
            "From the launch of a task to its start, as the master hears of it",
            tally.start_latency(),
        )?;
        let of = |time: fn(Processor) -> Duration| {
            tally.cpu().map(move |(role, cpu)| ([("role", role)], time(cpu).as_secs_f64()))
        };
        let used = of(|cpu| cpu.used);
        page.counters("haggle_task_cpu", "Processor time of tasks that ended", Some(&Unit::Seconds), used)?;
        let throttled = of(|cpu| cpu.throttled);
        page.counters(
            "haggle_task_throttled",
            "How long tasks that ended wanted to run and were held back by their cpus",
            Some(&Unit::Seconds),
            throttled,
        )
    }

    fn driver(&self, page: &mut Page<'_>) -> fmt::Result {
        let commands = &self.measured.commands;
        let of = |count: fn(&Commands, CommandKind) -> u64| {
            CommandKind::ALL.iter().map(move |&kind| ([("kind", kind.name())], count(commands, kind) as f64))
        };
        page.counters("haggle_commands", "What agents, frameworks and operators said", None, of(Commands::heard))?;
        page.counters("haggle_commands_refused", "What of that was refused", None, of(Commands::refused))?;
        page.histogram("haggle_registry_write", "How long a write to the registry took", &self.measured.writes)?;
        let Counts { kept_updates, questions, kills, orphans, ended, timers, tokens, enrolled, .. } = self.counts;
        let held = [
            ("requests", self.requests_waiting),
            ("updates", kept_updates),
            ("questions", questions),
            ("kills", kills),
            ("orphans", orphans),
            ("history", ended),
            ("timers", timers),
            ("tokens", tokens),
            ("enrolled", enrolled),
        ];
        page.gauges("haggle_master_held", "What waits at the master, or is kept there", None, by("what", held))
    }

    /// Of all sessions of a kind together: each of them has queues of its own.
    fn sessions(&self, page: &mut Page<'_>) -> fmt::Result {
        let [agents, frameworks] = self.unheard;
        let unheard = by("peer", [("agent", agents), ("framework", frameworks)]);
        page.gauges("haggle_inbox_messages", "What peers said and the master has not heard yet", None, unheard)?;
        let of = |level: fn(Level) -> usize| {
            by("peer", [("agent", level(self.levels.agents)), ("framework", level(self.levels.frameworks))])
        };
        let items = of(|level| level.items);
        page.gauges("haggle_outbox_items", "What waits to be sent to peers: orders, events", None, items)?;
        let bytes = of(|level| level.bytes);
        page.gauges("haggle_outbox", "How large that is", Some(&Unit::Bytes), bytes)?;
        let what = "How large it is for the peer for which most waits";
        page.gauges("haggle_outbox_longest", what, Some(&Unit::Bytes), of(|level| level.longest))?;
        let limit = [([], WAITING_MAX as f64)];
        page.gauges("haggle_outbox_limit", "With more than this a peer is cut off", Some(&Unit::Bytes), limit)
    }

    fn traces(&self, page: &mut Page<'_>) -> fmt::Result {
        let Spans { sent, dropped } = self.spans;
        let fates = [("sent", sent), ("dropped", dropped)].map(|(fate, count)| ([("fate", fate)], count as f64));
        page.counters("haggle_trace_spans", "Spans of tasks that this master recorded", None, fates)
    }

    fn pulls(&self, page: &mut Page<'_>) -> fmt::Result {
        let PullCounts { done, failed, bytes } = &self.pulls;
        let outcomes =
            [("done", done), ("failed", failed)].map(|(name, count)| ([("outcome", name)], count.get() as f64));
        page.counters(
            "haggle_artifact_pulls",
            "Artifacts that were fetched from elsewhere, by outcome",
            None,
            outcomes,
        )?;
        let bytes = [([], bytes.get() as f64)];
        page.counters("haggle_artifact_pulled", "Bytes of them that came", Some(&Unit::Bytes), bytes)
    }

    /// Those of everybody by their name, those that each principal has by who has most.
    fn limits(&self, page: &mut Page<'_>) -> fmt::Result {
        let bounded = |most: u64| (most != u64::MAX).then_some(most);
        let mut limits: Vec<(&str, Option<u64>, u64, u64)> =
            self.each_has.iter().map(|&(name, most)| (name, bounded(most), 0, 0)).collect();
        for limit in &self.limits {
            match limits.iter_mut().find(|(name, ..)| *name == limit.limit) {
                Some((.., has, refused)) => {
                    *has = limit.has.max(*has);
                    *refused += limit.refused;
                }
                None => limits.push((&limit.limit, limit.most, limit.has, limit.refused)),
            }
        }
        let most = limits.iter().filter_map(|&(name, most, ..)| Some(([("limit", name)], most? as f64)));
        page.gauges("haggle_limit", "How high each limit is", None, most)?;
        let used = limits.iter().map(|&(name, _, has, _)| ([("limit", name)], has as f64));
        page.gauges("haggle_limit_used", "How much of it whoever has most of it has", None, used)?;
        let refused = limits.iter().map(|&(name, .., refused)| ([("limit", name)], refused as f64));
        page.counters("haggle_limit_refusals", "How often somebody wanted more, of those that are known", None, refused)
    }
}

fn by<const N: usize>(
    label: &'static str,
    rows: [(&'static str, usize); N],
) -> impl Iterator<Item = ([(&'static str, &'static str); 1], f64)> {
    rows.into_iter().map(move |(value, count)| ([(label, value)], float(count)))
}

pub(super) fn float(count: usize) -> f64 {
    count as f64
}

pub(super) fn cpus(resources: &Resources) -> f64 {
    resources.cpus.as_cores()
}

pub(super) fn memory(resources: &Resources) -> f64 {
    resources.mem.get() as f64
}

pub(super) fn disk(resources: &Resources) -> f64 {
    resources.disk.get() as f64
}
