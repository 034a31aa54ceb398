//! The documentation's way from one machine to three, as it is printed there.

use haggle_kit::{until, wasm};

use crate::net::Net;
use crate::scene::printed;

/// What stands there in place of a token.
const TOKEN: &str = "hgl1.…";

#[tokio::test]
async fn the_way_to_three_machines_works_as_it_is_printed() {
    let Some(mut net) = Net::new() else { return };
    let [host1, host2, you] =
        [("host1", "10.83.0.1"), ("host2", "10.83.0.2"), ("you", "10.83.0.3")].map(|(name, at)| net.host(name, at));
    you.bring(&wasm("hello"));
    let tour = tour();
    let [(on1, master), (on2, agent), (on3, login), (on4, run)] = &tour[..] else { panic!("four lines: {tour:?}") };
    assert_eq!([on1, on2, on3, on4], ["host1", "host2", "you", "you"]);

    let master = host1.start(&words(master));
    let agent = with_token(agent, &printed(&master, "haggle agent --join").await);
    let agent = host2.start(&words(&agent));
    let login = with_token(login, &printed(&master, "haggle login").await);
    let login = you.haggle(&words(&login)).well();
    assert!(login.starts_with("Logged in as"), "{login}");
    until("the agent is connected", async || {
        let agents = you.haggle(&["agents", "--json"]).json();
        agents.iter().any(|agent| agent["connected"] == true).then_some(())
    })
    .await;
    let ran = you.haggle(&words(run));

    assert_eq!(ran.stdout, "hello, world\n", "{ran:?}\n{}\n{}", master.log(), agent.log());
    assert!(ran.stderr.contains("on the cluster of the current context"), "{ran:?}");
}

/// The lines of the tour: where each is typed, and what.
fn tour() -> Vec<(String, String)> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/CLUSTER.md")).unwrap();
    let (_, chapter) = page.split_once("\n## Three machines\n").expect("it has that chapter");
    let block = chapter.split("```").nth(1).expect("it has a block of commands");
    let lines = block.lines().filter_map(|line| line.split_once('$'));
    lines.map(|(host, line)| (host.to_owned(), line.trim().to_owned())).collect()
}

/// The words behind `haggle`.
fn words(line: &str) -> Vec<&str> {
    line.strip_prefix("haggle ").expect("a line of the tour starts with haggle").split_whitespace().collect()
}

fn with_token(line: &str, token: &str) -> String {
    assert!(line.contains(TOKEN), "{line}");
    line.replace(TOKEN, token)
}
