//! The way from one machine to three.

use std::fs;
use std::path::PathBuf;

use haggle_kit::{until, wasm};
use haggle_tls::Token;

use super::{Machine, Master, mode};

#[tokio::test]
async fn a_machine_joins_by_a_token_and_a_laptop_logs_in_and_runs_a_task_there() {
    let master = Master::secure().await;
    let (other, laptop) = (Machine::new(), Machine::new());

    let join = other.keep(&master.token(&["--kind", "agent"]));
    let _agent = other.agent("a", &["--join", &join, "--log-level", "trace"]);
    let login = laptop.keep(&master.token(&["--kind", "operator", "--name", "me"]));
    let logged_in = laptop.haggle(&["login", &login]).well();
    master.has_agents(1).await;

    assert!(logged_in.starts_with("Logged in as me (operator)"), "{logged_in}");
    let run = laptop.haggle(&["run", &wasm("hello").display().to_string()]);
    assert_eq!(run.stdout, "hello, world\n", "{run:?}");
    assert!(run.stderr.contains("on the cluster of the current context"), "{run:?}");
    let who = laptop.haggle(&["whoami"]).well();
    assert!(who.contains("me (operator)") && who.contains("https://127.0.0.2:"), "{who}");
    assert_eq!(master.haggle(&["whoami"]).well().lines().next(), Some("owner (owner)"));
}

#[tokio::test]
async fn the_master_and_the_agent_may_restart_and_know_each_other_again_without_a_token() {
    let mut master = Master::secure().await;
    let other = Machine::new();
    let join = other.keep(&master.token(&["--kind", "agent"]));
    let mut agent = other.agent("a", &["--join", &join]);
    master.has_agents(1).await;
    let id = || master.haggle(&["agents", "--json"]).json()[0]["id"].clone();
    let first = id();

    agent.kill();
    master.has_agents(0).await;
    let mut agent = other.agent("a", &[]);
    master.has_agents(1).await;
    assert_eq!(id(), first, "it comes back as the same");
    master.restart().await;
    master.has_agents(1).await;

    // The token was good for one agent. This one does not need it any more, and says so.
    agent.kill();
    let agent = other.agent("a", &["--join", &join]);
    master.has_agents(1).await;
    assert!(agent.log().contains("has joined that cluster already"), "{}", agent.log());
}

/// On Windows they are as private as the user's folders, which those are in.
#[tokio::test]
async fn files_with_secrets_have_modes_by_which_only_their_user_reads_them() {
    let master = Master::secure().await;
    let (other, laptop) = (Machine::new(), Machine::new());
    let _agent = other.agent("a", &["--join", &other.keep(&master.token(&["--kind", "agent"]))]);
    laptop.haggle(&["login", &laptop.keep(&master.token(&["--kind", "viewer"]))]).well();
    master.has_agents(1).await;

    let owner = owner_token(&master);
    let contexts = laptop.home().config().join("haggle/contexts.toml");
    let pki = other.path("a").join("pki");
    assert_eq!((mode(&owner), mode(owner.parent().unwrap())), (0o600, 0o700));
    assert_eq!((mode(&contexts), mode(contexts.parent().unwrap())), (0o600, 0o700));
    assert_eq!((mode(&pki), mode(&pki.join("agent.pem"))), (0o700, 0o600));
    assert_eq!(mode(&master.machine.path("state").join("pki")), 0o700);
    for file in fs::read_dir(master.machine.path("state").join("pki")).unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
}

#[tokio::test]
async fn no_secret_is_in_a_log() {
    let master = Master::secure().await;
    let (other, laptop) = (Machine::new(), Machine::new());
    let tokens = [master.token(&["--kind", "agent"]), master.token(&["--kind", "viewer", "--name", "looker"])];
    let mut agent = other.agent("a", &["--join", &other.keep(&tokens[0]), "--log-level", "trace"]);
    laptop.haggle(&["login", &laptop.keep(&tokens[1])]).well();
    laptop.haggle(&["agents"]).well();
    master.has_agents(1).await;

    agent.terminate();
    agent.exited().await;

    let logs = [master.daemon.log(), agent.log()].concat();
    for text in tokens.iter().chain([&fs::read_to_string(owner_token(&master)).unwrap()]) {
        let shown = text.parse::<Token>().unwrap().bearer().authorization().to_string();
        let secret = shown.rsplit('.').next().unwrap();
        assert!(!logs.contains(text.trim()) && !logs.contains(secret), "a secret is in a log");
    }
}

#[tokio::test]
async fn the_user_of_a_master_in_tls_is_told_that_it_is() {
    let master = Master::secure().await;

    let who = master.haggle(&["whoami", "--json"]).json().remove(0);

    assert_eq!(who["master"], format!("https://{}", master.address));
}

#[tokio::test]
async fn an_agent_waits_for_a_master_that_is_away_and_joins_then() {
    let mut master = Master::secure().await;
    let other = Machine::new();
    let join = other.keep(&master.token(&["--kind", "agent"]));
    master.daemon.kill();

    let agent = other.agent("a", &["--join", &join]);
    until("the agent has tried", async || agent.log().contains("no session with the master").then_some(())).await;
    master.restart().await;

    master.has_agents(1).await;
}

/// Where a master has left the token of its user.
fn owner_token(master: &Master) -> PathBuf {
    master.machine.home().owner_tokens().file(master.address.parse().unwrap())
}
