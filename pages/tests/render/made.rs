//! What the pages show: agents, tasks and all that with names that a stranger may have chosen.

use std::collections::BTreeMap;
use std::time::Duration;

use haggle_core::access::{Roles, TokenId, TokenKind, TokenRecord};
use haggle_core::allocator::{Ahead, Hindrance, Lacking, Obstacle};
use haggle_core::cluster::{
    AgentView, AheadView, Counts, Figures, FrameworkInfo, FrameworkView, Life, OfferView, PhaseView, RoleView, Tally,
    TaskView, Why, WithdrawalView,
};
use haggle_core::resources::Share;
use haggle_core::{
    AgentId, AgentInfo, Bytes, Cause, Digest, Exceeded, FrameworkId, Fuel, MilliCpu, Now, OfferId, Placement, Reason,
    Resources, Source, TaskId, TaskState, TaskStatus, UpdateId, Usage,
};
use haggle_pages::link::Query;
use haggle_pages::views::{
    AboutAgent, AgentPage, AgentsPage, AuditPage, ClusterPage, EventsPage, FrameworkPage, FrameworksPage, Hour,
    LogTail, LoginPage, May, OffersPage, RolesPage, Seen, TaskPage, TasksPage, TokensPage, TroublePage, View, Whole,
};

/// Ends tags and attributes, runs a script, turns a line around, clears a terminal.
pub(crate) const HARM: &str = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>\u{202e}gpj\u{1b}[2J";

pub(crate) const MASTER: &str = "http://127.0.0.1:5050";

pub(crate) fn resources(milli: u64, mib: u64) -> Resources {
    Resources::new(MilliCpu::new(milli), Bytes::from_mib(mib), Bytes::from_mib(mib * 4))
}

pub(crate) fn agent(number: u64, name: &str, used: u64) -> AgentView {
    let attributes = [("os".to_owned(), "linux".to_owned()), ("rack".to_owned(), name.to_owned())];
    AgentView {
        id: AgentId(number),
        info: AgentInfo {
            name: name.to_owned(),
            resources: resources(4000, 8192),
            reserved: BTreeMap::new(),
            attributes: attributes.into(),
        },
        connected: true,
        draining: false,
        withdrawal: None,
        unavailability: None,
        revocable: MilliCpu::new(0),
        used: resources(used, used * 2),
        offered: resources(if number.is_multiple_of(3) { 250 } else { 0 }, 64),
        reserved: Vec::new(),
        volumes: 0,
        kept: Bytes::ZERO,
        tasks: usize::try_from(used / 100).unwrap(),
    }
}

pub(crate) fn framework(number: u64, name: &str, role: &str) -> FrameworkView {
    FrameworkView {
        id: FrameworkId(number),
        info: FrameworkInfo { name: name.into(), roles: vec![role.into()], failover_timeout: Duration::from_secs(60) },
        connected: number != 4,
        suppressed: number == 3,
        used: resources(number * 700, 512),
        offered: resources(250, 64),
        tasks: 7,
    }
}

pub(crate) fn role(name: &str, waiting: usize, share: u64) -> RoleView {
    RoleView {
        name: name.into(),
        weight: 2,
        frameworks: 1,
        waiting,
        used: resources(share * 40, 512),
        offered: Resources::default(),
        reserved: Resources::default(),
        share: Share::new(share, 100),
        fair_share: Share::new(40, 100),
        quota: None,
        placement: Placement::default(),
        min_allocatable: None,
    }
}

pub(crate) fn task(number: u64, name: &str, state: TaskState) -> TaskView {
    let id = TaskId { framework: FrameworkId(1 + number % 3), number };
    let mut status = TaskStatus::new(id, UpdateId(1), state, Source::Agent);
    if state.is_terminal() {
        status.usage = Some(Usage {
            cpu: Duration::from_millis(640),
            wall: Duration::from_millis(1830),
            fuel: Fuel::new(1_234_567_890),
            peak_mem: Bytes::from_mib(61),
            peak_disk: Bytes::new(4096),
            output: Bytes::new(1234),
            net: Bytes::ZERO,
            throttled: Duration::ZERO,
        });
    }
    if state == TaskState::Failed {
        status.reason = Some(Reason::MemoryLimit);
        status.message = format!("wants 65 MiB memory, is limited to 64 MiB {name}");
        status.exceeded = Some(Exceeded { limit: 64 << 20, used: 65 << 20 });
    }
    TaskView {
        id,
        name: name.into(),
        role: "eng/batch".into(),
        agent: AgentId(1 + number % 2),
        module: (number != 5).then_some(Digest([0xab; 32])),
        resources: resources(500, 64),
        group: None,
        is_allocation: number == 5,
        status,
    }
}

pub(crate) fn why(name: &str) -> Why {
    let obstacle = Obstacle::InUse { free: resources(250, 4096) };
    let nearest = vec![Lacking { agent: AgentId(2), lacks: resources(250, 0) }];
    let (share, than) = (Share::new(1, 8), Share::new(1, 4));
    let ahead = Ahead { framework: FrameworkId(2), role: "web".into(), under: String::new(), share, than };
    Why {
        framework: FrameworkId(1),
        name: name.into(),
        role: "eng/batch".into(),
        roles: vec!["eng/batch".into()],
        waits_for: Some(Duration::from_secs(12)),
        offers: 0,
        rank: Some(2),
        ranked: 2,
        ahead: vec![AheadView { name: name.into(), ahead }],
        hindrances: vec![Hindrance { obstacle, want: Some(resources(500, 64)), agents: 2, nearest, age: None }],
    }
}

pub(crate) fn whole() -> Whole {
    let figures = Figures {
        agents_active: 11,
        agents_withdrawn: 1,
        agents_disconnected: 1,
        frameworks_connected: 3,
        total: resources(48_000, 98_304),
        used: resources(17_500, 30_000),
        offered: resources(2_000, 4_000),
        ..Figures::default()
    };
    let counts = Counts { agents: 13, frameworks: 4, tasks: 21, ..Counts::default() };
    let starts = (0..60).map(|minute| (minute * 37 + minute * minute * 11) % 400).collect();
    let latency = vec![(Some(Duration::from_micros(2_500)), 700), (Some(Duration::from_millis(5)), 310), (None, 3)];
    Whole { figures, counts, tally: Tally::default(), hour: Hour { starts, latency } }
}

pub(crate) fn about() -> (String, &'static str, u64) {
    ("cluster-7f3a".to_owned(), "0.1.0", 3)
}

pub(crate) const STATES: [TaskState; 7] = [
    TaskState::Staging,
    TaskState::Starting,
    TaskState::Running,
    TaskState::Finished,
    TaskState::Failed,
    TaskState::Killed,
    TaskState::Unreachable,
];

pub(crate) fn tasks(name: &str) -> Vec<TaskView> {
    STATES.into_iter().cycle().take(24).enumerate().map(|(number, state)| task(number as u64, name, state)).collect()
}

pub(crate) fn agents(name: &str, count: u64) -> Vec<AgentView> {
    let mut agents: Vec<AgentView> = (1..=count).map(|number| agent(number, name, number * 337 % 4000)).collect();
    agents[1].connected = false;
    let phase = PhaseView::Draining { kill_in: Duration::from_secs(30), mark_gone: false };
    agents[2].withdrawal = Some(WithdrawalView { phase, age: Duration::from_secs(300), cause: Cause::Operator });
    agents
}

pub(crate) fn tail(stream: &'static str, text: &str) -> LogTail {
    LogTail { stream, text: Ok(text.as_bytes().to_vec()), from: if stream == "stdout" { 70_000 } else { 0 } }
}

pub(crate) fn life(ended: bool) -> Life {
    let at = |millis| Some(Now::from_millis(millis));
    Life {
        submitted: at(500),
        offered: at(996),
        sent: at(1_000),
        fetched: at(1_030),
        compiled: at(1_418),
        started: at(1_420),
        ended: at(3_250).filter(|_| ended),
    }
}

pub(crate) fn task_page(task: TaskView, why: Option<Why>, text: &str) -> TaskPage {
    let life = life(task.status.state.is_terminal());
    let logs = [tail("stdout", text), LogTail { text: Err(format!("its agent is away {text}")), ..tail("stderr", "") }];
    let runs = task.status.state == TaskState::Running;
    let origins = vec!["oci://registry.example/first:1".to_owned(), format!("oci://registry.example/{text}")];
    let so_far = Usage {
        cpu: Duration::from_millis(720),
        wall: Duration::from_millis(2_000),
        throttled: Duration::from_millis(1_100),
        ..Usage::default()
    };
    let seen = Seen {
        life,
        why,
        so_far: runs.then_some(so_far),
        origins,
        now: Now::from_millis(9_000),
        wall_ms: 1_799_550_000_000,
    };
    TaskPage::new(task, seen, &logs, May { kill: true, again: Some(Ok(())) })
}

pub(crate) fn about_agent(version: &str) -> AboutAgent {
    AboutAgent {
        version: version.into(),
        engine: format!("wasmtime {version}"),
        executors: 3,
        cache: (1_200, 3 << 30, 4 << 30),
        artifacts: (70_000, 1_200, 3),
        modules: (69_000, 1_190, 0),
    }
}

pub(crate) fn token(name: &str) -> (TokenId, TokenRecord) {
    let record = TokenRecord {
        name: name.into(),
        kind: TokenKind::Viewer(Roles::every()),
        hash: Digest([0; 32]),
        made_ms: 1_799_000_000_000,
        expires_ms: 1_800_000_000_000,
        made_by: name.into(),
        revoked: false,
        authority: None,
    };
    (TokenId(7), record)
}

/// All pages with things in them, of which people chose the names.
pub(crate) fn full(name: &str) -> Vec<(&'static str, Box<dyn View>)> {
    let query = Query::default();
    let frameworks = || (1..5).map(|number| framework(number, name, "eng/batch")).collect::<Vec<_>>();
    let roles = || vec![role("default", 0, 6), role("eng", 1, 30), role("eng/batch", 1, 25), role("eng/live", 0, 5)];
    let offer = |number| OfferView {
        id: OfferId(number),
        framework: FrameworkId(1),
        role: "eng".into(),
        agent: AgentId(1),
        resources: resources(500, 512),
        reserved: Vec::new(),
        volumes: Vec::new(),
        age: Duration::from_millis(1830),
    };
    let audit = serde_json::json!({ "time": "2026-11-29T12:00:00.000Z", "kind": "operator", "principal": name, "verb": "KillTask",
        "object": "task-1.1", "verdict": "refused", "why": name });
    let names = agents(name, 13);
    vec![
        ("cluster", Box::new(ClusterPage::new(about(), MASTER.into(), Some(whole()), &names, &frameworks(), &roles()))),
        ("agents", Box::new(AgentsPage::new(&query, agents(name, 213), MASTER.into()))),
        ("agent", Box::new(AgentPage::new(agent(1, name, 2000), Some(&about_agent(name)), tasks(name), true, true))),
        ("roles", Box::new(RolesPage::new(&query, roles(), true))),
        ("frameworks", Box::new(FrameworksPage::new(&query, frameworks()))),
        ("framework", Box::new(FrameworkPage::new(framework(1, name, "eng/batch"), vec![why(name)], tasks(name)))),
        ("offers", Box::new(OffersPage::new(&query, (1..4).map(offer).collect()))),
        (
            "tasks",
            Box::new(TasksPage::new(
                &Query::parse("state=running&role=eng&q=%3Cscript"),
                tasks(name),
                (1234, 99_000),
                MASTER.into(),
            )),
        ),
        (
            "task-failed",
            Box::new(task_page(
                task(4, name, TaskState::Failed),
                None,
                &format!("line one\n\u{1b}[31m{name}\u{1b}[0m\n"),
            )),
        ),
        ("task-waiting", Box::new(task_page(task(1, name, TaskState::Staging), Some(why(name)), ""))),
        ("task-running", Box::new(task_page(task(2, name, TaskState::Running), None, &format!("{name}\n").repeat(60)))),
        ("events", Box::new(EventsPage)),
        ("tokens", Box::new(TokensPage::new(&query, vec![token(name)], true, 1_799_550_000_000))),
        ("audit", Box::new(AuditPage::new(&query, Ok(vec![audit.to_string()])))),
        ("login", Box::new(LoginPage::new("/tasks?q=\"><script>", name))),
        ("trouble", Box::new(TroublePage::new("It is not there", name))),
    ]
}

/// The same with nothing in them.
pub(crate) fn empty() -> Vec<(&'static str, Box<dyn View>)> {
    let query = Query::default();
    vec![
        (
            "cluster-empty",
            Box::new(ClusterPage::new(
                about(),
                MASTER.into(),
                Some(Whole {
                    figures: Figures::default(),
                    counts: Counts::default(),
                    tally: Tally::default(),
                    hour: Hour::default(),
                }),
                &[],
                &[],
                &[],
            )),
        ),
        ("agents-empty", Box::new(AgentsPage::new(&query, Vec::new(), MASTER.into()))),
        ("roles-empty", Box::new(RolesPage::new(&query, Vec::new(), false))),
        ("frameworks-empty", Box::new(FrameworksPage::new(&query, Vec::new()))),
        ("offers-empty", Box::new(OffersPage::new(&query, Vec::new()))),
        ("tasks-empty", Box::new(TasksPage::new(&query, Vec::new(), (0, 0), MASTER.into()))),
        ("tokens-empty", Box::new(TokensPage::new(&query, Vec::new(), false, 0))),
        ("audit-empty", Box::new(AuditPage::new(&query, Err("this master writes no audit".into())))),
    ]
}
