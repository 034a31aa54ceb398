//! Every page, empty, full and with names that strangers chose: what a browser would make of it.
//!
//! Each is also left as a file under `target/tmp/pages`, to be looked at.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use haggle_core::access::{Roles, TokenId, TokenKind, TokenRecord};
use haggle_core::allocator::{Ahead, Hindrance, Lacking, Obstacle};
use haggle_core::cluster::{
    AgentView, AheadView, Announcement, Counts, Figures, FrameworkInfo, FrameworkView, Life, OfferView, PhaseView,
    RoleView, Tally, TaskView, Why, WithdrawalView,
};
use haggle_core::resources::Share;
use haggle_core::{
    AgentId, AgentInfo, Bytes, Cause, Digest, Exceeded, FrameworkId, Fuel, MilliCpu, Now, OfferId, Placement, Reason,
    Resources, Source, TaskId, TaskState, TaskStatus, UpdateId, Usage,
};
use haggle_pages::layout::{Layout, Section, Viewer};
use haggle_pages::link::Query;
use haggle_pages::views::{
    AboutAgent, AgentPage, AgentsPage, AuditPage, ClusterPage, EventsPage, FrameworkPage, FrameworksPage, Hour,
    LogTail, LoginPage, May, OffersPage, RolesPage, Seen, Shortened, TaskPage, TasksPage, TokensPage, TroublePage,
    View, Whole, event_row,
};

