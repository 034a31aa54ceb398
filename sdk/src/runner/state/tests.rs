//! What a runner decides, as sentences.

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

fn question(number: u64, agent: u64) -> Question {
    Question { task: id(number), agent: Some(AgentId(agent)) }
}

fn ack(number: u64) -> Acknowledgement {
    Acknowledgement { task: id(number), update: UpdateId(1), agent: None }
}

fn update(number: u64, state: TaskState, reason: Option<Reason>) -> Event {
    Event::Update(TaskStatus { reason, ..TaskStatus::new(id(number), UpdateId(1), state, Source::Agent) })
}

/// How long a silent agent is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A runner of a cluster whose one agent has four cores.
fn runner(retries: u32, linger: Duration) -> RunnerState {
    RunnerState::new(FRAMEWORK, vec![agent(4000)], Policy { retries, linger, unreachable_patience: PATIENCE })
}

fn batch() -> RunnerState {
    runner(0, Duration::ZERO)
}

/// A runner whose task 0, of one core, was launched as number 1.
fn launched(retries: u32) -> RunnerState {
    let mut runner = runner(retries, Duration::ZERO);
    runner.submit(START, 0, task(1000));
    runner.hear(START, offer(1, 1, 1000));
    assert_eq!(accepted(&runner.decide(START)), [(vec![1], vec![1])]);
    runner
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
    let mut runner = batch();
    for index in 0..3 {
        runner.submit(START, index, task(500));
    }

    runner.hear(START, offer(1, 1, 1000));
    runner.hear(START, offer(2, 1, 500));
    let decisions = runner.decide(START);

    assert_eq!(accepted(&decisions), [(vec![1, 2], vec![1, 2, 3])]);
}

#[test]
fn one_decision_acknowledges_everything_in_one_message_and_first() {
    let mut runner = batch();
    for index in 0..2 {
        runner.submit(START, index, task(500));
    }
    runner.hear(START, offer(1, 1, 1000));
    runner.decide(START);

    runner.hear(START, update(1, TaskState::Finished, None));
    runner.hear(START, update(2, TaskState::Finished, None));
    let decisions = runner.decide(START);

    assert_eq!(decisions.commands, [FrameworkCommand::Acknowledge(vec![ack(1), ack(2)])]);
    assert_eq!(ends(&decisions), [(0, Some(TaskState::Finished), 1), (1, Some(TaskState::Finished), 1)]);
    assert_eq!(runner.unfinished(), 0);
}

#[test]
fn a_batch_with_nothing_left_to_launch_sits_on_no_offer() {
    let mut runner = batch();
    runner.submit(START, 0, task(500));
    runner.hear(START, offer(1, 1, 1000));
    runner.hear(START, offer(2, 2, 500));

    let decisions = runner.decide(START);

    assert_eq!(said(&decisions), ["accept", "suppress", "decline"]);
    runner.hear(START, offer(3, 1, 500));
    assert_eq!(said(&runner.decide(START)), ["decline"]);
}

#[test]
fn a_failed_task_of_a_suppressed_framework_revives_it() {
    let mut runner = launched(1);

    runner.hear(START, update(1, TaskState::Failed, Some(Reason::Exit)));

    assert_eq!(said(&runner.decide(START)), ["acknowledge", "revive"]);
}

#[test]
fn a_session_keeps_offers_while_it_lingers_and_no_longer() {
    let linger = Duration::from_secs(5);
    let mut runner = runner(0, linger);
    runner.hear(START, offer(1, 1, 1000));

    assert_eq!(said(&runner.decide(START)), [""; 0]);
    assert_eq!(runner.deadline(), Some(START + linger));
    assert_eq!(said(&runner.decide(START + linger)), ["suppress", "decline"]);

    runner.submit(START + linger, 0, task(500));
    assert_eq!(said(&runner.decide(START + linger)), ["revive"]);
}

#[test]
fn a_session_in_use_keeps_offers_for_as_long_as_it_is_used() {
    let mut runner = runner(0, Duration::from_secs(5));
    for second in 0..20 {
        let now = START + Duration::from_secs(second);
        runner.hear(now, offer(second + 1, 1, 1000));
        runner.submit(now, second, task(500));

        assert_eq!(said(&runner.decide(now)), ["accept"]);
    }
}

