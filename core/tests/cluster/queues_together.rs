//! A master, an agent with its executor, and a framework with one allocation, while messages are lost and processes restart:
//! every task that was put into the queue ends once, and its framework hears of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use haggle_core::cluster::{
    Acknowledgement, AgentCommand, AgentIdentity, AgentOrder, Command, Config, Effect, FrameworkCommand,
    FrameworkEvent, Recovered,
};
use haggle_core::node::{self, Node, RecoveredQueue};
use haggle_core::queue::Shape;
use haggle_core::{
    AgentId, AllocationSpec, Bytes, Ending, Epoch, FrameworkId, HeldRun, MilliCpu, QueueEnd, QueuedTasks, Reason,
    Resources, Source, Stop, TaskId, TaskSpec, TaskState, TaskSummary, UpdateId, Usage,
};
use proptest::prelude::*;

use crate::kit::*;

const ALLOCATION: u64 = 1;
const FRAMEWORK: FrameworkId = FrameworkId(1);
const AGENT: AgentId = AgentId(1);

fn id(number: u64) -> TaskId {
    TaskId { framework: FRAMEWORK, number }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Enqueue(u32),
    AgentHears,
    MasterHears,
    Begins,
    Ends,
    Acknowledges,
    Kills(u64),
    Preempts,
    Breaks,
    Returns,
    Restarts,
    FailsOver,
    Waits,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        9 => (1_u32..5).prop_map(Step::Enqueue),
        24 => Just(Step::AgentHears),
        24 => Just(Step::MasterHears),
        18 => Just(Step::Begins),
        18 => Just(Step::Ends),
        12 => Just(Step::Acknowledges),
        3 => (10_u64..40).prop_map(Step::Kills),
        1 => Just(Step::Preempts),
        3 => Just(Step::Breaks),
        6 => Just(Step::Returns),
        3 => Just(Step::Restarts),
        3 => Just(Step::FailsOver),
        3 => Just(Step::Waits),
    ]
}

/// What an executor holds, which outlives its agent.
#[derive(Default)]
struct Executor {
    waiting: VecDeque<u64>,
    running: BTreeSet<u64>,
    ended: Vec<QueueEnd>,
    stopped: Option<Stop>,
}

struct Together {
    world: World,
    framework: Framework,
    agent: Option<Agent>,
    node: Node,
    run: u64,
    incarnation: u32,
    executor: Executor,
    to_agent: VecDeque<AgentOrder>,
    to_master: VecDeque<AgentCommand>,
    next: u64,
    accepted: BTreeSet<u64>,
    told: BTreeMap<u64, TaskState>,
    acks: Vec<Acknowledgement>,
    is_over: Option<TaskState>,
    epoch: u64,
}

fn spec() -> AllocationSpec {
    let idle_timeout = Duration::from_secs(3600);
    AllocationSpec {
        id: id(ALLOCATION),
        name: "queue".into(),
        role: "role".into(),
        resources: size(2, 1024),
        volumes: Vec::new(),
        idle_timeout,
    }
}

fn small() -> Resources {
    Resources::new(MilliCpu::new(1_000), Bytes::from_mib(16), Bytes::ZERO)
}

fn ending(state: TaskState) -> Ending {
    let (reason, message) = (None, String::new());
    Ending { state, reason, message, exit_code: None, exceeded: None, usage: Usage::default() }
}

fn new_node() -> Node {
    Node::new(node::Config::default(), size(2, 1024))
}

impl Together {
    fn new() -> Self {
        let mut world = World::new();
        let framework = world.framework("role");
        let agent = world.agent(2, 1024);
        let mut together = Self {
            world,
            framework,
            agent: Some(agent),
            node: new_node(),
            run: 1,
            incarnation: 0,
            executor: Executor::default(),
            to_agent: VecDeque::new(),
            to_master: VecDeque::new(),
            next: 10,
            accepted: BTreeSet::new(),
            told: BTreeMap::new(),
            acks: Vec::new(),
            is_over: None,
            epoch: 1,
        };
        together.node_does(node::Command::Registered(AGENT));
        let offer = together.world.open_offer(framework);
        let open = FrameworkCommand::Open { offers: vec![offer], allocation: Arc::new(spec()), refuse: NO_REFUSAL };
        together.framework_says(open);
        together.step(Step::AgentHears);
        together
    }

