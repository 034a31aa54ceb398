//! Pages of a master with 1,000 agents and 100,000 tasks: how long each takes, from the request to its last byte.

use std::fs;
use std::time::Instant;

use anyhow::Context;
use haggle_kit::Crowd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Effort;
use crate::figure::{Figure, Goal};

const AGENTS: u64 = 1_000;
const TASKS: u64 = 100_000;

/// Every page; each list with a filter that looks at everything, and at its end; and as data.
const PAGES: [&str; 24] = [
    "/",
    "/agents",
    "/agents?q=node-99&sort=cpu",
    "/agents?page=20",
    "/agents/agent-1",
    "/agents/agent-2",
    "/roles",
    "/frameworks",
    "/frameworks/framework-1",
    "/offers",
    "/offers?page=20",
    "/tasks",
    "/tasks?q=nothing-is-called-so",
    "/tasks?state=failed",
    "/tasks?role=eng&state=running&q=frames",
    "/tasks?agent=agent-2",
    "/tasks?page=1000",
    "/tasks?page=2000",
    "/tasks/task-1.1",
    "/events",
    "/tokens",
    "/audit",
    "/index.json",
    "/tasks.json?page=1000",
];

pub(crate) async fn measure(effort: Effort) -> anyhow::Result<Vec<Figure>> {
    let (agents, tasks) = (effort.of(AGENTS, 100), effort.of(TASKS, 2_000));
    let Crowd { cluster, .. } = &Crowd::start(agents, tasks).await?;
    let address = cluster.url.trim_start_matches("http://").to_owned();
    let owner = cluster.home().owner_tokens().file(address.parse()?);
    let owner = fs::read_to_string(owner).context("the owner's token is there")?;
    let viewer = cluster.haggle(&["token", "create", "--kind", "viewer", "--role", "eng/live"]).await;
    let viewer = String::from_utf8(viewer.stdout)?;

    let mut figures = Vec::new();
    let asked = PAGES.map(|page| (page, "", &owner)).into_iter();
    for (page, whose, token) in asked.chain(["/", "/tasks"].map(|page| (page, ", to a viewer of one role", &viewer))) {
        let mut took = Vec::new();
        for _ in 0..effort.of(15, 3) {
            took.push(read(&address, page, token.trim()).await?);
        }
        let name = format!("page {page} with {agents} agents and {tasks} tasks{whose}");
        figures.push(Figure::new(name, "ms", Goal::AllBelow(200.0), took));
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
