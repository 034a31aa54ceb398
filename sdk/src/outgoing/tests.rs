//! What is sent, on which session, as sentences.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use haggle_core::cluster::{Acknowledgement, FrameworkCall, FrameworkCommand, Question};
use haggle_core::{
    AgentId, Bytes, ClusterId, Constraint, Digest, Epoch, FrameworkId, Member, MilliCpu, OfferId, Resources, Sharing,
    TaskId, TaskSpec, Test, UpdateId, Want,
};

use super::stream::COMPANY_WAIT;
use super::*;

const MEMBER: Member<FrameworkId> = Member { cluster: ClusterId(7), id: FrameworkId(1) };

fn task(number: u64) -> TaskId {
    TaskId { framework: FrameworkId(1), number }
}

fn ack(number: u64) -> FrameworkCommand {
    FrameworkCommand::Acknowledge(vec![Acknowledgement { task: task(number), update: UpdateId(1), agent: None }])
}

fn ask(number: u64) -> FrameworkCommand {
    FrameworkCommand::Reconcile(vec![Question { task: task(number), agent: Some(AgentId(1)) }])
}

fn kill(number: u64) -> FrameworkCommand {
    FrameworkCommand::Kill(task(number))
}

fn accept(number: u64) -> FrameworkCommand {
    let spec = TaskSpec {
        id: task(number),
        name: "t".to_owned(),
        role: String::new(),
        module: Digest([1; 32]),
        args: Vec::new(),
        env: Vec::new(),
        stdin: Vec::new(),
        resources: Resources::default(),
        sharing: Sharing::default(),
        limits: Default::default(),
        inputs: Vec::new(),
        grants: Default::default(),
        group: None,
        waited: None,
        trace: None,
    };
    FrameworkCommand::Accept {
        offers: vec![OfferId(number)],
        operations: Vec::new(),
        tasks: vec![Arc::new(spec)],
        refuse: Duration::ZERO,
    }
}

fn demand(waiting: u32) -> FrameworkCommand {
    let resources = Resources::new(MilliCpu::from_cores(1), Bytes::ZERO, Bytes::ZERO);
    let want = Want { resources, constraints: Vec::new(), volumes: Vec::new(), waiting, spare: 0, gang: 0 };
    FrameworkCommand::Demand { role: None, wants: vec![want] }
}

fn decline() -> FrameworkCommand {
    FrameworkCommand::Decline { offers: vec![OfferId(9)], refuse: Duration::ZERO }
}

/// Begins a session with the master of this epoch; the tasks that were never launched.
fn admitted(queue: &Queue, epoch: u64, last_call: u64) -> Vec<TaskId> {
    queue.begin();
    queue.admit(MEMBER, Epoch(epoch), last_call).unwrap()
}

const SUPPRESS: FrameworkCommand = FrameworkCommand::Suppress { role: None };
const REVIVE: FrameworkCommand = FrameworkCommand::Revive { role: None };

fn said(queue: &Queue, commands: impl IntoIterator<Item = FrameworkCommand>) {
    for command in commands {
        queue.say_now(command).unwrap();
    }
}

/// Everything that is sent now.
fn sent(queue: &Queue) -> Vec<(u64, FrameworkCommand)> {
    let mut all = Vec::new();
    loop {
        let session = queue.locked().session;
        let calls = queue.take(session);
        if calls.is_empty() {
            return all;
        }
        all.extend(calls.into_iter().map(|FrameworkCall { number, command }| (number, command)));
    }
}

/// A queue whose first session, of epoch 1, has begun.
fn queue() -> Queue {
    let queue = Queue::default();
    admitted(&queue, 1, 0);
    queue
}

#[test]
fn calls_are_numbered_from_what_the_master_has_heard_of_an_earlier_process() {
    let queue = Queue::default();
    admitted(&queue, 1, 41);

    said(&queue, [ack(1), kill(2)]);

    assert_eq!(sent(&queue), [(42, ack(1)), (43, kill(2))]);
}

#[test]
fn neighbouring_acknowledgements_become_one() {
    let queue = queue();

    said(&queue, [ack(1), ack(2), kill(3), ack(4)]);

    let sent = sent(&queue);
    assert!(matches!(&sent[0].1, FrameworkCommand::Acknowledge(updates) if updates.len() == 2));
    assert_eq!(sent.len(), 3);
}

/// A stream whose session has begun, and what it has to send if it is asked now.
fn calls(queue: &Arc<Queue>) -> CallStream {
    let calls = CallStream::begin(queue, Vec::new());
    queue.admit(MEMBER, Epoch(1), 0).unwrap();
    calls
}

