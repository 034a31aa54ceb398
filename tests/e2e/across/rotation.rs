//! The authority of a cluster changes under everybody who knows it.

use haggle_kit::{until, wasm};
use serde_json::Value;

use super::{Machine, Master};

fn fingerprint(authority: &Value) -> String {
    authority["fingerprint"].as_str().expect("it has one").to_owned()
}

/// What is asked of a master about its authority.
trait Changing {
    fn ca(&self, flags: &[&str]) -> Value;

    /// Revokes the tokens that a master prints at its first start, and that nobody uses here.
    fn revoke_the_first_tokens(&self);

    /// Waits until no agent holds a certificate of the former authority.
    async fn agents_have_followed(&self);
}

impl Changing for Master {
    fn ca(&self, flags: &[&str]) -> Value {
        self.haggle(&[&["ca"], flags, &["--json"]].concat()).json().remove(0)
    }

    fn revoke_the_first_tokens(&self) {
        for token in self.haggle(&["token", "ls", "--json"]).json() {
            if token["made_by"] == "owner" && token["name"] == token["id"] {
                self.haggle(&["token", "revoke", token["id"].as_str().unwrap()]).well();
            }
        }
    }

    async fn agents_have_followed(&self) {
        until("the agents have followed", async || {
            let info = self.ca(&["show"]);
            (info["agents_connected"] == 0 && info["agents_away"] == 0).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn agents_and_contexts_follow_a_new_authority_and_the_old_one_can_be_ended() {
    let mut master = Master::secure().await;
    let (other, laptop) = (Machine::new(), Machine::new());
    let mut agent = other.agent("a", &["--join", &other.keep(&master.token(&["--kind", "agent"]))]);
    let login = master.token(&["--kind", "operator", "--name", "me"]);
    laptop.haggle(&["login", &laptop.keep(&login), "--name", "work"]).well();
    master.has_agents(1).await;
    master.revoke_the_first_tokens();
    let first = fingerprint(&master.ca(&["show"])["current"]);

    let rotated = master.ca(&["rotate"]);

    assert_eq!(fingerprint(&rotated["former"]), first);
    let second = fingerprint(&rotated["current"]);
    assert_ne!(second, first);
    master.haggle(&["ca", "rotate"]).refused(&["is changing already", "haggle ca rotate --finish"]);
    // The token of the context names the first still, and so does the agent's certificate.
    master.haggle(&["ca", "rotate", "--finish"]).refused(&["is still needed", "1 tokens name it"]);
    let named = |token: &Value| token["authority"] == first.as_str();
    assert_eq!(master.haggle(&["token", "ls", "--json"]).json().iter().filter(|token| named(token)).count(), 1);
    let old_token = laptop.haggle(&["ps", "--token", &laptop.keep(&login)]);
    assert!(old_token.stderr.contains("names the one before"), "{old_token:?}");

    // Both follow, the one by itself and the other with its next command.
    laptop.haggle(&["ps"]).well();
    master.agents_have_followed().await;
    assert_eq!(master.ca(&["show"])["tokens"], 0);
    // With new state of nobody's: also over a restart.
    master.restart().await;
    master.has_agents(1).await;
    assert_eq!(fingerprint(&master.ca(&["show"])["current"]), second);
    master.agents_have_followed().await;

    let finished = master.ca(&["rotate", "--finish"]);

    assert_eq!((fingerprint(&finished["current"]), &finished["former"]), (second, &Value::Null));
    laptop.haggle(&["ps"]).well();
    let run = laptop.haggle(&["run", &wasm("hello").display().to_string()]);
    assert_eq!(run.stdout, "hello, world\n", "{run:?}");
    laptop.haggle(&["ps", "--token", &laptop.keep(&login)]).refused(&["of another authority"]);
    agent.kill();
    master.has_agents(0).await;
    let _agent = other.agent("a", &[]);
    master.has_agents(1).await;
    master.haggle(&["ca", "rotate", "--finish"]).refused(&["`haggle ca rotate` comes first"]);
}

#[tokio::test]
async fn who_is_cut_off_by_force_is_told_and_comes_back_with_a_new_token() {
    let master = Master::secure().await;
    let other = Machine::new();
    let mut agent = other.agent("a", &["--join", &other.keep(&master.token(&["--kind", "agent"]))]);
    master.has_agents(1).await;

    master.ca(&["rotate"]);
    master.haggle(&["ca", "rotate", "--finish"]).refused(&["1 connected agents hold certificates of it", "--force"]);
    master.ca(&["rotate", "--finish", "--force"]);

    assert!(!agent.exited().await.success());
    assert!(agent.log().contains("joins anew") || agent.log().contains("join anew"), "{}", agent.log());
    let mut refused = other.agent("a", &[]);
    assert!(!refused.exited().await.success());
    assert!(refused.log().contains("of another authority"), "{}", refused.log());
    let _agent = other.agent("a", &["--join", &other.keep(&master.token(&["--kind", "agent"]))]);
    master.has_agents(1).await;
}

#[tokio::test]
async fn only_an_operator_sees_or_changes_the_authority() {
    let (master, laptop) = (Master::secure().await, Machine::new());
    laptop.haggle(&["login", &laptop.keep(&master.token(&["--kind", "viewer", "--name", "looker"]))]).well();

    for command in [&["ca", "show"][..], &["ca", "rotate"], &["ca", "rotate", "--finish", "--force"]] {
        laptop.haggle(command).refused(&["\"looker\" (viewer) may not"]);
    }
    let plain = Master::plain().await;
    plain.haggle(&["ca", "show"]).refused(&["speaks plain text, and has no authority"]);
}
