//! What the master is told that is wanted, and which offers are given back.

use super::*;

const WINDOW: Duration = Duration::from_secs(1);

#[test]
fn a_session_without_tasks_wants_nothing() {
    let mut runner = session();

    assert_eq!(said(&runner.decide(START)), [""; 0]);
    assert_eq!(runner.deadline(), None);
}

#[test]
fn tasks_that_wait_are_wanted_by_their_kind() {
    let mut runner = session();
    for (index, milli) in [500, 500, 250, 500].into_iter().enumerate() {
        runner.submit(START, index as u64, task(milli));
    }

    assert_eq!(demanded(&runner.decide(START)), [[want(500, 3, 0), want(250, 1, 0)]]);
    assert_eq!(said(&runner.decide(START)), [""; 0]);
}

#[test]
fn a_batch_says_nothing_more_than_its_launches() {
    let policy = Policy { retries: 0, linger: Duration::ZERO, unreachable_patience: PATIENCE, gang: false };
    let mut runner = RunnerState::new(FRAMEWORK, vec![agent(4000)], policy, vec![want(500, 3, 0)]);
    for index in 0..3 {
        runner.submit(START, index, task(500));
    }

    assert_eq!(said(&runner.decide(START)), [""; 0]);
    for (id, count) in [(1, 2), (2, 1)] {
        runner.hear(START, units(id, 1, 500, count));
        assert_eq!(said(&runner.decide(START)), ["accept"]);
    }
    assert_eq!(runner.deadline(), None);
}

#[test]
fn what_tasks_are_granted_is_asked_for_and_tasks_go_where_it_is_allowed() {
    let mut networked = agent(4000);
    networked.info.attributes.insert("haggle.net".to_owned(), "allowed".to_owned());
    let policy = Policy { retries: 0, linger: Duration::ZERO, unreachable_patience: PATIENCE, gang: false };
    let mut runner = RunnerState::new(FRAMEWORK, vec![agent(4000), networked.clone()], policy, Vec::new());
    runner.submit(START, 0, task(500));
    runner.submit(START, 1, task(500).allow_http("api.example"));
    let net = Want { constraints: vec!["haggle.net".parse().unwrap()], ..want(500, 1, 0) };
    assert_eq!(demanded(&runner.decide(START)), [[want(500, 1, 0), net]]);

    runner.hear(START, units(1, 1, 500, 2));
    let decisions = runner.decide(START);
    assert_eq!(accepted(&decisions), [(vec![1], vec![1])], "the other one waits for an agent with a network");

    let offer = Offer {
        id: OfferId(2),
        agent: AgentId(2),
        agent_name: "a2".to_owned(),
        attributes: networked.info.attributes,
        role: "role".to_owned(),
        reserved: Vec::new(),
        volumes: Vec::new(),
        resources: cpus(500),
        unavailability: None,
    };
    runner.hear(START, Event::Offers(vec![offer]));
    assert_eq!(accepted(&runner.decide(START)), [(vec![2], vec![2])]);
    assert_eq!(said(&runner.decide(START)), [""; 0], "the master has counted both");
}

#[test]
fn a_task_that_is_allowed_nowhere_is_refused_with_what_agents_lack() {
    let mut runner = batch();
    runner.submit(START, 0, task(500).host_folder("/data", "/srv/data"));
    assert!(runner.decide(START).survey, "an agent may have come that allows it");

    runner.surveyed(START, Some(vec![agent(4000)]));

    let decisions = runner.decide(START);
    let [News::Refused { index: 0, why }] = &decisions.news[..] else { panic!("{:?}", decisions.news) };
    assert_eq!(
        why.to_string(),
        "task \"t\" can run on no agent: a1: tasks may not read /srv/data (haggle agent --allow-folder)"
    );
}

/// A session that has run a task, and has an offer in hand for the next one.
fn used() -> RunnerState {
    let mut runner = session();
    runner.submit(START, 0, task(500));
    assert_eq!(demanded(&runner.decide(START)), [[want(500, 1, 0)]]);
    runner.hear(START, units(1, 1, 500, 1));
    let decisions = runner.decide(START);
    assert_eq!(said(&decisions), ["accept", "demand"]);
    assert_eq!(demanded(&decisions), [[want(500, 0, 1)]]);
    runner.hear(START, units(2, 1, 500, 1));
    runner.hear(START, update(1, TaskState::Finished, None));
    assert_eq!(said(&runner.decide(START)), ["acknowledge"]);
    runner
}

#[test]
fn one_task_after_another_costs_one_accept_and_one_acknowledgement_each() {
    let mut runner = used();
    for number in 2..5000 {
        let now = START + Duration::from_millis(number);
        runner.submit(now, number, task(500));
        assert_eq!(said(&runner.decide(now)), ["accept"]);

        // What is left of the agent is offered at once, and what the task used is not wanted beside that.
        runner.hear(now, units(number + 1, 1, 500, 1));
        runner.hear(now, update(number, TaskState::Running, None));
        assert_eq!(said(&runner.decide(now)), ["acknowledge"]);
        runner.hear(now, update(number, TaskState::Finished, None));
        assert_eq!(said(&runner.decide(now)), ["acknowledge"]);
    }
}

