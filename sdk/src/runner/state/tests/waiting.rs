//! Tasks that wait, and tasks that no agent can run.

use super::*;

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
fn a_task_without_an_agent_wants_room_and_is_launched_on_the_first_offer() {
    let policy = Policy { retries: 0, linger: Duration::ZERO, unreachable_patience: PATIENCE, gang: false };
    let mut runner = RunnerState::new(FRAMEWORK, Vec::new(), policy, Vec::new());
    runner.submit(START, 0, task(500));
    assert_eq!(demanded(&runner.decide(START)), [[want(500, 1, 0)]]);

    runner.hear(START, units(1, 1, 500, 1));

    let decisions = runner.decide(START);
    assert_eq!((said(&decisions), accepted(&decisions)), (vec!["accept"], vec![(vec![1], vec![1])]));
}

#[test]
fn a_task_that_no_agent_can_run_is_wanted_no_more() {
    let mut runner = batch();
    runner.submit(START, 0, task(64_000));
    assert_eq!(said(&runner.decide(START)), ["demand"]);

    runner.surveyed(START, Some(vec![agent(4000)]));

    assert_eq!(runner.decide(START).commands, [FrameworkCommand::Demand { role: None, wants: Vec::new() }]);
}

#[test]
fn without_agents_tasks_wait_and_say_so_after_five_seconds() {
    let mut runner = RunnerState::new(
        FRAMEWORK,
        Vec::new(),
        Policy { retries: 0, linger: Duration::ZERO, unreachable_patience: PATIENCE, gang: false },
        Vec::new(),
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

/// What a task of four cores says after five seconds without an offer, in a cluster like this.
fn told(agent: AgentView) -> Vec<String> {
    let mut runner = batch();
    runner.submit(START, 0, task(4000));
    runner.decide(START);
    let late = START + Duration::from_secs(5);
    assert!(runner.decide(late).survey);
    runner.surveyed(late, Some(vec![agent]));

    let told = waits(&runner.decide(late));
    assert_eq!(waits(&runner.decide(late + Duration::from_secs(60))), [""; 0], "it is told once");
    told
}

#[test]
fn a_task_that_only_has_to_wait_says_so_once() {
    assert_eq!(
        told(AgentView { used: room(3000), offered: room(1000), ..agent(4000) }),
        ["wants 4.000 cpu, 64 MiB mem, and every agent that has as much is busy with tasks of others"]
    );
}

#[test]
fn a_task_for_which_too_little_is_free_says_how_much_that_is() {
    assert_eq!(
        told(AgentView { used: cpus(3000), ..agent(4000) }),
        ["wants 4.000 cpu, 64 MiB mem, and the most that is free on one agent is 1.000 cpu, 960 MiB mem on a1"]
    );
}

#[test]
fn a_task_that_is_not_offered_what_is_free_says_so() {
    assert_eq!(told(agent(4000)), ["wants 4.000 cpu, 64 MiB mem, and the master offers nothing of what is free on a1"]);
}
