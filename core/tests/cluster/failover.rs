//! A new master, and who comes back to it.

use std::time::Duration;

use haggle_core::cluster::{
    AgentOrder, AgentRecord, Change, Config, Effect, FrameworkCommand, FrameworkEvent, Question, Recovered,
};
use haggle_core::{AgentId, Epoch, FrameworkId, Now, Reason, TaskId, TaskState, UpdateId};

use crate::kit::*;

const T: TaskId = TaskId { framework: FrameworkId(1), number: 1 };

/// A master whose predecessor knew an agent of (2, 1024) and a framework.
fn new_master() -> World {
    World::with(Config { agent_timeout: Duration::from_secs(75), ..Config::default() }, one_of_each_remembered())
}

fn agent_returns(world: &mut World) -> (Agent, Vec<Effect>) {
    let runs = vec![held(T, TaskState::Running, size(1, 512))];
    world.register(Some(AgentId(1)), size(2, 1024), runs)
}

/// Scenario 39. Mesos: `MasterAllocatorTest.FrameworkReregistersFirst`.
#[test]
fn a_framework_that_is_back_first_is_offered_what_its_tasks_leave() {
    let mut world = new_master();
    let (framework, _) = world.subscribe(Some(FrameworkId(1)), framework_info("role"));

    let (_, effects) = agent_returns(&mut world);

    assert_eq!(offers(&effects, framework)[0].resources, size(1, 512));
    assert_eq!(world.cluster.frameworks()[0].used, size(1, 512));
    assert_eq!(world.cluster.task(T).expect("it is known").role, "role");
}

/// Scenario 39. Mesos: `MasterAllocatorTest.SlaveReregistersFirst`.
#[test]
fn an_agent_that_is_back_first_keeps_its_tasks() {
    let mut world = new_master();
    let (agent, effects) = agent_returns(&mut world);
    assert!(!orders(&effects, agent).contains(&AgentOrder::RemoveFramework(FrameworkId(1))));

    let (framework, effects) = world.subscribe(Some(FrameworkId(1)), framework_info("role"));

    assert_eq!(offers(&effects, framework)[0].resources, size(1, 512));
    assert_eq!(orders(&effects, agent), [AgentOrder::Resend(FrameworkId(1))]);
    assert_eq!(world.cluster.frameworks()[0].used, size(1, 512));
}

#[test]
fn ids_go_on_where_the_last_master_stopped() {
    let mut world = new_master();

    assert_eq!(world.agent(1, 512).id, AgentId(5));
    assert_eq!(world.framework("role").id, FrameworkId(5));
}

/// Scenario 37. Mesos: `MasterTest.RecoveredSlaveCanReregister` and `UnreachableTaskAfterFailover`.
#[test]
fn an_agent_that_is_not_back_in_time_is_lost_and_may_still_return() {
    let mut world = new_master();
    let (framework, _) = world.subscribe(Some(FrameworkId(1)), framework_info("role"));

    let effects = world.wait(Duration::from_secs(60));
    assert_eq!(events(&effects, framework), [FrameworkEvent::AgentLost(AgentId(1))]);
    let unreachable = AgentRecord { unreachable_since: Some(world.now), ..record(size(2, 1024), 1) };
    assert!(effects.contains(&Effect::Remember(Change::AgentRecorded(AgentId(1), unreachable))));

    let (agent, effects) = agent_returns(&mut world);
    assert_eq!(agent.id, AgentId(1));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Remember(Change::AgentRecorded(..)))));
    assert_eq!(world.state_of(T), Some(TaskState::Running));
}

#[test]
fn a_framework_has_its_failover_timeout_from_the_start_of_the_new_master() {
    let mut world = new_master();
    let (agent, _) = agent_returns(&mut world);

    let effects = world.wait(Duration::from_secs(60));

    assert!(effects.contains(&Effect::Remember(Change::FrameworkRemoved(FrameworkId(1)))));
    assert_eq!(orders(&effects, agent), [AgentOrder::RemoveFramework(FrameworkId(1))]);
}