#[test]
fn a_session_keeps_room_while_it_lingers_and_no_longer() {
    let mut runner = used();

    let mut now = START;
    while let Some(deadline) = runner.deadline().filter(|&deadline| deadline < START + LINGER) {
        now = deadline;
        assert_eq!(said(&runner.decide(now)), [""; 0]);
    }
    assert!(now > START);
    let decisions = runner.decide(START + LINGER);
    assert_eq!((said(&decisions), demanded(&decisions)), (vec!["demand", "decline"], vec![vec![]]));
    assert_eq!(runner.deadline(), None);
}

#[test]
fn a_session_keeps_as_much_room_as_its_tasks_of_the_last_second_used_at_once() {
    let mut runner = used();
    for number in 2..=4 {
        runner.submit(START, number, task(500));
        runner.decide(START);
        runner.hear(START, units(number + 1, 1, 500, 1));
    }
    for number in 2..=4 {
        runner.hear(START, update(number, TaskState::Finished, None));
    }
    assert_eq!(said(&runner.decide(START)), ["acknowledge"]);

    assert_eq!(demanded(&runner.decide(START + WINDOW)), [[want(500, 0, 3)]]);
    runner.hear(START + WINDOW, units(9, 1, 500, 2));
    assert_eq!(said(&runner.decide(START + WINDOW)), [""; 0]);

    let decisions = runner.decide(START + WINDOW * 2);
    assert_eq!((said(&decisions), demanded(&decisions)), (vec!["demand", "decline"], vec![vec![want(500, 0, 1)]]));
    let Some(FrameworkCommand::Decline { offers, refuse: Duration::ZERO }) = decisions.commands.last() else {
        panic!("{decisions:?}")
    };
    assert_eq!(offers, &[OfferId(9)], "the one that is within what is kept stays in hand");
}

#[test]
fn a_task_is_launched_on_the_room_of_several_smaller_ones_of_one_agent() {
    let mut runner = used();
    runner.hear(START, units(9, 1, 500, 1));

    runner.submit(START, 1, task(1000));

    let decisions = runner.decide(START);
    assert_eq!(accepted(&decisions), [(vec![2, 9], vec![2])]);
}

#[test]
fn a_task_does_not_wait_behind_the_room_that_is_kept_for_smaller_ones() {
    let mut runner = used();

    runner.submit(START, 1, task(1000));
    let decisions = runner.decide(START);
    assert_eq!(said(&decisions), ["demand", "decline"]);
    assert_eq!(demanded(&decisions), [[want(1000, 1, 0)]]);

    runner.hear(START, units(3, 1, 1000, 1));
    let decisions = runner.decide(START);
    assert_eq!(said(&decisions), ["accept", "demand"]);
    assert_eq!(demanded(&decisions), [[want(500, 0, 1), want(1000, 0, 1)]]);
}

#[test]
fn room_is_kept_for_large_tasks_while_smaller_ones_wait() {
    let mut runner = used();
    runner.hear(START, Event::Rescinded(vec![OfferId(2)]));

    runner.submit(START, 1, task(250));

    assert_eq!(demanded(&runner.decide(START)), [[want(250, 1, 0), want(500, 0, 1)]]);
}

#[test]
fn who_declines_says_first_what_is_wanted() {
    let mut runner = batch();
    runner.submit(START, 0, task(1000));
    assert_eq!(demanded(&runner.decide(START)), [[want(1000, 1, 0)]]);

    runner.hear(START, units(1, 1, 500, 1));

    let decisions = runner.decide(START);
    assert_eq!((said(&decisions), demanded(&decisions)), (vec!["demand", "decline"], vec![vec![want(1000, 1, 0)]]));
}

#[test]
fn an_offer_for_a_task_that_was_killed_meanwhile_is_declined() {
    let mut runner = batch();
    runner.submit(START, 0, task(500));
    runner.decide(START);
    runner.kill(0);
    assert_eq!(demanded(&runner.decide(START)), [[]]);

    runner.hear(START, units(1, 1, 500, 1));

    assert_eq!(said(&runner.decide(START)), ["demand", "decline"]);
}

#[test]
fn a_dropped_launch_wants_room_again() {
    let mut runner = used();
    runner.submit(START, 1, task(500));
    assert_eq!(said(&runner.decide(START)), ["accept"]);

    runner.hear(START, update(2, TaskState::Dropped, Some(Reason::InvalidOffers)));

    assert_eq!(demanded(&runner.decide(START)), [[want(500, 1, 1)]]);
}

#[test]
fn of_many_kinds_those_of_most_tasks_are_wanted_first_and_the_rest_when_they_are_launched() {
    let mut runner = batch();
    let kinds = Want::MAX as u64 + 10;
    for milli in 1..=kinds {
        runner.submit(START, milli, task(milli));
    }
    runner.submit(START, 1000, task(kinds));
    let decisions = runner.decide(START);
    let wants = &demanded(&decisions)[0];
    assert_eq!((wants.len(), &wants[0]), (Want::MAX, &want(kinds, 2, 0)));

    runner.hear(START, units(1, 1, kinds, 2));

    let decisions = runner.decide(START);
    assert_eq!(said(&decisions), ["accept", "demand"]);
    assert_eq!(demanded(&decisions)[0].len(), Want::MAX);
}
