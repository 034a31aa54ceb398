//! Tasks that are launched all or none, and live and die together (scenario 43: a failing task of a group ends all of it).

use std::sync::Arc;
use std::time::Duration;

use haggle_core::access::Principal;
use haggle_core::cluster::{AgentOrder, AgentRecord, Config, Effect, FrameworkCommand, HeldTask, Recovered};
use haggle_core::{
    AgentId, FrameworkId, Group, OfferId, Placed, Reason, Source, TaskId, TaskSpec, TaskState, TaskStatus, UpdateId,
};

use crate::kit::{
    AN_HOUR, Agent, Gang, World, briefs, framework_info, framework_record, held, offers, orders, record, remembered,
    size, task, updates,
};

/// A group of three: one task on the first agent, two on the second.
const GROUP: Group = Group { first: 1, size: 3 };

/// On which agent a task is.
fn at(number: u64) -> usize {
    usize::from(number > 1)
}

/// Two agents with four cores each, both offered.
fn offered() -> Gang {
    Gang::of(World::new(), "role", &size(4, 1024))
}

impl Gang {
    /// Its three tasks are launched.
    fn launched() -> Self {
        let mut gang = offered();
        let tasks = gang.three();
        gang.launch(vec![], tasks);
        gang
    }

    /// They run, and that is acknowledged.
    fn running() -> Self {
        let mut gang = Self::launched();
        for number in 1..=3 {
            gang.report(number, 1, TaskState::Running);
            gang.world.acknowledge(gang.framework, gang.id(number), 1);
        }
        gang
    }

    fn id(&self, number: u64) -> TaskId {
        TaskId { framework: self.framework.id, number }
    }

    fn home(&self, number: u64) -> Agent {
        self.agents[at(number)]
    }

    fn placed(&self, number: u64, cpus: u64) -> Placed {
        self.task_on(at(number), number, cpus)
    }

    fn three(&self) -> Vec<Placed> {
        (1..=3).map(|number| self.placed(number, 1)).collect()
    }

    fn report(&mut self, number: u64, update: u64, state: TaskState) -> Vec<Effect> {
        self.world.update(self.home(number), self.id(number), update, state)
    }

    /// Its agent has ended it as it was told.
    fn is_ended(&mut self, number: u64, update: u64) -> Vec<Effect> {
        let status = TaskStatus {
            reason: Some(Reason::TaskGroup),
            ..TaskStatus::new(self.id(number), UpdateId(update), TaskState::Killed, Source::Executor)
        };
        let agent = self.home(number);
        self.world.agent_says(agent, haggle_core::cluster::AgentCommand::Updates(vec![status]))
    }

    fn states(&self) -> Vec<Option<TaskState>> {
        (1..=3).map(|number| self.world.state_of(self.id(number))).collect()
    }

    /// Whom an agent is told to end for the group's sake, and why.
    fn ended_on(&self, effects: &[Effect], agent: Agent) -> Vec<(u64, String)> {
        let told = orders(effects, agent).into_iter().filter_map(|order| match order {
            AgentOrder::End { task, reason: Reason::TaskGroup, why } => Some((task.number, why)),
            _ => None,
        });
        told.collect()
    }

    /// The same of both agents, without the words.
    fn ended(&self, effects: &[Effect]) -> Vec<u64> {
        let both = self.agents.iter().flat_map(|agent| self.ended_on(effects, *agent));
        both.map(|(number, _)| number).collect()
    }

    fn launches(&self, effects: &[Effect]) -> usize {
        let is_launch = |effect: &&Effect| matches!(effect, Effect::ToAgent(_, AgentOrder::Launch(_)));
        effects.iter().filter(is_launch).count()
    }

    fn acknowledged(&self, effects: &[Effect], number: u64) -> bool {
        let its = |order: &AgentOrder| matches!(order, AgentOrder::Acknowledge(task, _) if task.number == number);
        orders(effects, self.home(number)).iter().any(its)
    }

