//! The runner and its sessions, over the wire.

use std::time::Duration;

use haggle_sdk::{
    AgentId, Client, Digest, FrameworkCommand, Outcome, Progress, Question, Report, RunError, Runner, Task, TaskState,
    Want,
};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::Status;

use crate::played::{Played, Session, resources};

fn task(cpus: &str) -> Task {
    Task::new(Digest([1; 32])).name("t").cpus(cpus)
}

async fn runner(played: &Played) -> Runner {
    Runner::new(&Client::connect(&played.url()).await.unwrap())
}

/// Starts a run, and takes its subscription.
async fn begun(played: &mut Played, tasks: Vec<Task>) -> (JoinHandle<Result<Report, RunError>>, Session) {
    let runner = runner(played).await;
    let running = tokio::spawn(runner.retries(1).run(tasks, |_| {}));
    let mut session = played.session().await;
    session.welcome().await;
    (running, session)
}

/// Sees a framework off.
async fn farewell(mut session: Session) {
    while session.hear_deed().await != FrameworkCommand::Teardown {}
}

fn states(outcomes: &[Outcome]) -> Vec<Option<TaskState>> {
    outcomes.iter().map(|outcome| outcome.status.as_ref().map(|status| status.state)).collect()
}

#[tokio::test]
async fn a_list_of_tasks_is_driven_to_its_end() {
    let mut played = Played::with_agent().await;
    let (running, mut session) = begun(&mut played, vec![task("1"); 3]).await;

    session.offer(1, 2000).await;
    let FrameworkCommand::Accept { tasks, .. } = session.hear_deed().await else { panic!("wanted an accept") };
    let env: Vec<_> = tasks.iter().map(|task| task.env.clone()).collect();
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(env[1], [variable("HAGGLE_TASK_INDEX", "1"), variable("HAGGLE_TASK_COUNT", "3")]);
    for task in &tasks {
        session.update(task.id, TaskState::Finished).await;
    }
    session.offer(2, 2000).await;
    let last = session.launched().await;
    session.update(last[0], TaskState::Finished).await;
    farewell(session).await;

    let report = running.await.unwrap().unwrap();
    assert!(report.all_finished() && !report.cancelled);
    assert_eq!(report.outcomes.iter().map(|outcome| outcome.index).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(report.outcomes[0].agent_name.as_deref(), Some("a1"));
}

#[tokio::test]
async fn a_runner_and_a_session_have_fetched_what_is_elsewhere() {
    let mut played = Played::with_agent().await;
    played.stage.elsewhere.lock().unwrap().insert("s3://b/app.wasm".to_owned(), b"module".to_vec());
    let task = Task::from_source("s3://b/app.wasm").cpus("1");
    let (running, mut session) = begun(&mut played, vec![task.clone(); 2]).await;
    session.offer(1, 2000).await;
    let FrameworkCommand::Accept { tasks, .. } = session.hear_deed().await else { panic!("wanted an accept") };
    for task in &tasks {
        session.update(task.id, TaskState::Finished).await;
    }
    farewell(session).await;
    assert!(running.await.unwrap().unwrap().all_finished());
    let digest = Client::connect(&played.url()).await.unwrap().upload_bytes("module").await.unwrap();
    assert!(tasks.iter().all(|task| task.module == digest), "{tasks:?}");
    assert_eq!(played.stage.pulls.lock().unwrap().len(), 1);

    let driven = runner(&played).await.start();
    let (driven, mut session) = tokio::join!(driven, async {
        let mut session = played.session().await;
        session.welcome().await;
        session
    });
    let driven = driven.unwrap();
    let handle = driven.submit(task).await.unwrap();
    let missing = driven.submit(Task::from_source("s3://b/none.wasm")).await.unwrap_err();

    session.offer(1, 2000).await;
    let launched = session.launched().await;
    session.update(launched[0], TaskState::Finished).await;
    assert_eq!(handle.ended().await.unwrap().state, TaskState::Finished);
    assert_eq!(missing.to_string(), "s3://b/none.wasm: nothing is there");
    assert_eq!(played.stage.pulls.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn the_tasks_of_a_gang_are_launched_by_one_call_and_know_how_many_they_are() {
    let mut played = Played::with_agent().await;
    let runner = runner(&played).await;
    let running = tokio::spawn(runner.gang().run(vec![task("1"); 2], |_| {}));
    let mut session = played.session().await;
    session.welcome().await;

    session.offer(1, 2000).await;
    let FrameworkCommand::LaunchGroup { tasks, .. } = session.hear_deed().await else { panic!("wanted a group") };
    let env: Vec<_> = tasks.iter().map(|placed| placed.task.env.clone()).collect();
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let index = |index| variable("HAGGLE_TASK_INDEX", index);
    let sizes = || [variable("HAGGLE_TASK_COUNT", "2"), variable("HAGGLE_GANG_SIZE", "2")];
    assert_eq!(env, [[&[index("0")][..], &sizes()].concat(), [&[index("1")][..], &sizes()].concat()]);
    for placed in &tasks {
        session.update(placed.task.id, TaskState::Finished).await;
    }
    farewell(session).await;

    assert!(running.await.unwrap().unwrap().all_finished());
}

#[tokio::test]
async fn a_lost_task_is_launched_again_over_the_wire() {
    let mut played = Played::with_agent().await;
    let (running, mut session) = begun(&mut played, vec![task("1")]).await;

    session.offer(1, 1000).await;
    let first = session.launched().await;
    session.update(first[0], TaskState::Lost).await;
    session.offer(2, 1000).await;
    let second = session.launched().await;
    session.update(second[0], TaskState::Finished).await;
    farewell(session).await;

    assert_ne!(first, second);
    let report = running.await.unwrap().unwrap();
    assert_eq!((states(&report.outcomes), report.outcomes[0].attempts), (vec![Some(TaskState::Finished)], 2));
}

#[tokio::test]
async fn a_task_too_big_for_every_agent_is_refused_before_anybody_subscribes() {
    let played = Played::with_agent().await;

    let error = runner(&played).await.run(vec![task("1"), task("64")], |_| {}).await.unwrap_err();

    assert!(matches!(error, RunError::TooBig(_)));
    assert!(error.to_string().contains("the largest, a1, has 4.000 cpu"), "{error}");
}

#[tokio::test]
async fn a_wrong_task_is_refused_before_the_master_is_asked() {
    let played = Played::with_agent().await;

    let error = runner(&played).await.run(vec![task("0")], |_| {}).await.unwrap_err();

    assert!(matches!(error, RunError::BadTask(_)), "{error}");
}

#[tokio::test]
async fn a_stopped_run_kills_what_runs_and_drops_what_waits() {
    let mut played = Played::with_agent().await;
    let runner = runner(&played).await;
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async { drop(stopped.await) };
    let running = tokio::spawn(runner.run_until(vec![task("1"); 2], stopped, |_| {}));
    let mut session = played.session().await;
    session.welcome().await;
    session.offer(1, 1000).await;
    let launched = session.launched().await;

    stop.send(()).unwrap();
    assert_eq!(session.hear_deed().await, FrameworkCommand::Kill(launched[0]));
    session.update(launched[0], TaskState::Killed).await;
    farewell(session).await;

    let report = running.await.unwrap().unwrap();
    assert!(report.cancelled);
    assert_eq!(states(&report.outcomes), [Some(TaskState::Killed), None]);
}

#[tokio::test]
async fn a_stopped_run_does_not_wait_for_ever() {
    let mut played = Played::with_agent().await;
    let runner = runner(&played).await.grace(Duration::from_millis(20));
    let running = tokio::spawn(runner.run_until(vec![task("1")], async {}, |_| {}));
    let mut session = played.session().await;
    session.welcome().await;
    farewell(session).await;

    let report = running.await.unwrap().unwrap();

    assert!(report.cancelled);
    assert_eq!(states(&report.outcomes), [None]);
}

#[tokio::test]
async fn a_run_outlives_a_failover_of_the_master() {
    let mut played = Played::with_agent().await;
    let (running, mut session) = begun(&mut played, vec![task("1")]).await;
    session.offer(1, 1000).await;
    let launched = session.launched().await;

    session.fail(Status::unavailable("the master is stopping")).await;
    let (address, stage) = played.stop().await;
    let mut played = Played::start_at(address, stage).await;
    let mut session = played.session().await;
    session.welcome_by(2, 0).await;
    assert_eq!(session.hear_deed().await, FrameworkCommand::Reconcile(Vec::new()));
    assert_eq!(
        session.hear_deed().await,
        FrameworkCommand::Reconcile(vec![Question { task: launched[0], agent: Some(AgentId(1)) }])
    );
    session.update(launched[0], TaskState::Finished).await;
    farewell(session).await;

    assert!(running.await.unwrap().unwrap().all_finished());
}

/// Room for so many of these tasks, of which none is to be kept at hand.
fn demand(task: &Task, waiting: u32) -> FrameworkCommand {
    let want = Want {
        resources: task.wants().clone(),
        constraints: Vec::new(),
        volumes: Vec::new(),
        waiting,
        spare: 0,
        gang: 0,
    };
    FrameworkCommand::Demand { role: None, wants: vec![want] }
}

#[tokio::test]
async fn a_run_says_together_with_each_subscription_what_it_wants() {
    let mut played = Played::with_agent().await;
    let (running, mut session) = begun(&mut played, vec![task("1"); 3]).await;
    assert_eq!(session.hear().await, demand(&task("1"), 3));

    session.fail(Status::unavailable("the master is stopping")).await;
    let (address, stage) = played.stop().await;
    let mut played = Played::start_at(address, stage).await;
    let mut session = played.session().await;
    session.welcome_by(2, 0).await;
    assert_eq!(session.hear().await, FrameworkCommand::Reconcile(Vec::new()));
    assert_eq!(session.hear().await, demand(&task("1"), 3));

    session.offer(1, 3000).await;
    for launched in session.launched().await {
        session.update(launched, TaskState::Finished).await;
    }
    farewell(session).await;
    assert!(running.await.unwrap().unwrap().all_finished());
}

#[tokio::test]
async fn a_session_takes_one_task_after_another_on_an_offer_in_hand() {
    let one = || task("1").resources(resources(1000));
    let mut played = Played::with_agent().await;
    let runner = runner(&played).await;
    let starting = tokio::spawn(runner.start());
    let mut master = played.session().await;
    master.welcome().await;
    let session = starting.await.unwrap().unwrap();
    assert_eq!(master.hear().await, FrameworkCommand::Demand { role: None, wants: Vec::new() });
    let mut task = session.submit(one()).await.unwrap();
    assert_eq!(master.hear().await, demand(&one(), 1));
    for offer in 1..=3 {
        master.offer(offer, 1000).await;

        let launched = master.launched().await;
        master.update(launched[0], TaskState::Finished).await;

        assert_eq!(task.ended().await.unwrap().state, TaskState::Finished);
        task = session.submit(one()).await.unwrap();
    }
    let closing = tokio::spawn(session.close());
    farewell(master).await;
    closing.await.unwrap();
}

#[tokio::test]
async fn a_session_tells_each_task_its_own_end() {
    let mut played = Played::with_agent().await;
    let runner = runner(&played).await;
    let (news, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let starting = tokio::spawn(runner.start_with(move |progress| drop(news.send(progress.clone()))));
    let mut master = played.session().await;
    master.welcome().await;
    let session = starting.await.unwrap().unwrap();

    let too_big = session.submit(task("64")).await.unwrap();
    let killed = session.submit(task("1")).await.unwrap();
    killed.kill().await.unwrap();
    let cut_off = session.submit(task("1")).await.unwrap();

    assert!(matches!(too_big.ended().await, Err(RunError::TooBig(_))));
    assert!(matches!(killed.ended().await, Err(RunError::Cancelled)));
    assert!(matches!(heard.recv().await, Some(Progress::Ended(Outcome { index: 1, status: None, .. }))));
    master.fail(Status::failed_precondition("nonsense")).await;
    assert!(matches!(cut_off.ended().await, Err(RunError::Master(why)) if why == "nonsense"));
    assert!(matches!(session.submit(task("1")).await, Err(RunError::Over)));
}

#[tokio::test]
async fn two_thousand_tasks_that_are_cancelled_while_the_master_is_away_end_when_it_is_back() {
    const TASKS: usize = 2000;
    let mut played = Played::with_agent().await;
    let runner = runner(&played).await.grace(Duration::from_secs(3600));
    let (stop, stopped) = oneshot::channel::<()>();
    let (cancel, cancelled) = oneshot::channel::<()>();
    let stopped = async {
        drop(stopped.await);
        cancel.send(()).unwrap();
    };
    let tasks = vec![task("0.001").mem("1KiB"); TASKS];
    let running = tokio::spawn(runner.run_until(tasks, stopped, |_| {}));
    let mut session = played.session().await;
    session.welcome().await;
    let mut launched = Vec::new();
    for offer in 1.. {
        session.offer(offer, 4000).await;
        launched.extend(session.launched().await);
        if launched.len() == TASKS {
            break;
        }
    }

    session.fail(Status::unavailable("the master is stopping")).await;
    let (address, stage) = played.stop().await;
    stop.send(()).unwrap();
    cancelled.await.unwrap();
    let mut played = Played::start_at(address, stage).await;
    let mut session = played.session().await;
    session.welcome_by(2, 0).await;
    let mut killed = std::collections::BTreeSet::new();
    while killed.len() < TASKS {
        if let FrameworkCommand::Kill(task) = session.hear_deed().await {
            killed.insert(task);
        }
    }
    for task in launched {
        session.update(task, TaskState::Killed).await;
    }
    farewell(session).await;

    let report = running.await.unwrap().unwrap();
    assert!(report.cancelled);
    assert_eq!(states(&report.outcomes), vec![Some(TaskState::Killed); TASKS]);
}