/// Ends tags and attributes, runs a script, turns a line around, clears a terminal.
const HARM: &str = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>\u{202e}gpj\u{1b}[2J";

const MASTER: &str = "http://127.0.0.1:5050";

fn resources(milli: u64, mib: u64) -> Resources {
    Resources::new(MilliCpu::new(milli), Bytes::from_mib(mib), Bytes::from_mib(mib * 4))
}

fn agent(number: u64, name: &str, used: u64) -> AgentView {
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

fn framework(number: u64, name: &str, role: &str) -> FrameworkView {
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

fn role(name: &str, waiting: usize, share: u64) -> RoleView {
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

fn task(number: u64, name: &str, state: TaskState) -> TaskView {
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

fn why(name: &str) -> Why {
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

fn whole() -> Whole {
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

fn about() -> (String, &'static str, u64) {
    ("cluster-7f3a".to_owned(), "0.1.0", 3)
}

const STATES: [TaskState; 7] = [
    TaskState::Staging,
    TaskState::Starting,
    TaskState::Running,
    TaskState::Finished,
    TaskState::Failed,
    TaskState::Killed,
    TaskState::Unreachable,
];

fn tasks(name: &str) -> Vec<TaskView> {
    STATES.into_iter().cycle().take(24).enumerate().map(|(number, state)| task(number as u64, name, state)).collect()
}

fn agents(name: &str, count: u64) -> Vec<AgentView> {
    let mut agents: Vec<AgentView> = (1..=count).map(|number| agent(number, name, number * 337 % 4000)).collect();
    agents[1].connected = false;
    let phase = PhaseView::Draining { kill_in: Duration::from_secs(30), mark_gone: false };
    agents[2].withdrawal = Some(WithdrawalView { phase, age: Duration::from_secs(300), cause: Cause::Operator });
    agents
}

fn tail(stream: &'static str, text: &str) -> LogTail {
    LogTail { stream, text: Ok(text.as_bytes().to_vec()), from: if stream == "stdout" { 70_000 } else { 0 } }
}

fn life(ended: bool) -> Life {
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

fn task_page(task: TaskView, why: Option<Why>, text: &str) -> TaskPage {
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

fn about_agent(version: &str) -> AboutAgent {
    AboutAgent {
        version: version.into(),
        engine: format!("wasmtime {version}"),
        executors: 3,
        cache: (1_200, 3 << 30, 4 << 30),
        artifacts: (70_000, 1_200, 3),
        modules: (69_000, 1_190, 0),
    }
}

fn token(name: &str) -> (TokenId, TokenRecord) {
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
fn full(name: &str) -> Vec<(&'static str, Box<dyn View>)> {
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
fn empty() -> Vec<(&'static str, Box<dyn View>)> {
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

fn page(view: &dyn View) -> String {
    let title = view.title();
    let viewer = Some(Viewer { name: "ada".to_owned(), kind: "operator", can_leave: true });
    let viewer = viewer.filter(|_| view.section().is_some());
    let layout = Layout { title: &title, section: view.section(), sections: &Section::ALL, viewer, live: None };
    layout.around(&view.content())
}

fn leave(name: &str, html: &str) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(format!("{name}.html")), html).unwrap();
}

/// Tags of a page, without what is between them.
fn tags(html: &str) -> impl Iterator<Item = &str> {
    html.split('<').skip(1).map(|rest| rest.split('>').next().unwrap_or(rest))
}

#[test]
fn names_that_strangers_chose_are_text_and_nothing_else() {
    for (name, view) in full(HARM) {
        let html = page(&*view);

        for tag in tags(&html) {
            assert!(!tag.starts_with("img src=x") && !tag.starts_with("script>"), "{name}: <{tag}>");
            assert!(!tag.contains("onerror="), "{name}: <{tag}>");
        }
        for letter in ['\u{202e}', '\u{1b}'] {
            assert!(!html.contains(letter), "{name}: {letter:?}");
        }
    }
}

#[test]
fn no_page_needs_what_its_policy_forbids() {
    for (name, view) in full("primes").into_iter().chain(empty()) {
        let html = page(&*view);
        leave(name, &html);

        for tag in tags(&html) {
            assert!(!tag.contains(" style="), "{name}: <{tag}>");
            assert!(!tag.contains(" on"), "{name}: <{tag}>");
            assert!(!tag.starts_with("script") || tag.contains("src=\"/assets/"), "{name}: <{tag}>");
            let elsewhere = tag.contains("http://") || tag.contains("https://") || tag.contains("\"//");
            assert!(!elsewhere, "{name}: <{tag}>");
        }
    }
}

#[test]
fn the_audit_is_paged_and_says_how_much_of_it_there_is() {
    let line = |number: usize| serde_json::json!({ "object": format!("task-1.{number}"), "verdict": "ok" }).to_string();
    let lines = || Ok((1..=120).map(line).collect());

    let first = AuditPage::new(&Query::default(), lines());
    assert!(page(&first).contains("1 to 50 of 120 lines"), "{}", page(&first));
    assert_eq!(
        (&first.json()["audit"][0]["object"], &first.json()["next"]),
        (&"task-1.120".into(), &"/audit?page=2".into())
    );
    let last = AuditPage::new(&Query::parse("page=3"), lines());
    assert_eq!(last.json()["audit"].as_array().unwrap().len(), 20);
    assert_eq!(last.json()["audit"][19]["object"], "task-1.1");
}

#[test]
fn what_was_chosen_of_agents_stays_when_something_else_is_chosen() {
    let html = page(&AgentsPage::new(&Query::parse("state=up&q=node&sort=cpu"), agents("node", 13), MASTER.into()));

    assert!(html.contains("href=\"/agents?state=up&#38;q=node&#38;sort=memory\""), "{html}");
    assert!(html.contains("<input type=\"hidden\" name=\"state\" value=\"up\">"), "{html}");
    assert!(html.contains("<th aria-sort=\"descending\">"), "{html}");
}

#[test]
fn a_list_that_was_cut_off_says_so() {
    let view = OffersPage::new(&Query::default(), Vec::new());
    let cut = Shortened { view, most: 100_000 };

    assert!(page(&cut).contains("no more than the first 100,000 are looked at"), "{}", page(&cut));
    assert!(cut.json()["left_out"].as_str().unwrap().contains("not all") && cut.json()["offers"].is_array());
    let whole = OffersPage::new(&Query::default(), Vec::new());
    assert!(!page(&whole).contains("are looked at") && whole.json().get("left_out").is_none());
}

#[test]
fn a_page_is_small() {
    for (name, view) in full("primes") {
        let html = page(&*view);

        // With what it loads, a first load stays below 120 KB.
        assert!(html.len() < 53_000, "{name}: {} bytes", html.len());
    }
}

#[test]
fn what_runs_is_seen_as_it_uses_things_and_what_does_not_is_not_plotted() {
    let running = page(&task_page(task(2, "primes", TaskState::Running), None, ""));

    assert!(running.contains("data-usage=\"/tasks/task-3.2/usage.json\""), "{running}");
    assert!(running.contains("0.36 cpu"), "without JavaScript: {running}");
    assert!(running.contains("for 1.10 s, as it had used its cpus"), "{running}");
    let ended = page(&task_page(task(3, "primes", TaskState::Finished), None, ""));
    assert!(!ended.contains("data-usage"), "{ended}");
}

#[test]
fn an_agent_tells_its_versions_and_its_cache() {
    let html = page(&AgentPage::new(agent(1, "a", 0), Some(&about_agent("0.9")), Vec::new(), false, false));

    for told in ["0.9", "wasmtime 0.9", "1,200 artifacts, 3 GiB of 4 GiB", "1,200 fetched, 3 could not be had"] {
        assert!(html.contains(told), "{told}: {html}");
    }
}

#[test]
fn what_was_a_little_too_much_is_told_as_what_it_was_more() {
    let limit = |used: u64| {
        let mut task = task(4, "primes", TaskState::Failed);
        task.status.exceeded = Some(Exceeded { limit: 16 << 20, used });
        page(&task_page(task, None, ""))
    };

    assert!(limit((16 << 20) + 2048).contains("16 MiB were granted, and 2 KiB more were wanted when it acted"));
    assert!(limit(32 << 20).contains("16 MiB were granted, 32 MiB were wanted when it acted"));
}

#[test]
fn what_waits_links_to_its_why_and_is_not_red() {
    let html = page(&TasksPage::new(&Query::default(), tasks("primes"), (24, 24), MASTER.into()));

    assert!(html.contains("<a class=\"why\" href=\"/frameworks/framework-1#why\""), "{html}");
    assert!(html.contains("badge waiting") && !html.contains("failed\" title=\"STAGING"), "{html}");
}

#[test]
fn what_can_be_done_shows_the_command_that_does_the_same() {
    let html = page(&task_page(task(2, "primes", TaskState::Running), None, ""));
    assert!(html.contains("haggle kill task-3.2") && html.contains("action=\"/tasks/task-3.2/kill\""), "{html}");

    let ended = page(&task_page(task(3, "primes", TaskState::Finished), None, ""));
    assert!(!ended.contains("/kill\""), "{ended}");

    let bystander = AgentPage::new(agent(1, "a", 0), None, Vec::new(), false, false);
    assert!(!page(&bystander).contains("<form method=\"post\" action=\"/agents"), "it is not shown");
}

#[test]
fn an_empty_page_says_what_to_run() {
    for (name, view) in empty() {
        let html = page(&*view);

        assert!(html.contains("class=\"card empty\""), "{name}");
    }
    assert!(page(&*empty()[0].1).contains("haggle agent --master http://127.0.0.1:5050"));
}

#[test]
fn an_event_is_a_row() {
    let row = event_row("2026-11-29T12:00:00Z".into(), &Announcement::Task(task(4, "x", TaskState::Failed).status));
    assert!(row.contains("href=\"/tasks/task-2.4\"") && row.contains("badge failed"), "{row}");
    let row = event_row("2026-11-29T12:00:00Z".into(), &Announcement::AgentDown(AgentId(3)));
    assert!(row.contains("href=\"/agents/agent-3\"") && row.contains("agent down"), "{row}");
}

#[test]
fn a_thousand_agents_are_quickly_drawn() {
    let began = Instant::now();

    let html = page(&AgentsPage::new(&Query::default(), agents("node", 1000), MASTER.into()));

    assert!(html.contains("1 to 50 of 1,000 agents"));
    // Unoptimised and beside other tests; `haggle-bench pages` has the figure.
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}