#[test]
fn a_lingering_session_launches_at_once_and_wants_the_rest_back() {
    let mut runner = runner(0, Duration::from_secs(5));
    runner.hear(START, offer(1, 1, 1000));
    runner.decide(START);

    runner.submit(START, 0, task(500));
    let decisions = runner.decide(START);

    assert!(matches!(&decisions.commands[..], [FrameworkCommand::Accept { refuse: Duration::ZERO, .. }]));
}

#[test]
fn a_failure_is_retried_as_often_as_was_asked() {
    let mut runner = launched(1);

    runner.hear(START, update(1, TaskState::Failed, Some(Reason::Exit)));
    runner.hear(START, offer(2, 1, 1000));
    assert_eq!(accepted(&runner.decide(START)), [(vec![2], vec![2])]);

    runner.hear(START, update(2, TaskState::Failed, Some(Reason::Exit)));
    let decisions = runner.decide(START);
    assert_eq!(ends(&decisions), [(0, Some(TaskState::Failed), 2)]);
}

#[test]
fn a_second_failure_rests_before_its_next_launch() {
    let mut runner = launched(5);
    for number in 1..=2 {
        runner.hear(START, update(number, TaskState::Failed, Some(Reason::Exit)));
        runner.hear(START, offer(number + 1, 1, 1000));
        runner.decide(START);
    }

    assert_eq!(accepted(&runner.decide(START)), []);
    assert_eq!(runner.deadline(), Some(START + rest(2)));
    assert_eq!(said(&runner.decide(START + rest(2))), ["revive"]);
    runner.hear(START + rest(2), offer(4, 1, 1000));
    assert_eq!(accepted(&runner.decide(START + rest(2))), [(vec![4], vec![3])]);
}

#[test]
fn a_launch_on_an_offer_that_was_gone_costs_no_retry() {
    let mut runner = launched(0);

    runner.hear(START, update(1, TaskState::Dropped, Some(Reason::InvalidOffers)));
    runner.hear(START, offer(2, 1, 1000));

    assert_eq!(accepted(&runner.decide(START)), [(vec![2], vec![2])]);
}

#[test]
fn a_launch_that_is_never_delivered_is_not_tried_for_ever() {
    let mut runner = launched(0);
    let mut now = START;
    for number in 1..=u64::from(RELAUNCHES_MAX) {
        runner.hear(now, update(number, TaskState::Dropped, Some(Reason::InvalidOffers)));
        runner.hear(now, offer(number + 1, 1, 1000));
        runner.decide(now);
        now = now + Duration::from_secs(5);
        runner.decide(now);
        runner.hear(now, offer(1000 + number, 1, 1000));
        runner.decide(now);
    }

    runner.hear(now, update(u64::from(RELAUNCHES_MAX) + 1, TaskState::Dropped, Some(Reason::InvalidOffers)));

    assert_eq!(ends(&runner.decide(now)), [(0, Some(TaskState::Dropped), RELAUNCHES_MAX + 1)]);
}

#[test]
fn an_unreachable_task_is_waited_for_and_goes_on_when_its_agent_is_back() {
    let mut runner = launched(1);

    runner.hear(START, update(1, TaskState::Unreachable, Some(Reason::AgentDisconnected)));
    runner.hear(START, offer(2, 2, 1000));
    assert_eq!(accepted(&runner.decide(START)), []);
    let later = START + PATIENCE / 2;
    runner.hear(later, update(1, TaskState::Running, Some(Reason::AgentReregistered)));
    assert_eq!(said(&runner.decide(START + PATIENCE * 2)), ["acknowledge"]);

    runner.hear(later, update(1, TaskState::Finished, None));
    assert_eq!(ends(&runner.decide(later)), [(0, Some(TaskState::Finished), 1)]);
}

/// A runner whose launch 1 was given up and launched again as number 2.
fn given_up() -> (RunnerState, Now) {
    let mut runner = launched(1);
    runner.hear(START, update(1, TaskState::Unreachable, Some(Reason::AgentDisconnected)));
    runner.decide(START);
    assert_eq!(runner.deadline(), Some(START + PATIENCE));

    let late = START + PATIENCE;
    let decisions = runner.decide(late);
    assert!(decisions.commands.contains(&FrameworkCommand::Kill(id(1))), "{decisions:?}");
    runner.hear(late, offer(2, 2, 1000));
    assert_eq!(accepted(&runner.decide(late)), [(vec![2], vec![2])]);
    (runner, late)
}