    /// Another master, which knows both agents and the framework, but no task.
    fn fail_over(&mut self) {
        let known =
            |agent: Agent| AgentRecord { key: self.world.identity(agent.id).key, ..record(size(4, 1024), agent.id.0) };
        let agents = self.agents.map(|agent| (agent.id, known(agent)));
        let recovered = Recovered {
            agents: agents.to_vec(),
            frameworks: vec![(self.framework.id, framework_record("role"))],
            last_agent: 2,
            last_framework: self.framework.id.0,
            epoch: haggle_core::Epoch(2),
            ..remembered()
        };
        self.world.fail_over(Config::default(), recovered);
        self.framework = self.world.subscribe(Some(self.framework.id), framework_info("role")).0;
    }

    /// An agent comes back with these tasks of the group.
    fn return_with(&mut self, at: usize, tasks: &[(u64, TaskState)]) -> Vec<Effect> {
        let held = |&(number, state): &(u64, TaskState)| HeldTask {
            group: Some(GROUP),
            ..held(self.id(number), state, size(1, 128))
        };
        let tasks = tasks.iter().map(held).collect();
        let (agent, effects) = self.world.register(Some(self.agents[at].id), size(4, 1024), tasks);
        self.agents[at] = agent;
        effects
    }
}

#[test]
fn a_group_is_launched_on_several_agents_at_once() {
    let mut gang = offered();
    let offers = gang.world.open_offers(gang.framework);
    assert_eq!(offers.len(), 2);

    let tasks = gang.three();
    let effects = gang.launch(vec![], tasks);

    let launched = |agent| {
        let orders = orders(&effects, agent).into_iter().filter_map(|order| match order {
            AgentOrder::Launch(spec) => Some((spec.id.number, spec.group, spec.role.clone())),
            _ => None,
        });
        orders.collect::<Vec<_>>()
    };
    let told = |number| (number, Some(GROUP), "role".to_owned());
    assert_eq!(launched(gang.agents[0]), [told(1)]);
    assert_eq!(launched(gang.agents[1]), [told(2), told(3)]);
    assert_eq!(gang.states(), [Some(TaskState::Staging); 3]);
    assert_eq!(gang.world.cluster.task(gang.id(2)).unwrap().group, Some(GROUP));
    assert_eq!((gang.world.used_on(gang.agents[0]), gang.world.used_on(gang.agents[1])), (size(1, 128), size(2, 256)));
}

#[test]
fn when_one_task_does_not_fit_none_is_launched_and_each_is_told_which_one() {
    let mut gang = offered();
    let tasks = vec![gang.placed(1, 1), gang.placed(2, 9), gang.placed(3, 1)];

    let effects = gang.launch(vec![], tasks);

    assert_eq!(gang.launches(&effects), 0);
    let told = briefs(&effects, gang.framework);
    let other = Some(Reason::TaskGroup);
    assert_eq!(
        told,
        [
            (gang.id(1), TaskState::Dropped, other),
            (gang.id(2), TaskState::Dropped, Some(Reason::InvalidOffers)),
            (gang.id(3), TaskState::Dropped, other),
        ]
    );
    let why = &updates(&effects, gang.framework)[0].message;
    assert!(why.starts_with("task-1.1 is not launched, as its group is all or none: task-1.2 does not fit"), "{why}");
    // What was offered is offered again.
    assert_eq!(offers(&effects, gang.framework).len(), 2);
}

