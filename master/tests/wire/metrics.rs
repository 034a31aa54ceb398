//! `GET /metrics`, as Prometheus and curl read it.

use haggle_master::{Config, Master};
use haggle_proto::v1;
use haggle_proto::v1::agent_report::Report;
use haggle_proto::v1::{AgentCounters, PrincipalKind, TaskState};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::access::{create, wanted};
use crate::peers::{Agent, Framework, loopback, operator, owner, spec};

/// What is answered to a request in HTTP/1.1, with these further lines.
pub(crate) async fn ask(master: &Master, method: &str, path: &str, lines: &[String]) -> String {
    let mut stream = TcpStream::connect(master.addr()).await.unwrap();
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let request = format!("{method} {path} HTTP/1.1\r\nhost: master\r\nconnection: close\r\n{lines}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn scrape(master: &Master, bearer: &str) -> String {
    ask(master, "GET", "/metrics", &[format!("authorization: {bearer}")]).await
}

pub(crate) fn owners(master: &Master) -> String {
    owner(master).0.unwrap()
}

/// The value of a metric, by its name and labels.
fn value(answer: &str, metric: &str) -> Option<f64> {
    let line = answer.lines().find_map(|line| line.strip_prefix(metric)?.strip_prefix(' '));
    line.map(|value| value.parse().unwrap())
}

#[tokio::test]
async fn the_owner_reads_what_happened_in_the_cluster() {
    let master = Master::start(Config::new(loopback())).await.unwrap();
    let mut agent = Agent::register(&master, None).await;
    let mut framework = Framework::subscribe(&master, None).await;
    let offer = framework.offer().await;
    framework.accept(&offer, vec![spec(framework.id, 1)]).await;
    let task = agent.launched().await;
    agent.update(&task, 1, TaskState::Running).await;
    framework.update().await;

    let answer = scrape(&master, &owners(&master)).await;

    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("application/openmetrics-text"), "{answer}");
    for (metric, expected) in [
        (r#"haggle_agents{state="active"}"#, 1.0),
        (r#"haggle_frameworks{state="connected"}"#, 1.0),
        (r#"haggle_tasks{state="RUNNING"}"#, 1.0),
        (r#"haggle_offers_ended_total{end="accepted"}"#, 1.0),
        ("haggle_tasks_launched_total", 1.0),
        (r#"haggle_commands_total{kind="launch"}"#, 1.0),
        (r#"haggle_commands_total{kind="status_update"}"#, 1.0),
        (r#"haggle_commands_total{kind="kill"}"#, 0.0),
        (r#"haggle_commands_refused_total{kind="launch"}"#, 0.0),
        ("haggle_task_start_seconds_count", 1.0),
        (r#"haggle_task_start_seconds_bucket{le="+Inf"}"#, 1.0),
        (r#"haggle_limit{limit="log-reads"}"#, 128.0),
        (r#"haggle_role_weight{role="default"}"#, 1.0),
        (r#"haggle_role_volumes{role="default"}"#, 0.0),
        (r#"haggle_inbox_messages{peer="framework"}"#, 0.0),
        (r#"haggle_outbox_bytes{peer="agent"}"#, 0.0),
        (r#"haggle_outbox_longest_bytes{peer="framework"}"#, 0.0),
        ("haggle_outbox_limit_bytes", f64::from(64 << 20)),
    ] {
        assert_eq!(value(&answer, metric), Some(expected), "{metric}: {answer}");
    }
    for timed in ["haggle_allocation_seconds_count", "haggle_allocation_wait_seconds_count"] {
        assert!(value(&answer, timed).unwrap() > 0.0, "{timed}");
    }
    assert!(answer.trim_end().ends_with("# EOF"), "{answer}");
    let document = include_str!("../../../docs/METRICS.md");
    let families = answer.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    for family in families {
        assert!(document.contains(&format!("`{family}")), "docs/METRICS.md does not tell of {family}");
    }
}

#[tokio::test]
async fn what_is_reserved_for_a_role_and_its_volumes_count_for_the_roles_above_it() {
    let master = Master::start(Config::new(loopback())).await.unwrap();
    let of = |milli_cpus, mib: u64| v1::Resources {
        milli_cpus,
        mem_bytes: 32 << 20,
        disk_bytes: mib << 20,
        ..Default::default()
    };
    let agent = Agent::register_with(&master, None, of(2_000, 64)).await;
    let mut operator = operator(&master).await;
    let reserve = v1::Reserve { role: "eng/batch".to_owned(), within: String::new(), resources: Some(of(1_500, 16)) };
    let reserve = v1::ReserveRequest { agent: agent.id, reserve: Some(reserve), request: Vec::new() };
    operator.reserve(reserve).await.unwrap();
    for (name, mib) in [("one", 5), ("other", 2)] {
        let volume = v1::CreateVolume { role: "eng/batch".to_owned(), name: name.to_owned(), size_bytes: mib << 20 };
        let volume = v1::CreateVolumeRequest { agent: agent.id, volume: Some(volume), request: Vec::new() };
        operator.create_volume(volume).await.unwrap();
    }

    let answer = scrape(&master, &owners(&master)).await;

    for role in ["eng", "eng/batch"] {
        for (metric, expected) in [
            ("haggle_role_reserved_cpus", 1.5),
            ("haggle_role_reserved_memory_bytes", f64::from(32 << 20)),
            ("haggle_role_reserved_disk_bytes", f64::from(16 << 20)),
            ("haggle_role_volumes", 2.0),
            ("haggle_role_volume_bytes", f64::from(7 << 20)),
        ] {
            let metric = format!("{metric}{{role={role:?}}}");
            assert_eq!(value(&answer, &metric), Some(expected), "{metric}: {answer}");
        }
    }
}

#[tokio::test]
async fn what_an_agent_counts_is_read_at_its_master_and_ends_with_its_connection() {
    let master = Master::start(Config::new(loopback())).await.unwrap();
    let agent = Agent::register(&master, None).await;
    let news =
        |artifacts_fetched, executors| AgentCounters { artifacts_fetched, executors, ..AgentCounters::default() };
    agent.say(Report::Counters(news(3, 2))).await;
    agent.say(Report::Counters(news(4, 1))).await;
    let fetched = format!(r#"haggle_agent_artifacts_needed_total{{agent="agent-{}",result="fetched"}}"#, agent.id);
    let executors = format!(r#"haggle_agent_executors{{agent="agent-{}"}}"#, agent.id);

    let answer = loop {
        let answer = scrape(&master, &owners(&master)).await;
        if value(&answer, &fetched) == Some(7.0) {
            break answer;
        }
    };

    assert_eq!(value(&answer, &executors), Some(1.0), "{answer}");
    drop(agent);
    while scrape(&master, &owners(&master)).await.contains("haggle_agent_executors{") {}
}

#[tokio::test]
async fn whoever_sees_some_roles_alone_reads_of_those_alone() {
    let master = Master::start(Config::new(loopback())).await.unwrap();
    let _framework = Framework::subscribe(&master, None).await;
    let viewer = |roles: &'static [&'static str]| create(&master, wanted(PrincipalKind::Viewer, "", roles));

    let some = scrape(&master, &format!("Bearer {}", viewer(&["eng"]).await.text)).await;
    let all = scrape(&master, &format!("Bearer {}", viewer(&["*"]).await.text)).await;

    assert!(some.starts_with("HTTP/1.1 200") && all.starts_with("HTTP/1.1 200"), "{some}{all}");
    assert!(!some.contains("role=\"default\"") && !some.contains("haggle_agents"), "{some}");
    assert!(all.contains("role=\"default\"") && all.contains("haggle_agents"), "{all}");
}

#[tokio::test]
async fn of_more_than_a_thousand_roles_the_first_are_told_and_that_there_are_more() {
    let master = Master::start(Config::new(loopback())).await.unwrap();
    let mut operator = operator(&master).await;
    let mut roles = (0..).map(|at| format!("role-{at:04}"));
    let mut scrape_with = async |more: usize| {
        for role in roles.by_ref().take(more) {
            operator.set_weight(v1::SetWeightRequest { role, weight: Some(2), request: Vec::new() }).await.unwrap();
        }
        let answer = scrape(&master, &owners(&master)).await;
        let told = answer.lines().filter(|line| line.starts_with("haggle_role_weight{")).count();
        (told, value(&answer, "haggle_roles_left_out"), answer.contains("role-0999"), answer.contains("role-1000"))
    };

    assert_eq!(scrape_with(1_000).await, (1_000, Some(0.0), true, false));
    assert_eq!(scrape_with(1).await, (1_000, Some(1.0), true, false));
}

#[tokio::test]
async fn whoever_may_not_is_told_so_in_the_words_of_http() {
    let master = Master::start(Config::new(loopback())).await.unwrap();
    let framework = create(&master, wanted(PrincipalKind::Framework, "", &[])).await.text;

    let nobody = ask(&master, "GET", "/metrics", &[]).await;
    let denied = scrape(&master, &format!("Bearer {framework}")).await;
    let posted = ask(&master, "POST", "/metrics", &[format!("authorization: {}", owners(&master))]).await;

    assert!(nobody.starts_with("HTTP/1.1 401") && nobody.contains("www-authenticate: Bearer"), "{nobody}");
    assert!(denied.starts_with("HTTP/1.1 403") && denied.contains("read metrics"), "{denied}");
    assert!(posted.starts_with("HTTP/1.1 405") && posted.contains("allow: GET"), "{posted}");
}