#[test]
fn an_end_that_the_last_master_did_not_deliver_is_delivered_and_acknowledged() {
    let mut world = new_master();
    let (framework, _) = world.subscribe(Some(FrameworkId(1)), framework_info("role"));
    let (agent, _) = world.register(Some(AgentId(1)), size(2, 1024), vec![held(T, TaskState::Failed, size(1, 512))]);
    assert_eq!(world.used_on(agent), size(0, 0));

    let effects = world.update(agent, T, 2, TaskState::Failed);
    assert_eq!(briefs(&effects, framework), [(T, TaskState::Failed, None)]);

    let effects = world.acknowledge(framework, T, 2);
    assert_eq!(orders(&effects, agent), [AgentOrder::Acknowledge(T, UpdateId(2))]);
    assert_eq!(world.cluster.frameworks()[0].tasks, 0);
}

/// Breach: the state came from the registration with update 0, so that any old acknowledgement settled it.
#[test]
fn a_late_acknowledgement_does_not_settle_an_end_that_came_with_a_registration() {
    let mut world = new_master();
    let (framework, _) = world.subscribe(Some(FrameworkId(1)), framework_info("role"));
    let (agent, _) = world.register(Some(AgentId(1)), size(2, 1024), vec![held(T, TaskState::Failed, size(1, 512))]);

    let effects = world.acknowledge(framework, T, 1);

    assert_eq!(orders(&effects, agent), [AgentOrder::Acknowledge(T, UpdateId(1))]);
    assert_eq!(world.cluster.counts().tasks, 1);
    world.acknowledge(framework, T, 2);
    assert_eq!(world.cluster.counts().tasks, 0);
}

/// Breach: tasks that agents brought back were not told to their framework.
#[test]
fn a_framework_is_told_of_its_tasks_as_their_agents_come_back() {
    let mut world = new_master();
    let (framework, _) = world.subscribe(Some(FrameworkId(1)), framework_info("role"));

    let (_, effects) = agent_returns(&mut world);

    assert_eq!(briefs(&effects, framework), [(T, TaskState::Running, Some(Reason::AgentReregistered))]);
}

/// Breach: a kill that came while agents were expected back was neither answered nor remembered.
#[test]
fn a_kill_of_a_task_that_is_not_back_yet_ends_it_when_it_is() {
    let mut world = new_master();
    let (framework, _) = world.subscribe(Some(FrameworkId(1)), framework_info("role"));
    let effects = world.framework_says(framework, FrameworkCommand::Kill(T));
    assert_eq!(briefs(&effects, framework), []);

    let (agent, effects) = agent_returns(&mut world);

    assert!(orders(&effects, agent).contains(&AgentOrder::Kill(T)));
    assert!(briefs(&effects, framework).contains(&(T, TaskState::Running, Some(Reason::Reconciliation))));
    assert_eq!(world.cluster.counts().kills, 0);
}

fn ask(world: &mut World, framework: Framework, agent: AgentId) -> Vec<TaskState> {
    let question = Question { task: T, agent: Some(agent) };
    let effects = world.framework_says(framework, FrameworkCommand::Reconcile(vec![question]));
    updates(&effects, framework).iter().map(|status| status.state).collect()
}

#[test]
fn a_question_that_names_the_agent_is_answered_once_that_agent_is_back() {
    let mut world = new_master();
    let (framework, _) = world.subscribe(Some(FrameworkId(1)), framework_info("role"));
    assert_eq!(ask(&mut world, framework, AgentId(1)), []);

    let (_, effects) = world.register(Some(AgentId(1)), size(2, 1024), vec![]);

    assert_eq!(briefs(&effects, framework), [(T, TaskState::Gone, Some(Reason::Reconciliation))]);
    assert_eq!(ask(&mut world, framework, AgentId(1)), [TaskState::Gone]);
}