#[test]
fn whatever_speaks_against_one_task_speaks_against_all() {
    type Wrong = (&'static str, fn(&Gang) -> Vec<Placed>, TaskState, Reason);
    let wrong: [Wrong; 5] = [
        (
            "a spec that is wrong",
            |gang| {
                let spec = TaskSpec { resources: size(1, 0), ..task(gang.framework, 2, 1, 1) };
                vec![gang.placed(1, 1), Placed { task: Arc::new(spec), ..gang.placed(2, 1) }]
            },
            TaskState::Error,
            Reason::TaskInvalid,
        ),
        ("a number twice", |gang| vec![gang.placed(1, 1), gang.placed(1, 1)], TaskState::Error, Reason::TaskInvalid),
        (
            "an agent of which there is no offer",
            |gang| vec![gang.placed(1, 1), Placed { agent: AgentId(9), ..gang.placed(2, 1) }],
            TaskState::Dropped,
            Reason::InvalidOffers,
        ),
        (
            "another one's task",
            |gang| {
                let id = TaskId { framework: FrameworkId(9), number: 2 };
                let spec = TaskSpec { id, ..task(gang.framework, 2, 1, 1) };
                vec![gang.placed(1, 1), Placed { task: Arc::new(spec), ..gang.placed(2, 1) }]
            },
            TaskState::Error,
            Reason::TaskInvalid,
        ),
        (
            "too many tasks",
            |gang| (1..=Group::SIZE_MAX as u64 + 1).map(|number| gang.placed(number, 0)).collect(),
            TaskState::Error,
            Reason::TaskInvalid,
        ),
    ];
    for (what, tasks, state, reason) in wrong {
        let mut gang = offered();
        let tasks = tasks(&gang);
        let count = tasks.len();

        let effects = gang.launch(vec![], tasks);

        assert_eq!(gang.launches(&effects), 0, "{what}");
        let told = briefs(&effects, gang.framework);
        assert_eq!(told.len(), count, "{what}");
        assert!(told.iter().any(|brief| (brief.1, brief.2) == (state, Some(reason))), "{what}: {told:?}");
        assert_eq!(gang.world.used_on(gang.agents[0]), size(0, 0), "{what}");
    }
}

#[test]
fn an_offer_that_is_gone_launches_nothing_of_a_group() {
    let mut gang = offered();
    let offers = gang.world.open_offers(gang.framework);
    gang.world.disconnect(gang.agents[1]);

    let tasks = gang.three();
    let effects = gang.launch_on(offers, vec![], tasks);

    assert_eq!(gang.launches(&effects), 0);
    for brief in briefs(&effects, gang.framework) {
        assert_eq!((brief.1, brief.2), (TaskState::Dropped, Some(Reason::InvalidOffers)));
    }
    assert!(updates(&effects, gang.framework)[0].message.contains("is gone"));
}

#[test]
fn a_group_beyond_the_limit_of_its_framework_is_not_launched_in_part() {
    let config = Config { tasks_per_framework: 2, ..Config::default() };
    let mut gang = Gang::of(World::with(config, remembered()), "role", &size(4, 1024));

    let tasks = gang.three();
    let effects = gang.launch(vec![], tasks);

    assert_eq!(gang.launches(&effects), 0);
    assert_eq!(briefs(&effects, gang.framework)[0].2, Some(Reason::FrameworkLimit));
}

/// S43.
#[test]
fn s43_when_a_task_of_a_group_fails_the_others_are_ended_on_every_agent() {
    let mut gang = Gang::running();

    let effects = gang.report(1, 2, TaskState::Failed);

    let why = "task-1.1 of its group is FAILED".to_owned();
    assert_eq!(gang.ended_on(&effects, gang.agents[1]), [(2, why.clone()), (3, why)]);
    assert_eq!(gang.states(), [Some(TaskState::Failed), Some(TaskState::Killing), Some(TaskState::Killing)]);

    let told = [gang.is_ended(2, 2), gang.is_ended(3, 2)].concat();
    let killed = |number| (gang.id(number), TaskState::Killed, Some(Reason::TaskGroup));
    assert_eq!(briefs(&told, gang.framework), [killed(2), killed(3)]);
    assert_eq!(gang.ended(&told), Vec::<u64>::new());
}

/// S43: a limit on the time of one ends all of them.
#[test]
fn s43_a_task_that_reaches_its_time_limit_ends_its_group() {
    let mut gang = Gang::running();
    let status = TaskStatus {
        reason: Some(Reason::TimeLimit),
        ..TaskStatus::new(gang.id(3), UpdateId(2), TaskState::Failed, Source::Executor)
    };

    let agent = gang.agents[1];
    let effects = gang.world.agent_says(agent, haggle_core::cluster::AgentCommand::Updates(vec![status]));

    assert_eq!(
        gang.ended_on(&effects, gang.agents[0]),
        [(1, "task-1.3 of its group is FAILED (TIME_LIMIT)".to_owned())]
    );
    assert_eq!(gang.ended(&effects), [1, 2]);
}

#[test]
fn when_a_task_of_a_group_finishes_the_others_go_on() {
    let mut gang = Gang::running();

    let effects = gang.report(1, 2, TaskState::Finished);

    assert_eq!(gang.ended(&effects), Vec::<u64>::new());
    assert_eq!(gang.states(), [Some(TaskState::Finished), Some(TaskState::Running), Some(TaskState::Running)]);
}

#[test]
fn a_task_of_a_group_that_is_killed_takes_the_others_with_it() {
    let mut gang = Gang::running();

    let id = gang.id(2);
    gang.world.framework_says(gang.framework, FrameworkCommand::Kill(id));
    let effects = gang.report(2, 2, TaskState::Killed);

    assert_eq!(gang.ended(&effects), [1, 3]);
}

#[test]
fn a_task_of_a_group_that_never_arrived_ends_the_others() {
    let mut gang = Gang::launched();
    gang.report(2, 1, TaskState::Running);
    gang.report(3, 1, TaskState::Running);
    gang.world.disconnect(gang.agents[0]);

    let effects = gang.return_with(0, &[]);

    assert_eq!(gang.ended(&effects), [2, 3]);
    assert_eq!(briefs(&effects, gang.framework)[0].1, TaskState::Dropped);
}

#[test]
fn an_agent_that_is_silent_for_too_long_ends_its_group_and_what_it_brings_back_is_ended_too() {
    let mut gang = Gang::running();
    gang.world.disconnect(gang.agents[0]);
    let other = gang.agents[1];
    gang.world.wait(Duration::from_secs(70));
    gang.world.agent_says(other, haggle_core::cluster::AgentCommand::Heartbeat);

    let effects = gang.world.wait(Duration::from_secs(10));
    assert_eq!(gang.ended(&effects), [2, 3]);
    assert!(gang.ended_on(&effects, other)[0].1.contains("task-1.1 of its group is UNREACHABLE"));
    gang.is_ended(2, 2);
    gang.is_ended(3, 2);
    gang.world.acknowledge(gang.framework, gang.id(2), 2);
    gang.world.acknowledge(gang.framework, gang.id(3), 2);

    let effects = gang.return_with(0, &[(1, TaskState::Running)]);
    assert_eq!(gang.ended(&effects), [1]);
}

#[test]
fn an_agent_that_was_away_when_its_group_failed_is_told_when_it_comes_back() {
    let mut gang = Gang::running();
    gang.world.disconnect(gang.agents[1]);
    let effects = gang.report(1, 2, TaskState::Failed);
    assert_eq!(gang.ended(&effects), Vec::<u64>::new());

    let effects = gang.return_with(1, &[(2, TaskState::Running), (3, TaskState::Running)]);

    assert_eq!(gang.ended(&effects), [2, 3]);
    assert_eq!(gang.ended_on(&effects, gang.agents[1])[0].1, "task-1.1 of its group is FAILED");
}

#[test]
fn the_end_of_a_task_is_settled_with_its_agent_once_nothing_of_its_group_runs() {
    let mut gang = Gang::running();
    gang.report(1, 2, TaskState::Finished);
    let first = gang.id(1);

    let effects = gang.world.acknowledge(gang.framework, first, 2);
    assert!(!gang.acknowledged(&effects, 1));
    // Its agent repeats it, and its framework need not hear it again; nor does it when the agent goes.
    assert_eq!(briefs(&gang.report(1, 2, TaskState::Finished), gang.framework), []);
    gang.report(2, 2, TaskState::Finished);
    let effects = gang.report(3, 2, TaskState::Finished);

    assert!(gang.acknowledged(&effects, 1));
    let effects = gang.world.acknowledge(gang.framework, gang.id(2), 2);
    assert!(gang.acknowledged(&effects, 2));
    let effects = gang.world.acknowledge(gang.framework, gang.id(3), 2);
    assert!(gang.acknowledged(&effects, 3));
    assert_eq!(gang.world.cluster.counts().tasks, 0);
}

#[test]
fn another_master_learns_of_a_group_from_its_agents_and_ends_it_when_one_fails() {
    let mut gang = Gang::running();
    gang.fail_over();
    gang.return_with(0, &[(1, TaskState::Running)]);
    let effects = gang.return_with(1, &[(2, TaskState::Running), (3, TaskState::Running)]);
    assert_eq!(gang.ended(&effects), Vec::<u64>::new());

    let effects = gang.report(1, 3, TaskState::Failed);

    assert_eq!(gang.ended(&effects), [2, 3]);
}

#[test]
fn another_master_does_not_take_a_task_that_finished_for_lost() {
    let mut gang = Gang::running();
    gang.report(1, 2, TaskState::Finished);
    let first = gang.id(1);
    gang.world.acknowledge(gang.framework, first, 2);

    gang.fail_over();
    gang.return_with(0, &[(1, TaskState::Finished)]);
    let effects = gang.return_with(1, &[(2, TaskState::Running), (3, TaskState::Running)]);

    assert_eq!(gang.ended(&effects), Vec::<u64>::new());
}

#[test]
fn another_master_ends_a_group_of_which_a_task_failed_while_an_agent_was_away() {
    let mut gang = Gang::running();
    gang.world.disconnect(gang.agents[1]);
    gang.report(1, 2, TaskState::Failed);
    let first = gang.id(1);
    gang.world.acknowledge(gang.framework, first, 2);

    gang.fail_over();
    gang.return_with(0, &[(1, TaskState::Failed)]);
    let effects = gang.return_with(1, &[(2, TaskState::Running), (3, TaskState::Running)]);

    assert_eq!(gang.ended(&effects), [2, 3]);
}

#[test]
fn another_master_ends_a_group_of_which_no_agent_holds_a_task() {
    let mut gang = Gang::running();
    gang.fail_over();
    let effects = gang.return_with(1, &[(2, TaskState::Running), (3, TaskState::Running)]);
    // The other agent may bring it.
    assert_eq!(gang.ended(&effects), Vec::<u64>::new());

    let effects = gang.return_with(0, &[]);

    assert_eq!(gang.ended(&effects), [2, 3]);
    let why = &gang.ended_on(&effects, gang.agents[1])[0].1;
    assert_eq!(why, "no agent holds 1 of its group's 3 tasks");
}

#[test]
fn an_agent_cannot_bring_a_task_into_a_group_that_this_master_has_launched() {
    let mut gang = Gang::running();
    gang.world.disconnect(gang.agents[0]);

    let effects = gang.return_with(0, &[(1, TaskState::Running), (9, TaskState::Failed)]);

    assert_eq!(gang.ended(&effects), Vec::<u64>::new());
    assert_eq!(gang.states(), [Some(TaskState::Running); 3]);
}

#[test]
fn a_group_whose_framework_is_gone_leaves_nothing_behind() {
    let mut gang = Gang::running();
    gang.report(1, 2, TaskState::Finished);
    let first = gang.id(1);
    gang.world.acknowledge(gang.framework, first, 2);
    gang.world.framework_says(gang.framework, FrameworkCommand::Teardown);

    gang.report(2, 2, TaskState::Killed);
    gang.report(3, 2, TaskState::Killed);

    assert_eq!(gang.world.cluster.counts().tasks, 0);
    assert_eq!(gang.world.used_on(gang.agents[1]), size(0, 0));
}

#[test]
fn whoever_may_not_launch_launches_no_group() {
    let mut gang = offered();
    let viewer = gang.world.session_of(Principal::owner());
    let tasks = gang.three();
    let offers = vec![OfferId(1)];
    let launch = FrameworkCommand::LaunchGroup { offers, operations: vec![], tasks, refuse: AN_HOUR };
    // Nobody has subscribed on this session.
    assert!(gang.world.try_apply(haggle_core::cluster::Command::Framework(viewer, launch.into())).is_err());
}
