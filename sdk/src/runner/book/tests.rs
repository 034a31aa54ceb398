//! What the book decides, as sentences.

use haggle_core::cluster::{Acknowledgement, Question};
use haggle_core::{
    AgentId, AgentInfo, Bytes, Digest, MilliCpu, Offer, OfferId, Reason, Resources, Source, TaskState, UpdateId,
};

use super::*;
use crate::events::Event;
use crate::runner::holdings::HOPE;
use crate::runner::retry::{RELAUNCHES_MAX, rest};

const FRAMEWORK: FrameworkId = FrameworkId(1);
const START: Now = Now::from_millis(1000);

fn cpus(milli: u64) -> Resources {
    Resources::new(MilliCpu::new(milli), Bytes::from_mib(64), Bytes::ZERO)
}

fn room(milli: u64) -> Resources {
    Resources::new(MilliCpu::new(milli), Bytes::from_mib(1024), Bytes::ZERO)
}

fn task(milli: u64) -> Task {
    Task::new(Digest([1; 32])).name("t").resources(cpus(milli))
}

fn agent(milli: u64) -> AgentView {
    AgentView {
        id: AgentId(1),
        info: AgentInfo { name: "a1".to_owned(), resources: room(milli), attributes: Default::default() },
        connected: true,
        draining: false,
        used: Resources::default(),
        offered: Resources::default(),
        tasks: 0,
    }
}

fn offer(id: u64, agent: u64, milli: u64) -> Event {
    Event::Offers(vec![Offer {
        id: OfferId(id),
        agent: AgentId(agent),
        agent_name: format!("a{agent}"),
        attributes: Default::default(),
        resources: room(milli),
    }])
}

fn id(number: u64) -> TaskId {
    TaskId { framework: FRAMEWORK, number }
}

fn ack(number: u64) -> Acknowledgement {
    Acknowledgement { task: id(number), update: UpdateId(1), agent: None }
}

fn update(number: u64, state: TaskState, reason: Option<Reason>) -> Event {
    Event::Update(TaskStatus { reason, ..TaskStatus::new(id(number), UpdateId(1), state, Source::Agent) })
}

/// A book of a cluster whose one agent has four cores.
fn book(retries: u32, linger: Duration) -> Book {
    Book::new(FRAMEWORK, Inventory::new(vec![agent(4000)]), retries, linger)
}

fn batch() -> Book {
    book(0, Duration::ZERO)
}

/// A book whose task 0, of one core, was launched as number 1.
fn launched(retries: u32) -> Book {
    let mut book = book(retries, Duration::ZERO);
    book.submit(START, 0, task(1000));
    book.hear(START, offer(1, 1, 1000));
    assert_eq!(accepted(&book.decide(START)), [(vec![1], vec![1])]);
    book
}

/// Offers and task numbers of each launch.
fn accepted(decisions: &Decisions) -> Vec<(Vec<u64>, Vec<u64>)> {
    let accept = |command: &FrameworkCommand| match command {
        FrameworkCommand::Accept { offers, tasks, .. } => {
            Some((offers.iter().map(|offer| offer.0).collect(), tasks.iter().map(|task| task.id.number).collect()))
        }
        _ => None,
    };
    decisions.commands.iter().filter_map(accept).collect()
}

/// The names of the commands, in order.
fn said(decisions: &Decisions) -> Vec<&'static str> {
    let name = |command: &FrameworkCommand| match command {
        FrameworkCommand::Subscribe { .. } => "subscribe",
        FrameworkCommand::Accept { .. } => "accept",
        FrameworkCommand::Decline { .. } => "decline",
        FrameworkCommand::Revive => "revive",
        FrameworkCommand::Suppress => "suppress",
        FrameworkCommand::Kill(_) => "kill",
        FrameworkCommand::Acknowledge(_) => "acknowledge",
        FrameworkCommand::Reconcile(_) => "reconcile",
        FrameworkCommand::Teardown => "teardown",
    };
    decisions.commands.iter().map(name).collect()
}

fn ends(decisions: &Decisions) -> Vec<(u64, Option<TaskState>, u32)> {
    let end = |news: &News| match news {
        News::Progress(Progress::Ended(outcome)) => {
            Some((outcome.index, outcome.status.as_ref().map(|status| status.state), outcome.attempts))
        }
        _ => None,
    };
    decisions.news.iter().filter_map(end).collect()
}

fn waits(decisions: &Decisions) -> Vec<String> {
    let wait = |news: &News| match news {
        News::Progress(Progress::Waiting { why, .. }) => Some(why.to_string()),
        _ => None,
    };
    decisions.news.iter().filter_map(wait).collect()
}