/// Breach: an agent that was never seen again made every unknown task UNREACHABLE for ever.
#[test]
fn a_task_on_an_agent_that_never_came_back_is_unreachable_and_then_gone() {
    let mut world = new_master();
    let (framework, _) = world.subscribe(Some(FrameworkId(1)), framework_info("role"));
    ask(&mut world, framework, AgentId(1));

    let effects = world.wait(Duration::from_secs(60));
    assert_eq!(briefs(&effects, framework), [(T, TaskState::Unreachable, Some(Reason::Reconciliation))]);

    let effects = world.wait(Duration::from_secs(24 * 60 * 60));
    assert_eq!(briefs(&effects, framework), [(T, TaskState::Gone, Some(Reason::Reconciliation))]);
    assert_eq!(ask(&mut world, framework, AgentId(1)), [TaskState::Gone]);
    assert_eq!(world.cluster.counts().questions, 0);
}

/// As many questions as may wait, and as many kills.
const WAITING_MAX: u64 = 100_000;

#[test]
fn whoever_asks_too_much_is_told_so() {
    let mut world = new_master();
    let (framework, _) = world.subscribe(Some(FrameworkId(1)), framework_info("role"));
    let task = |number| TaskId { framework: framework.id, number };
    let ask = |numbers: std::ops::RangeInclusive<u64>| {
        let questions = numbers.map(|number| Question { task: task(number), agent: Some(AgentId(1)) });
        FrameworkCommand::Reconcile(questions.collect())
    };

    let effects = world.framework_says(framework, ask(1..=WAITING_MAX + 1));
    let limit = |number| [(task(number), TaskState::Unknown, Some(Reason::FrameworkLimit))];
    assert_eq!(briefs(&effects, framework), limit(WAITING_MAX + 1));
    assert_eq!(briefs(&world.framework_says(framework, ask(1..=1)), framework), [], "that one waits already");

    for number in 1..=WAITING_MAX {
        world.framework_says(framework, FrameworkCommand::Kill(task(number)));
    }
    let effects = world.framework_says(framework, FrameworkCommand::Kill(task(WAITING_MAX + 1)));
    assert_eq!(briefs(&effects, framework), limit(WAITING_MAX + 1));
}

/// A tenant could fill the master: ask, leave, and come back as another framework.
#[test]
fn the_questions_of_a_framework_that_is_gone_do_not_wait_any_more() {
    let mut world = new_master();
    let framework = world.framework("role");
    let task = TaskId { framework: framework.id, number: 1 };
    let questions = [Some(AgentId(1)), None].map(|agent| Question { task, agent });
    world.framework_says(framework, FrameworkCommand::Reconcile(questions.to_vec()));
    assert_eq!(world.cluster.counts().questions, 2);

    world.framework_says(framework, FrameworkCommand::Teardown);

    assert_eq!(world.cluster.counts().questions, 0);
}

#[test]
fn how_long_an_agent_is_unreachable_is_remembered_over_masters() {
    let since = Some(Now::ZERO);
    let agent = AgentRecord { unreachable_since: since, ..record(size(2, 1024), 1) };
    let recovered = Recovered { agents: vec![(AgentId(1), agent)], last_agent: 1, ..remembered() };
    let mut world = World::with(Config::default(), recovered);

    let effects = world.wait(Duration::from_secs(24 * 60 * 60));

    assert!(effects.contains(&Effect::Remember(Change::AgentRemoved(AgentId(1)))));
}

#[test]
fn an_answer_to_an_offer_of_the_last_master_takes_none_of_the_new_one() {
    let offer_of = |epoch| {
        let mut world = World::with(Config::default(), Recovered { epoch: Epoch(epoch), ..remembered() });
        let framework = world.framework("role");
        world.agent(2, 1024);
        world.open_offer(framework)
    };

    assert_ne!(offer_of(1), offer_of(2));
}
