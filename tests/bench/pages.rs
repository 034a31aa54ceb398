//! Pages of a master with 1,000 agents and 100,000 tasks: how long each takes, from the request to its last byte.

use std::fs;
use std::time::Instant;

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream};
use haggle_kit::Cluster;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Effort;
use crate::agents::{FLAGS, Simulated};
use crate::figure::{Figure, Goal};
use crate::held::Played;

const AGENTS: u64 = 1_000;
const TASKS: u64 = 100_000;

/// Every page, and each list with a filter that looks at everything, and at its end.
const PAGES: [&str; 15] = [
    "/",
    "/agents",
    "/agents?q=node-99&sort=cpu",
    "/roles",
    "/frameworks",
    "/offers",
    "/tasks",
    "/tasks?q=nothing",
    "/tasks?page=900",
    "/agents/agent-1",
    "/frameworks/framework-1",
    "/tasks/task-1.1",
    "/events",
    "/tokens",
    "/audit",
];

pub(crate) async fn measure(effort: Effort) -> anyhow::Result<Vec<Figure>> {
    let (agents, tasks) = (effort.of(AGENTS, 100), effort.of(TASKS, 2_000));
    let cluster = Cluster::start_with(&FLAGS, &[]).await;
    let _held = Played::register(&cluster, tasks).await?;
    let home = cluster.home();
    // Their keys are others than that of the one that holds the tasks.
    let joining = stream::iter(1..=agents).map(|number| Simulated::join(&home, &cluster.url, number, agents));
    let _agents: Vec<Simulated> = joining.buffer_unordered(50).try_collect().await?;
    cluster.registered(usize::try_from(agents + 1)?).await;
    let address = cluster.url.trim_start_matches("http://").to_owned();
    let shown = fs::read_to_string(home.owner_tokens().file(address.parse()?)).context("the owner's token is there")?;

    let mut figures = Vec::new();
    for page in PAGES {
        let mut took = Vec::new();
        for _ in 0..effort.of(15, 3) {
            took.push(read(&address, page, shown.trim()).await?);
        }
        let name = format!("page {page} with {agents} agents and {tasks} tasks");
        figures.push(Figure::new(name, "ms", Goal::Below(200.0), took));
    }
    Ok(figures)
}

/// Milliseconds for a whole page.
async fn read(address: &str, page: &str, token: &str) -> anyhow::Result<f64> {
    let began = Instant::now();
    let mut stream = TcpStream::connect(address).await?;
    let request = format!(
        "GET {page} HTTP/1.1\r\nhost: {address}\r\naccept: text/html\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    anyhow::ensure!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    Ok(began.elapsed().as_secs_f64() * 1000.0)
}