#[test]
fn offers_of_one_agent_are_combined_into_one_launch() {
    let mut book = batch();
    for index in 0..3 {
        book.submit(START, index, task(500));
    }

    book.hear(START, offer(1, 1, 1000));
    book.hear(START, offer(2, 1, 500));
    let decisions = book.decide(START);

    assert_eq!(accepted(&decisions), [(vec![1, 2], vec![1, 2, 3])]);
}

#[test]
fn one_decision_acknowledges_everything_in_one_message_and_first() {
    let mut book = batch();
    for index in 0..2 {
        book.submit(START, index, task(500));
    }
    book.hear(START, offer(1, 1, 1000));
    book.decide(START);

    book.hear(START, update(1, TaskState::Finished, None));
    book.hear(START, update(2, TaskState::Finished, None));
    let decisions = book.decide(START);

    assert_eq!(decisions.commands, [FrameworkCommand::Acknowledge(vec![ack(1), ack(2)])]);
    assert_eq!(ends(&decisions), [(0, Some(TaskState::Finished), 1), (1, Some(TaskState::Finished), 1)]);
    assert_eq!(book.unfinished(), 0);
}

#[test]
fn a_batch_with_nothing_left_to_launch_sits_on_no_offer() {
    let mut book = batch();
    book.submit(START, 0, task(500));
    book.hear(START, offer(1, 1, 1000));
    book.hear(START, offer(2, 2, 500));

    let decisions = book.decide(START);

    assert_eq!(said(&decisions), ["accept", "suppress", "decline"]);
    book.hear(START, offer(3, 1, 500));
    assert_eq!(said(&book.decide(START)), ["decline"]);
}

#[test]
fn a_failed_task_of_a_suppressed_framework_revives_it() {
    let mut book = launched(1);

    book.hear(START, update(1, TaskState::Failed, Some(Reason::Exit)));

    assert_eq!(said(&book.decide(START)), ["acknowledge", "revive"]);
}

#[test]
fn a_session_keeps_offers_while_it_lingers_and_no_longer() {
    let linger = Duration::from_secs(5);
    let mut book = book(0, linger);
    book.hear(START, offer(1, 1, 1000));

    assert_eq!(said(&book.decide(START)), [""; 0]);
    assert_eq!(book.deadline(), Some(START + linger));
    assert_eq!(said(&book.decide(START + linger)), ["suppress", "decline"]);

    book.submit(START + linger, 0, task(500));
    assert_eq!(said(&book.decide(START + linger)), ["revive"]);
}

#[test]
fn a_session_in_use_keeps_offers_for_as_long_as_it_is_used() {
    let mut book = book(0, Duration::from_secs(5));
    for second in 0..20 {
        let now = START + Duration::from_secs(second);
        book.hear(now, offer(second + 1, 1, 1000));
        book.submit(now, second, task(500));

        assert_eq!(said(&book.decide(now)), ["accept"]);
    }
}

#[test]
fn a_lingering_session_launches_at_once_and_wants_the_rest_back() {
    let mut book = book(0, Duration::from_secs(5));
    book.hear(START, offer(1, 1, 1000));
    book.decide(START);

    book.submit(START, 0, task(500));
    let decisions = book.decide(START);

    assert!(matches!(&decisions.commands[..], [FrameworkCommand::Accept { refuse: Duration::ZERO, .. }]));
}

#[test]
fn a_failure_is_retried_as_often_as_was_asked() {
    let mut book = launched(1);

    book.hear(START, update(1, TaskState::Failed, Some(Reason::Exit)));
    book.hear(START, offer(2, 1, 1000));
    assert_eq!(accepted(&book.decide(START)), [(vec![2], vec![2])]);

    book.hear(START, update(2, TaskState::Failed, Some(Reason::Exit)));
    let decisions = book.decide(START);
    assert_eq!(ends(&decisions), [(0, Some(TaskState::Failed), 2)]);
}

#[test]
fn a_second_failure_rests_before_its_next_launch() {
    let mut book = launched(5);
    for number in 1..=2 {
        book.hear(START, update(number, TaskState::Failed, Some(Reason::Exit)));
        book.hear(START, offer(number + 1, 1, 1000));
        book.decide(START);
    }

    assert_eq!(accepted(&book.decide(START)), []);
    assert_eq!(book.deadline(), Some(START + rest(2)));
    assert_eq!(said(&book.decide(START + rest(2))), ["revive"]);
    book.hear(START + rest(2), offer(4, 1, 1000));
    assert_eq!(accepted(&book.decide(START + rest(2))), [(vec![4], vec![3])]);
}

#[test]
fn a_launch_on_an_offer_that_was_gone_costs_no_retry() {
    let mut book = launched(0);

    book.hear(START, update(1, TaskState::Dropped, Some(Reason::InvalidOffers)));
    book.hear(START, offer(2, 1, 1000));

    assert_eq!(accepted(&book.decide(START)), [(vec![2], vec![2])]);
}