#[test]
fn a_launch_that_was_given_up_is_killed_whenever_it_turns_up_until_its_end_is_heard() {
    let (mut runner, late) = given_up();

    for _ in 0..2 {
        runner.hear(late, update(1, TaskState::Running, Some(Reason::AgentReregistered)));
        assert!(runner.decide(late).commands.contains(&FrameworkCommand::Kill(id(1))));
    }
    runner.hear(late, update(1, TaskState::Killed, Some(Reason::KillRequested)));
    runner.decide(late);

    runner.hear(late, Event::Disconnected("reset".to_owned()));
    runner.hear(late, Event::Subscribed(FRAMEWORK));
    assert!(!runner.decide(late).commands.contains(&FrameworkCommand::Kill(id(1))));
    runner.hear(late, update(2, TaskState::Finished, None));
    assert_eq!(ends(&runner.decide(late)), [(0, Some(TaskState::Finished), 2)]);
}

#[test]
fn a_new_master_is_told_of_the_launches_that_were_given_up() {
    let (mut runner, late) = given_up();

    runner.hear(late, Event::Disconnected("reset".to_owned()));
    runner.hear(late, Event::Subscribed(FRAMEWORK));
    let decisions = runner.decide(late);

    assert_eq!(
        decisions.commands,
        [FrameworkCommand::Kill(id(1)), FrameworkCommand::Reconcile(vec![question(1, 1), question(2, 2)])]
    );
}

#[test]
fn the_silence_of_an_agent_does_not_count_while_the_master_is_away() {
    let mut runner = launched(1);
    runner.hear(START, update(1, TaskState::Unreachable, Some(Reason::AgentDisconnected)));
    runner.hear(START, Event::Disconnected("reset".to_owned()));
    let back = START + PATIENCE * 2;
    assert_eq!(said(&runner.decide(back)), ["acknowledge"]);

    runner.hear(back, Event::Subscribed(FRAMEWORK));
    runner.hear(back, update(1, TaskState::Unreachable, Some(Reason::Reconciliation)));

    assert!(!runner.decide(back).commands.contains(&FrameworkCommand::Kill(id(1))));
    assert_eq!(runner.deadline(), Some(back + PATIENCE));
}

#[test]
fn the_masters_ignorance_of_a_launch_that_was_given_up_is_asked_about_again() {
    let (mut runner, late) = given_up();

    runner.hear(late, update(1, TaskState::Unknown, Some(Reason::Reconciliation)));
    assert_eq!(said(&runner.decide(late)), ["acknowledge"]);

    let next = runner.deadline().unwrap();
    assert_eq!(runner.decide(next).commands, [FrameworkCommand::Reconcile(vec![question(1, 1)])]);
}

#[test]
fn a_kill_is_said_again_when_the_task_turns_up_as_if_it_had_not_been_heard() {
    let mut runner = launched(0);
    runner.kill(0);
    assert_eq!(said(&runner.decide(START)), ["kill"]);

    runner.hear(START, update(1, TaskState::Unreachable, Some(Reason::AgentDisconnected)));
    assert_eq!(said(&runner.decide(START)), ["acknowledge"]);
    runner.hear(START, update(1, TaskState::Running, Some(Reason::AgentReregistered)));
    assert_eq!(said(&runner.decide(START)), ["acknowledge", "kill"]);
}

/// Its agent's folder was copied, and the copy came without it.
#[test]
fn a_launch_that_was_told_as_gone_is_killed_when_it_turns_up() {
    let mut runner = launched(0);
    runner.hear(START, update(1, TaskState::Gone, Some(Reason::AgentRestarted)));
    assert_eq!(ends(&runner.decide(START)), [(0, Some(TaskState::Gone), 1)]);

    runner.hear(START, update(1, TaskState::Running, None));

    let commands = runner.decide(START).commands;
    assert!(commands.contains(&FrameworkCommand::Kill(id(1))), "{commands:?}");
}

