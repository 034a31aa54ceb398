//! Whoever comes without a token, or with one that is not good any more, and what that somebody is told.

use haggle_kit::until;

use super::{Machine, Master};

#[tokio::test]
async fn another_user_of_the_same_machine_is_turned_away() {
    let master = Master::plain().await;
    let stranger = Machine::new();

    for command in [&["ps"][..], &["agents"], &["token", "create", "--kind", "operator"], &["kill", "task-1.1"]] {
        let refused = stranger.haggle(&[command, &["--master", &master.address]].concat());
        refused.refused(&["lets nobody in without a token", "you come by --master"]);
    }
    let mut agent = stranger.agent("a", &["--master", &master.address]);
    assert!(!agent.exited().await.success());
    assert!(agent.log().contains("lets nobody in without a token"), "{}", agent.log());
    master.haggle(&["ps"]).well();
}

#[tokio::test]
async fn a_master_elsewhere_is_not_spoken_to_without_a_token() {
    let machine = Machine::new();

    machine.haggle(&["ps", "--master", "192.0.2.1:5050"]).refused(&["without a token", "haggle token create"]);
    machine.haggle(&["run", "x.wat", "--master", "https://127.0.0.1:1"]).refused(&["x.wat"]);
    let mut agent = machine.agent("a", &["--master", "192.0.2.1:5050"]);
    assert!(!agent.exited().await.success());
    assert!(agent.log().contains("haggle agent --join TOKEN"), "{}", agent.log());
}

#[tokio::test]
async fn each_token_that_is_not_good_has_an_error_of_its_own() {
    let master = Master::secure().await;
    let laptop = Machine::new();
    let login = |token: &str| laptop.haggle(&["login", token]);
    let viewer = master.token(&["--kind", "viewer", "--name", "looker"]);

    login(&viewer[..viewer.len() - 6]).refused(&["TOKEN: the token is cut short"]);
    login(&viewer.replace("hgl1.", "hgl9.")).refused(&["later version"]);
    login("secret").refused(&["this is no token of Haggle"]);
    login(&master.token(&["--kind", "agent"])).refused(&["lets an agent join", "haggle agent --join"]);

    master.haggle(&["token", "revoke", &master.id_of("looker")]).well();
    login(&viewer).refused(&["was revoked"]);

    let brief = master.token(&["--kind", "viewer", "--ttl", "1s"]);
    until("the token has expired", async || login(&brief).stderr.contains("expired").then_some(())).await;
    login(&brief).refused(&["expired"]);
}

#[tokio::test]
async fn a_token_of_another_cluster_meets_another_authority_and_is_not_shown_to_it() {
    let (one, other) = (Master::secure().await, Master::secure().await);
    let machine = Machine::new();

    let token = machine.keep(&one.token(&["--kind", "operator"]));
    let join = Machine::new();
    let token_of_agent = join.keep(&one.token(&["--kind", "agent"]));

    let words = ["of another authority: wanted ", "met ", "haggle token create"];
    machine.haggle(&["ps", "--token", &token, "--master", &other.address]).refused(&words);
    let mut agent = join.agent("a", &["--join", &token_of_agent, "--master", &other.address]);
    assert!(!agent.exited().await.success());
    let log = agent.log();
    assert!(words.iter().all(|&word| log.contains(word)), "{log}");
    assert!(!other.daemon.log().contains("no token"), "nobody has shown one there");
}

#[tokio::test]
async fn who_may_look_may_not_change_anything_and_is_told_what_it_lacks() {
    let master = Master::secure().await;
    let token = master.token(&["--kind", "viewer", "--name", "looker"]);
    let laptop = Machine::new();
    laptop.haggle(&["login", &laptop.keep(&token)]).well();

    laptop.haggle(&["ps"]).well();
    let refused = laptop.haggle(&["token", "create", "--kind", "operator"]);

    refused.refused(&["\"looker\" (viewer) may not", "you come by the current context"]);
}

#[tokio::test]
async fn a_token_that_is_revoked_cuts_off_who_came_by_it() {
    let master = Master::secure().await;
    let token = master.token(&["--kind", "viewer", "--name", "looker"]);
    let (laptop, other) = (Machine::new(), Machine::new());
    laptop.haggle(&["login", &laptop.keep(&token)]).well();
    let mut watching = laptop.spawn("watch", &["watch"]);
    let join = other.keep(&master.token(&["--kind", "agent"]));
    // Agents come and go until it has seen one, and so is known to watch.
    until("it watches", async || {
        let mut agent = other.agent("a", &["--join", &join]);
        master.has_agents(1).await;
        agent.kill();
        master.has_agents(0).await;
        (!watching.log().is_empty()).then_some(())
    })
    .await;

    master.haggle(&["token", "revoke", &master.id_of("looker")]).well();

    assert!(!watching.exited().await.success());
    assert!(watching.log().contains("revoked"), "{}", watching.log());
}