#[test]
fn a_launch_that_is_never_delivered_is_not_tried_for_ever() {
    let mut book = launched(0);
    let mut now = START;
    for number in 1..=u64::from(RELAUNCHES_MAX) {
        book.hear(now, update(number, TaskState::Dropped, Some(Reason::InvalidOffers)));
        book.hear(now, offer(number + 1, 1, 1000));
        book.decide(now);
        now = now + Duration::from_secs(5);
        book.decide(now);
        book.hear(now, offer(1000 + number, 1, 1000));
        book.decide(now);
    }

    book.hear(now, update(u64::from(RELAUNCHES_MAX) + 1, TaskState::Dropped, Some(Reason::InvalidOffers)));

    assert_eq!(ends(&book.decide(now)), [(0, Some(TaskState::Dropped), RELAUNCHES_MAX + 1)]);
}

#[test]
fn an_unreachable_task_is_launched_again_and_its_ghost_is_killed() {
    let mut book = launched(1);

    book.hear(START, update(1, TaskState::Unreachable, Some(Reason::AgentRemoved)));
    book.hear(START, offer(2, 2, 1000));
    let decisions = book.decide(START);
    assert_eq!(accepted(&decisions), [(vec![2], vec![2])]);
    assert!(decisions.commands.contains(&FrameworkCommand::Kill(id(1))));

    book.hear(START, update(1, TaskState::Running, Some(Reason::AgentReregistered)));
    assert!(book.decide(START).commands.contains(&FrameworkCommand::Kill(id(1))));

    book.hear(START, update(1, TaskState::Killed, Some(Reason::KillRequested)));
    book.hear(START, update(2, TaskState::Finished, None));
    assert_eq!(ends(&book.decide(START)), [(0, Some(TaskState::Finished), 2)]);
}

#[test]
fn the_masters_ignorance_of_a_ghost_is_not_answered() {
    let mut book = launched(1);
    book.hear(START, update(1, TaskState::Unreachable, Some(Reason::AgentRemoved)));
    book.decide(START);

    for state in [TaskState::Unknown, TaskState::Unreachable, TaskState::Killing] {
        book.hear(START, update(1, state, Some(Reason::Reconciliation)));
        assert_eq!(said(&book.decide(START)), ["acknowledge"], "{state}");
    }
}

#[test]
fn a_task_too_big_for_every_agent_is_refused_with_the_largest_one() {
    let mut book = batch();
    book.submit(START, 0, task(64_000));

    assert!(book.decide(START).survey);
    book.surveyed(START, Some(vec![agent(4000)]));
    let decisions = book.decide(START);

    let [News::Refused { index: 0, why }] = &decisions.news[..] else { panic!("{:?}", decisions.news) };
    assert_eq!(
        why.to_string(),
        "task \"t\" wants 64.000 cpu, 64 MiB mem, more than any agent has; the largest, a1, has 4.000 cpu, 1 GiB mem"
    );
    assert_eq!(book.unfinished(), 0);
}

#[test]
fn a_task_that_a_new_agent_can_run_is_not_refused() {
    let mut book = batch();
    book.submit(START, 0, task(8000));
    book.decide(START);

    book.surveyed(START, Some(vec![agent(8000)]));
    book.hear(START, offer(1, 1, 8000));

    assert_eq!(accepted(&book.decide(START)), [(vec![1], vec![1])]);
}

#[test]
fn without_agents_tasks_wait_and_say_so_after_five_seconds() {
    let mut book = Book::new(FRAMEWORK, Inventory::default(), 0, Duration::ZERO);
    book.submit(START, 0, task(500));

    let mut told = Vec::new();
    let mut now = START;
    while told.is_empty() && now < START + Duration::from_secs(10) {
        let decisions = book.decide(now);
        if decisions.survey {
            book.surveyed(now, Some(Vec::new()));
        }
        told = waits(&decisions);
        now = book.deadline().expect("somebody waits").max(now + Duration::from_millis(1));
    }

    assert_eq!(told, ["no agent has joined the cluster"]);
    assert!(now >= START + Duration::from_secs(5) && now < START + Duration::from_secs(6), "{now}");
}

#[test]
fn a_task_that_only_has_to_wait_says_so_once() {
    let mut book = batch();
    book.submit(START, 0, task(4000));
    book.decide(START);
    let late = START + Duration::from_secs(5);

    assert!(book.decide(late).survey);
    book.surveyed(late, Some(vec![agent(4000)]));

    assert_eq!(
        waits(&book.decide(late)),
        ["wants 4.000 cpu, 64 MiB mem, and every agent that has as much is busy with tasks of others"]
    );
    assert_eq!(waits(&book.decide(late + Duration::from_secs(60))), [""; 0]);
}