fn calls_in(message: Option<haggle_proto::v1::FrameworkCalls>) -> usize {
    message.map_or(0, |message| message.calls.len())
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_goes_with_the_next_call() {
    let queue = Arc::default();
    let mut calls = calls(&queue);

    said(&queue, [ack(1)]);
    assert!(calls.next().now_or_never().is_none(), "it waits for company");
    said(&queue, [accept(2)]);

    assert_eq!(calls.next().now_or_never().map(calls_in), Some(2));
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_that_nothing_follows_goes_by_itself() {
    let queue = Arc::default();
    let mut calls = calls(&queue);
    for round in 1..=3 {
        let began = tokio::time::Instant::now();
        assert!(calls.next().now_or_never().is_none(), "there is nothing to send");

        said(&queue, [ack(round)]);

        assert_eq!(calls_in(calls.next().await), 1);
        assert!(began.elapsed() <= COMPANY_WAIT + Duration::from_millis(1), "{:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_that_comes_while_another_call_is_sent_is_not_forgotten() {
    let queue = Arc::default();
    let mut calls = calls(&queue);
    said(&queue, [ack(1)]);
    assert!(calls.next().now_or_never().is_none());
    said(&queue, [accept(2)]);
    assert_eq!(calls_in(calls.next().await), 2);
    let waiting = tokio::spawn(async move { calls_in(calls.next().await) });
    tokio::task::yield_now().await;

    said(&queue, [ack(3)]);

    assert_eq!(waiting.await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn nobody_who_leaves_waits_for_company() {
    let queue = Arc::default();
    let mut calls = calls(&queue);
    said(&queue, [ack(1)]);
    assert!(calls.next().now_or_never().is_none());

    queue.desert();

    assert_eq!(calls.next().now_or_never().map(calls_in), Some(1));
    assert_eq!(calls.next().now_or_never(), Some(None));
}

#[test]
fn nothing_follows_a_teardown() {
    let queue = queue();
    said(&queue, [ack(1), FrameworkCommand::Teardown, kill(1)]);

    let calls = queue.take(1);

    assert_eq!(calls.last().map(|call| &call.command), Some(&FrameworkCommand::Teardown));
    assert_eq!(calls.len(), 2);
}

#[test]
fn the_same_master_is_sent_exactly_what_it_has_not_heard() {
    let queue = queue();
    said(&queue, [accept(1), ack(2), kill(3)]);
    sent(&queue);
    said(&queue, [kill(4)]);

    let void = admitted(&queue, 1, 1);

    assert_eq!(void, []);
    assert_eq!(sent(&queue), [(2, ack(2)), (3, kill(3)), (4, kill(4))]);
}

#[test]
fn what_was_sent_again_in_part_is_sent_once_more_in_order() {
    let queue = queue();
    said(&queue, (1..=600).map(kill));
    sent(&queue);
    let (second, _) = queue.begin();
    queue.admit(MEMBER, Epoch(1), 0).unwrap();
    assert!(queue.take(second).len() < 600);

    admitted(&queue, 1, 10);

    let again: Vec<u64> = sent(&queue).into_iter().map(|(number, _)| number).collect();
    assert_eq!(again, Vec::from_iter(11..=600));
}

#[test]
fn another_master_is_sent_no_launches_of_before_but_every_kill_that_is_not_answered() {
    let queue = queue();
    said(&queue, [accept(1), decline(), kill(2), kill(3), ack(4)]);
    sent(&queue);
    queue.ended(task(3));

    admitted(&queue, 2, 0);

    assert_eq!(sent(&queue), [(6, kill(2))]);
}

#[test]
fn what_waits_outlives_the_master_unless_it_is_about_its_offers() {
    let queue = queue();
    said(&queue, [accept(1), ack(2), decline(), kill(3), ask(4)]);

    let void = admitted(&queue, 2, 0);

    assert_eq!(void, [task(1)]);
    assert_eq!(sent(&queue), [(1, ack(2)), (2, kill(3)), (3, ask(4))]);
}

#[test]
fn of_what_is_said_of_offers_the_last_counts_and_is_said_again_on_each_session() {
    let queue = Queue::wanting(demand(3));
    assert_eq!(queue.begin().1, [demand(3)]);
    queue.admit(MEMBER, Epoch(1), 0).unwrap();
    assert_eq!(sent(&queue), []);

    said(&queue, [demand(2), accept(1), demand(1)]);
    assert_eq!(sent(&queue), [(1, accept(1)), (2, demand(1))]);
    said(&queue, [demand(5), SUPPRESS]);
    assert_eq!(sent(&queue), [(3, SUPPRESS)]);

    assert_eq!(queue.begin().1, [SUPPRESS]);
    queue.admit(MEMBER, Epoch(2), 0).unwrap();
    assert_eq!(sent(&queue), []);
}

#[test]
fn what_is_said_of_offers_after_a_session_was_opened_is_said_on_it_once() {
    let queue = queue();
    said(&queue, [SUPPRESS]);
    sent(&queue);
    assert_eq!(queue.begin().1, [SUPPRESS]);

    said(&queue, [REVIVE, demand(2)]);
    queue.admit(MEMBER, Epoch(1), 1).unwrap();

    assert_eq!(sent(&queue), [(2, demand(2))]);
}

#[test]
fn of_what_is_said_of_a_role_the_last_counts_and_what_is_said_of_all_ends_it() {
    let queue = queue();
    let of = |role: &str| FrameworkCommand::Suppress { role: Some(role.to_owned()) };
    let revive = |role: &str| FrameworkCommand::Revive { role: Some(role.to_owned()) };
    said(&queue, [of("a"), demand(1), of("a"), of("b"), revive("a")]);
    assert_eq!(queue.begin().1, [demand(1), of("b"), revive("a")]);

    said(&queue, [SUPPRESS]);

    assert_eq!(queue.begin().1, [SUPPRESS]);
}

#[test]
fn a_session_is_opened_as_what_the_framework_is_and_with_nothing_of_roles_that_it_left() {
    let queue = queue();
    let of = |role: &str| FrameworkCommand::Suppress { role: Some(role.to_owned()) };
    said(&queue, [of("a"), of("b")]);
    let info = FrameworkInfo {
        name: "f".to_owned(),
        roles: vec!["b".to_owned(), "c".to_owned()],
        failover_timeout: Duration::from_secs(1),
    };
    assert_eq!(queue.info(), None);

    said(&queue, [FrameworkCommand::Update(info.clone())]);

    assert_eq!(queue.info(), Some(info));
    assert_eq!(queue.begin().1, [of("b")]);
}

#[test]
fn a_demand_counts_by_its_size() {
    let constraints = vec![Constraint { attribute: "a".repeat(200), test: Test::Equals("b".repeat(200)) }; 16];
    let FrameworkCommand::Demand { mut wants, .. } = demand(1) else { unreachable!() };
    wants[0].constraints = constraints;
    let demand = FrameworkCommand::Demand { role: None, wants };

    assert!((6_400..7_000).contains(&command_size(&demand)), "{}", command_size(&demand));
}

#[test]
fn a_master_that_was_followed_by_another_admits_nobody() {
    let queue = Queue::default();
    admitted(&queue, 3, 0);
    queue.begin();

    let refused = queue.admit(MEMBER, Epoch(2), 0).unwrap_err();

    assert!(refused.to_string().contains("of epoch-2, and one of epoch-3"), "{refused}");
}

#[test]
fn what_waits_while_the_master_is_away_is_bounded_by_the_tasks() {
    let queue = queue();
    queue.begin();

    for _ in 0..100 {
        said(&queue, (1..=20).flat_map(|number| [kill(number), ask(number), SUPPRESS]));
        said(&queue, [decline(), demand(1), FrameworkCommand::Reconcile(Vec::new())]);
    }

    // The kills, the question for all, and the one for each in one piece.
    assert_eq!(queue.locked().waiting.len(), 20 + 2);
}

#[test]
fn what_is_kept_of_what_was_sent_is_bounded() {
    let queue = queue();
    for number in 0..2 * SENT_MAX as u64 {
        said(&queue, [kill(number)]);
        sent(&queue);
    }

    assert_eq!(queue.locked().sent.len(), SENT_MAX);
}

#[tokio::test]
async fn who_is_too_far_ahead_of_a_live_connection_waits_until_it_is_lost() {
    let queue = Arc::new(queue());
    for number in 0..WAITING_MAX as u64 {
        queue.say(kill(number)).await.unwrap();
    }
    let one_more = tokio::spawn({
        let queue = Arc::clone(&queue);
        async move { queue.say(kill(u64::MAX)).await }
    });
    tokio::task::yield_now().await;
    assert!(!one_more.is_finished());

    queue.lost(1);

    one_more.await.unwrap().unwrap();
}