#[test]
fn news_of_what_is_not_ours_is_passed_over() {
    let mut runner = launched(0);
    let foreign = TaskId { framework: FrameworkId(99), number: 1 };
    let status = TaskStatus::new(foreign, UpdateId::UNACKNOWLEDGED, TaskState::Error, Source::Master);

    runner.hear(START, Event::Update(TaskStatus { reason: Some(Reason::TaskInvalid), ..status }));

    assert_eq!(said(&runner.decide(START)), [""; 0]);
    assert_eq!(runner.unfinished(), 1);
}

#[test]
fn a_task_too_big_for_every_agent_is_refused_with_the_largest_one() {
    let mut runner = batch();
    runner.submit(START, 0, task(64_000));

    assert!(runner.decide(START).survey);
    runner.surveyed(START, Some(vec![agent(4000)]));
    let decisions = runner.decide(START);

    let [News::Refused { index: 0, why }] = &decisions.news[..] else { panic!("{:?}", decisions.news) };
    assert_eq!(
        why.to_string(),
        "task \"t\" wants 64.000 cpu, 64 MiB mem, more than any agent has; the largest, a1, has 4.000 cpu, 1 GiB mem"
    );
    assert_eq!(runner.unfinished(), 0);
}

#[test]
fn a_task_that_a_new_agent_can_run_is_not_refused() {
    let mut runner = batch();
    runner.submit(START, 0, task(8000));
    runner.decide(START);

    runner.surveyed(START, Some(vec![agent(8000)]));
    runner.hear(START, offer(1, 1, 8000));

    assert_eq!(accepted(&runner.decide(START)), [(vec![1], vec![1])]);
}

#[test]
fn without_agents_tasks_wait_and_say_so_after_five_seconds() {
    let mut runner = RunnerState::new(
        FRAMEWORK,
        Vec::new(),
        Policy { retries: 0, linger: Duration::ZERO, unreachable_patience: PATIENCE },
    );
    runner.submit(START, 0, task(500));

    let mut told = Vec::new();
    let mut now = START;
    while told.is_empty() && now < START + Duration::from_secs(10) {
        let decisions = runner.decide(now);
        if decisions.survey {
            runner.surveyed(now, Some(Vec::new()));
        }
        told = waits(&decisions);
        now = runner.deadline().expect("somebody waits").max(now + Duration::from_millis(1));
    }

    assert_eq!(told, ["no agent has joined the cluster"]);
    assert!(now >= START + Duration::from_secs(5) && now < START + Duration::from_secs(6), "{now}");
}

#[test]
fn a_task_that_only_has_to_wait_says_so_once() {
    let mut runner = batch();
    runner.submit(START, 0, task(4000));
    runner.decide(START);
    let late = START + Duration::from_secs(5);

    assert!(runner.decide(late).survey);
    runner.surveyed(late, Some(vec![agent(4000)]));

    assert_eq!(
        waits(&runner.decide(late)),
        ["wants 4.000 cpu, 64 MiB mem, and every agent that has as much is busy with tasks of others"]
    );
    assert_eq!(waits(&runner.decide(late + Duration::from_secs(60))), [""; 0]);
}

#[test]
fn offers_that_are_too_small_are_given_up_and_wanted_again_for_a_smaller_task() {
    let mut runner = batch();
    runner.submit(START, 0, task(4000));
    runner.hear(START, offer(1, 1, 1000));
    assert_eq!(said(&runner.decide(START)), [""; 0]);

    let later = START + HOPE;
    assert_eq!(said(&runner.decide(later)), ["decline"]);

    runner.submit(later, 1, task(500));
    assert_eq!(said(&runner.decide(later)), ["revive"]);
}

#[test]
fn a_killed_task_that_waits_ends_at_once_and_one_that_runs_when_the_master_says_so() {
    let mut runner = launched(3);
    runner.submit(START, 1, task(1000));

    runner.cancel();
    let decisions = runner.decide(START);
    assert_eq!(ends(&decisions), [(1, None, 0)]);
    assert!(decisions.commands.contains(&FrameworkCommand::Kill(id(1))));

    runner.hear(START, update(1, TaskState::Lost, Some(Reason::AgentRemoved)));
    assert_eq!(ends(&runner.decide(START)), [(0, Some(TaskState::Lost), 1)]);
}