#[test]
fn offers_that_are_too_small_are_given_up_and_wanted_again_for_a_smaller_task() {
    let mut book = batch();
    book.submit(START, 0, task(4000));
    book.hear(START, offer(1, 1, 1000));
    assert_eq!(said(&book.decide(START)), [""; 0]);

    let later = START + HOPE;
    assert_eq!(said(&book.decide(later)), ["decline"]);

    book.submit(later, 1, task(500));
    assert_eq!(said(&book.decide(later)), ["revive"]);
}

#[test]
fn a_killed_task_that_waits_ends_at_once_and_one_that_runs_when_the_master_says_so() {
    let mut book = launched(3);
    book.submit(START, 1, task(1000));

    book.cancel();
    let decisions = book.decide(START);
    assert_eq!(ends(&decisions), [(1, None, 0)]);
    assert!(decisions.commands.contains(&FrameworkCommand::Kill(id(1))));

    book.hear(START, update(1, TaskState::Lost, Some(Reason::AgentRemoved)));
    assert_eq!(ends(&book.decide(START)), [(0, Some(TaskState::Lost), 1)]);
}

#[test]
fn nothing_is_launched_on_offers_of_before_a_lost_connection() {
    let mut book = book(0, Duration::MAX);
    book.hear(START, offer(1, 1, 1000));
    book.hear(START, Event::Disconnected("reset".to_owned()));
    book.submit(START, 0, task(500));
    assert_eq!(accepted(&book.decide(START)), []);

    book.hear(START, Event::Subscribed(FRAMEWORK));
    book.hear(START, offer(1, 1, 1000));

    assert_eq!(accepted(&book.decide(START)), [(vec![1], vec![1])]);
}

#[test]
fn after_a_lost_connection_running_tasks_are_asked_after() {
    let mut book = launched(0);
    book.hear(START, Event::Disconnected("reset".to_owned()));
    book.hear(START, Event::Subscribed(FRAMEWORK));

    assert!(
        book.decide(START).commands.contains(&FrameworkCommand::Reconcile(vec![Question { task: id(1), agent: None }]))
    );

    book.hear(START, update(1, TaskState::Running, Some(Reason::Reconciliation)));
    assert_eq!(said(&book.decide(START + Duration::from_secs(60))), ["acknowledge"]);
}

#[test]
fn a_launch_that_the_master_never_comes_to_know_is_lost_and_launched_again() {
    let mut book = launched(1);
    book.hear(START, Event::Disconnected("reset".to_owned()));
    book.hear(START, Event::Subscribed(FRAMEWORK));
    book.hear(START, offer(2, 1, 1000));

    let mut now = START;
    let mut launches = Vec::new();
    while launches.is_empty() && now < START + Duration::from_secs(60) {
        launches = accepted(&book.decide(now));
        now = book.deadline().unwrap_or(now).max(now + Duration::from_millis(1));
        book.hear(now, update(1, TaskState::Unknown, Some(Reason::Reconciliation)));
        book.hear(now, offer(now.as_nanos(), 1, 1000));
    }

    assert!(matches!(&launches[..], [(_, numbers)] if *numbers == [2]), "{launches:?}");
}

#[test]
fn a_framework_that_the_master_forgot_launches_its_tasks_again_under_its_new_name() {
    let mut book = launched(1);
    book.hear(START, Event::Disconnected("reset".to_owned()));

    book.hear(START, Event::Subscribed(FrameworkId(9)));
    book.hear(START, offer(1, 1, 1000));
    let decisions = book.decide(START);

    let [FrameworkCommand::Accept { tasks, .. }, ..] = &decisions.commands[..] else {
        panic!("{:?}", decisions.commands)
    };
    assert_eq!(tasks[0].id.framework, FrameworkId(9));
}

#[test]
fn no_deadline_lies_in_the_past_once_it_was_decided_on() {
    let mut book = book(3, Duration::from_secs(1));
    let mut now = START;
    book.submit(now, 0, task(1000));
    book.submit(now, 1, task(64_000));
    book.hear(now, offer(1, 1, 1000));
    for step in 0..50 {
        if step == 10 {
            book.hear(now, Event::Disconnected("reset".to_owned()));
        }
        if step == 20 {
            book.hear(now, Event::Subscribed(FRAMEWORK));
        }
        if book.decide(now).survey {
            book.surveyed(now, None);
        }
        book.decide(now);
        if let Some(deadline) = book.deadline() {
            assert!(deadline > now, "step {step}: {book:?}");
        }
        now = now + Duration::from_millis(700);
    }
}
