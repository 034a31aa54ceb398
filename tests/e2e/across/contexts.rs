//! The clusters that a user is logged in to.

use haggle_kit::Ran;
use serde_json::Value;

use super::{Machine, Master};

fn names(contexts: &[Value]) -> Vec<(&str, bool)> {
    contexts.iter().map(|one| (one["name"].as_str().unwrap(), one["current"].as_bool().unwrap())).collect()
}

#[tokio::test]
async fn commands_go_to_the_cluster_that_was_chosen_last() {
    let (one, two) = (Master::secure().await, Master::secure().await);
    let laptop = Machine::new();
    let by = |flags: &[&str]| {
        let who = laptop.haggle(&[&["whoami", "--json"], flags].concat()).json();
        (who[0]["name"].as_str().unwrap().to_owned(), who[0]["by"].as_str().unwrap().to_owned())
    };
    let seen = |name: &str, by: &str| (name.to_owned(), by.to_owned());

    for (master, name) in [(&one, "one"), (&two, "two")] {
        let token = laptop.keep(&master.token(&["--kind", "viewer", "--name", name]));
        laptop.haggle(&["login", &token, "--name", name]).well();
    }
    assert_eq!(names(&laptop.haggle(&["context", "ls", "--json"]).json()), [("one", false), ("two", true)]);
    assert_eq!(by(&[]), seen("two", "the current context two"));
    assert_eq!(by(&["--context", "one"]), seen("one", "the context one"));
    laptop.haggle(&["context", "use", "one"]).well();
    assert_eq!(by(&[]), seen("one", "the current context one"));

    let token = two.token(&["--kind", "operator", "--name", "ci"]);
    assert_eq!(by(&["--token", &laptop.keep(&token)]), seen("ci", "--token"));
    let mut command = laptop.command(&["whoami", "--json"]);
    let who: Ran = command.env("HAGGLE_TOKEN", &token).output().unwrap().into();
    assert_eq!(who.json()[0]["by"], "HAGGLE_TOKEN");

    laptop.haggle(&["context", "rm", "one"]).well();
    assert_eq!(names(&laptop.haggle(&["context", "ls", "--json"]).json()), [("two", false)]);
    let refused = laptop.haggle(&["context", "use", "one"]);
    refused.refused(&["there is no context \"one\"; there is two"]);
}

#[tokio::test]
async fn no_list_of_contexts_shows_a_token() {
    let master = Master::secure().await;
    let laptop = Machine::new();
    let token = master.token(&["--kind", "viewer"]);
    laptop.haggle(&["login", &laptop.keep(&token), "--name", "work"]).well();

    let shown = [laptop.haggle(&["context", "ls"]).well(), laptop.haggle(&["context", "ls", "--json"]).well()].concat();

    assert!(shown.contains("work") && shown.contains(&master.address), "{shown}");
    assert!(!shown.contains("hgl1."), "{shown}");
}

#[tokio::test]
async fn a_token_may_come_on_standard_input() {
    let master = Master::secure().await;
    let laptop = Machine::new();
    let token = master.token(&["--kind", "viewer", "--name", "piped"]);
    std::fs::write(laptop.path("piped"), format!("{token}\n")).unwrap();

    let mut command = laptop.command(&["login"]);
    let stdin = std::fs::File::open(laptop.path("piped")).unwrap();
    let ran: Ran = command.stdin(stdin).output().unwrap().into();

    assert!(ran.well().starts_with("Logged in as piped (viewer)"));
}