    fn effects(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::ToAgent(session, order) if self.agent.is_some_and(|agent| agent.session == session) => {
                    self.to_agent.push_back(order);
                }
                Effect::ToFramework(session, event) if session == self.framework.session => self.hear(event),
                _ => {}
            }
        }
    }

    fn hear(&mut self, event: FrameworkEvent) {
        match event {
            FrameworkEvent::Queue(update) => {
                if update.update != UpdateId::UNACKNOWLEDGED {
                    self.acks.push(Acknowledgement::from(&*update));
                }
                Arc::unwrap_or_clone(update).ends().for_each(|status| self.end(status.task.number, status.state));
            }
            FrameworkEvent::Update(status) => {
                if status.update != UpdateId::UNACKNOWLEDGED {
                    self.acks.push(Acknowledgement::from(&status));
                }
                match status.task.number {
                    // What was told before may come again after it.
                    ALLOCATION if !status.state.is_terminal() => {}
                    ALLOCATION => {
                        let before = self.is_over.replace(status.state);
                        assert!(before.is_none_or(|before| before == status.state), "{before:?}, and then {status:?}");
                    }
                    number if status.state.is_terminal() => self.end(number, status.state),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn end(&mut self, number: u64, state: TaskState) {
        let before = self.told.insert(number, state);
        assert!(before.is_none_or(|before| before == state), "task {number} is {before:?}, and then {state}");
    }

    fn framework_says(&mut self, command: FrameworkCommand) {
        let effects = self.world.apply(Command::Framework(self.framework.session, command.into()));
        self.effects(effects);
    }

    fn node_does(&mut self, command: node::Command) {
        let now = self.world.now;
        let mut effects = Vec::new();
        // Late and repeated news are refused.
        let _ = self.node.apply(now, command, &mut effects);
        self.node.flush(now, &mut effects);
        self.perform(effects);
    }

    fn perform(&mut self, effects: Vec<node::Effect>) {
        for effect in effects {
            match effect {
                node::Effect::Enqueue { tasks, .. } => {
                    let numbers = tasks.iter().flat_map(|tasks| {
                        let first = tasks.spec.id.number;
                        first..first + u64::from(tasks.count)
                    });
                    self.executor.waiting.extend(numbers);
                }
                node::Effect::StopQueued { task, .. } => self.kill(&[task.number]),
                node::Effect::StopQueue(_, why) => {
                    self.executor.stopped.get_or_insert(why);
                    let all: Vec<u64> = self.executor.waiting.iter().chain(&self.executor.running).copied().collect();
                    self.kill(&all);
                }
                node::Effect::Settled { ends, .. } => {
                    self.executor.ended.drain(..usize::try_from(ends).unwrap());
                }
                node::Effect::Send(updates) => self.report(AgentCommand::Updates(updates)),
                node::Effect::SendQueue(updates) => self.report(AgentCommand::QueueUpdates(updates)),
                _ => {}
            }
        }
    }

    fn report(&mut self, command: AgentCommand) {
        if self.agent.is_some() {
            self.to_master.push_back(command);
        }
    }

    fn kill(&mut self, numbers: &[u64]) {
        for &number in numbers {
            self.executor.waiting.retain(|other| *other != number);
            self.executor.running.remove(&number);
            self.executor_ends(number, TaskState::Killed);
        }
    }

    fn executor_ends(&mut self, number: u64, state: TaskState) {
        let stopped = self.executor.stopped.as_ref();
        let ending = stopped.map_or(ending(state), |why| why.explain(ending(state)));
        let end = QueueEnd { first: number, count: 1, source: Source::Executor, ending };
        self.executor.ended.push(end.clone());
        self.node_does(node::Command::QueueNews { allocation: id(ALLOCATION), started: vec![], ended: vec![end] });
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Enqueue(count) => {
                let first = self.next;
                self.next += u64::from(count);
                self.accepted.extend(first..self.next);
                let spec = TaskSpec { resources: small(), ..task(self.framework, first, 1, 1) };
                let tasks = vec![QueuedTasks { spec: Arc::new(spec), count, index: None }];
                self.framework_says(FrameworkCommand::Enqueue { allocation: id(ALLOCATION), tasks, last: false });
            }
            Step::AgentHears => {
                let command = match self.to_agent.pop_front() {
                    Some(AgentOrder::Registered { member, .. }) => node::Command::Registered(member.id),
                    Some(AgentOrder::Open(spec)) => node::Command::Open(spec),
                    Some(AgentOrder::Enqueue { allocation, tasks, last }) => {
                        node::Command::Enqueue { allocation, tasks, last }
                    }
                    Some(AgentOrder::Kill(task)) => node::Command::Kill(task),
                    Some(AgentOrder::Acknowledge(task, update)) => node::Command::Acknowledge(task, update),
                    Some(AgentOrder::Resend(framework)) => node::Command::Resend(framework),
                    _ => return,
                };
                self.node_does(command);
            }
            Step::MasterHears => {
                if let (Some(agent), Some(report)) = (self.agent, self.to_master.pop_front()) {
                    let effects = self.world.apply(Command::Agent(agent.session, report));
                    self.effects(effects);
                }
            }
            Step::Begins => {
                if self.executor.running.len() < 2
                    && let Some(number) = self.executor.waiting.pop_front()
                {
                    self.executor.running.insert(number);
                    let (allocation, started) = (id(ALLOCATION), vec![number]);
                    self.node_does(node::Command::QueueNews { allocation, started, ended: vec![] });
                }
            }
            Step::Ends => {
                if let Some(number) = self.executor.running.pop_first() {
                    self.executor_ends(number, TaskState::Finished);
                }
            }
            Step::Acknowledges => {
                let acks = std::mem::take(&mut self.acks);
                self.framework_says(FrameworkCommand::Acknowledge(acks));
            }
            Step::Kills(number) => self.framework_says(FrameworkCommand::Kill(id(number))),
            Step::Preempts => {
                let (task, why) = (id(ALLOCATION), "it is wanted back".to_owned());
                self.node_does(node::Command::End { task, reason: Reason::Preempted, why });
            }
            Step::Breaks => self.break_up(),
            Step::Returns => self.come_back(),
            Step::Restarts => self.restart(),
            Step::FailsOver => self.fail_over(),
            Step::Waits => {
                let effects = self.world.wait(Duration::from_secs(2));
                self.effects(effects);
                self.node_does(node::Command::Tick);
            }
        }
    }

    /// The connection is lost, and all that is on its way.
    fn break_up(&mut self) {
        if let Some(agent) = self.agent.take() {
            self.to_agent.clear();
            self.to_master.clear();
            self.node_does(node::Command::Disconnected);
            let effects = self.world.disconnect(agent);
            self.effects(effects);
        }
    }

    fn come_back(&mut self) {
        if self.agent.is_some() {
            return;
        }
        let session = self.world.session();
        let agent = Peer { id: AGENT, session };
        self.agent = Some(agent);
        let identity = AgentIdentity { run: self.run, ..self.world.identity(AGENT) };
        let (tasks, info) = (self.node.held(self.world.now), agent_info(size(2, 1024)));
        let register = AgentCommand::Register { identity, info, tasks, complete: false };
        let queues = AgentCommand::HoldsQueues { queues: self.node.held_queues(), complete: true };
        for report in [register, queues] {
            let effects = self.world.apply(Command::Agent(session, report));
            self.effects(effects);
        }
    }

    /// Another process of the agent finds the executor.
    fn restart(&mut self) {
        self.break_up();
        self.run += 1;
        self.incarnation += 1;
        let held_before = self.node.held(self.world.now).iter().any(|held| held.id.number == ALLOCATION);
        self.node = new_node();
        if !held_before {
            return;
        }
        let shape = Arc::new(Shape { name: "task".into(), resources: small(), module: None });
        let update = UpdateId::UNACKNOWLEDGED;
        let run = |first, state| HeldRun { first, count: 1, state, update, shape: Arc::clone(&shape) };
        let running = self.executor.running.iter().map(|&number| run(number, TaskState::Running));
        let waiting = self.executor.waiting.iter().map(|&number| run(number, TaskState::Staging));
        let queue = RecoveredQueue {
            spec: spec(),
            last: false,
            runs: running.chain(waiting).collect(),
            ended: self.executor.ended.clone(),
        };
        let task = TaskSummary {
            id: id(ALLOCATION),
            name: "queue".into(),
            role: "role".into(),
            resources: size(2, 1024),
            volumes: vec![],
            module: None,
            group: None,
            trace: None,
        };
        let (incarnation, stopped) = (self.incarnation, self.executor.stopped.clone());
        self.node_does(node::Command::Recover { task, started: true, stopped, ending: None, incarnation });
        self.node_does(node::Command::RecoverQueue(queue));
    }

    /// Another master leads, which knows who is there and nothing of their tasks.
    fn fail_over(&mut self) {
        self.break_up();
        self.epoch += 1;
        let keys = AgentIdentity { member: None, ..self.world.identity(AGENT) };
        let agent = haggle_core::cluster::AgentRecord { key: keys.key, ..record(size(2, 1024), 1) };
        let recovered = Recovered {
            epoch: Epoch(self.epoch),
            agents: vec![(AGENT, agent)],
            frameworks: vec![(FRAMEWORK, framework_record("role"))],
            last_agent: 1,
            last_framework: 1,
            ..remembered()
        };
        self.world.fail_over(Config { agent_timeout: Duration::from_secs(75), ..Config::default() }, recovered);
        let (framework, effects) = self.world.subscribe(Some(FRAMEWORK), framework_info("role"));
        self.framework = framework;
        self.effects(effects);
        self.framework_says(FrameworkCommand::Reconcile(vec![]));
    }

    /// Lets everything come to its end: whatever was lost with a master is asked after, as frameworks do.
    fn settle(&mut self) {
        self.come_back();
        for round in 0..200 {
            if round % 10 == 5 {
                let open: Vec<u64> =
                    self.accepted.iter().copied().filter(|number| !self.told.contains_key(number)).collect();
                let ask = |&number: &u64| haggle_core::cluster::Question { task: id(number), agent: Some(AGENT) };
                if !open.is_empty() {
                    self.framework_says(FrameworkCommand::Reconcile(open.iter().map(ask).collect()));
                }
            }
            for step in [Step::AgentHears, Step::MasterHears, Step::Begins, Step::Ends, Step::Acknowledges] {
                self.step(step);
            }
            if round % 20 == 0 {
                self.step(Step::Waits);
            }
            if round == 100 {
                self.framework_says(FrameworkCommand::Kill(id(ALLOCATION)));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_lost_every_task_of_a_queue_ends_once_and_its_framework_hears_of_it(
        steps in proptest::collection::vec(step(), 0..120),
    ) {
        let mut together = Together::new();
        for step in steps {
            together.step(step);
        }

        together.settle();

        let told: BTreeSet<u64> = together.told.keys().copied().collect();
        prop_assert_eq!(&told, &together.accepted);
        prop_assert!(together.is_over.is_some());
        prop_assert!(together.executor.ended.is_empty() && together.executor.running.is_empty());
        prop_assert_eq!(together.node.held(together.world.now), vec![]);
        let counts = together.world.cluster.counts();
        prop_assert_eq!((counts.tasks, counts.queued, counts.kept_updates), (0, 0, 0));
    }
}