#[test]
fn nothing_is_launched_on_offers_of_before_a_lost_connection() {
    let mut runner = runner(0, Duration::MAX);
    runner.hear(START, offer(1, 1, 1000));
    runner.hear(START, Event::Disconnected("reset".to_owned()));
    runner.submit(START, 0, task(500));
    assert_eq!(accepted(&runner.decide(START)), []);

    runner.hear(START, Event::Subscribed(FRAMEWORK));
    runner.hear(START, offer(1, 1, 1000));

    assert_eq!(accepted(&runner.decide(START)), [(vec![1], vec![1])]);
}

#[test]
fn after_a_lost_connection_running_tasks_are_asked_after() {
    let mut runner = launched(0);
    runner.hear(START, Event::Disconnected("reset".to_owned()));
    runner.hear(START, Event::Subscribed(FRAMEWORK));

    assert!(runner.decide(START).commands.contains(&FrameworkCommand::Reconcile(vec![question(1, 1)])));

    runner.hear(START, update(1, TaskState::Running, Some(Reason::Reconciliation)));
    assert_eq!(said(&runner.decide(START + Duration::from_secs(60))), ["acknowledge"]);
}

#[test]
fn a_task_of_which_the_master_knows_nothing_is_asked_after_and_not_given_up() {
    let mut runner = launched(1);
    runner.hear(START, Event::Disconnected("reset".to_owned()));
    runner.hear(START, Event::Subscribed(FRAMEWORK));
    runner.hear(START, offer(2, 1, 1000));

    let mut questions = 0;
    let mut now = START;
    while now < START + Duration::from_secs(600) {
        let decisions = runner.decide(now);
        assert_eq!(accepted(&decisions), []);
        questions += decisions.commands.iter().filter(|said| matches!(said, FrameworkCommand::Reconcile(_))).count();
        runner.hear(now, update(1, TaskState::Unknown, Some(Reason::Reconciliation)));
        now = runner.deadline().expect("a question is open");
    }
    assert!((10..20).contains(&questions), "{questions}");

    runner.hear(now, update(1, TaskState::Finished, None));
    assert_eq!(ends(&runner.decide(now)), [(0, Some(TaskState::Finished), 1)]);
}

#[test]
fn a_launch_that_was_lost_with_a_master_costs_no_retry() {
    let mut runner = launched(0);
    runner.hear(START, Event::Disconnected("reset".to_owned()));
    runner.hear(START, Event::Subscribed(FRAMEWORK));
    runner.decide(START);

    runner.hear(START, update(1, TaskState::Unreachable, Some(Reason::Reconciliation)));
    runner.hear(START, update(1, TaskState::Gone, Some(Reason::Reconciliation)));
    runner.hear(START, offer(2, 1, 1000));

    assert_eq!(accepted(&runner.decide(START)), [(vec![2], vec![2])]);
}

#[test]
fn a_task_that_ran_and_is_gone_has_ended() {
    let mut runner = launched(0);
    runner.hear(START, update(1, TaskState::Running, None));

    runner.hear(START, update(1, TaskState::Gone, Some(Reason::Reconciliation)));

    assert_eq!(ends(&runner.decide(START)), [(0, Some(TaskState::Gone), 1)]);
}

#[test]
fn no_deadline_lies_in_the_past_once_it_was_decided_on() {
    let mut runner = runner(3, Duration::from_secs(1));
    let mut now = START;
    runner.submit(now, 0, task(1000));
    runner.submit(now, 1, task(64_000));
    runner.hear(now, offer(1, 1, 1000));
    for step in 0..50 {
        if step == 10 {
            runner.hear(now, Event::Disconnected("reset".to_owned()));
        }
        if step == 20 {
            runner.hear(now, Event::Subscribed(FRAMEWORK));
        }
        if runner.decide(now).survey {
            runner.surveyed(now, None);
        }
        runner.decide(now);
        if let Some(deadline) = runner.deadline() {
            assert!(deadline > now, "step {step}: {runner:?}");
        }
        now = now + Duration::from_millis(700);
    }
}
