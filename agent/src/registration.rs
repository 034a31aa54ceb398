//! The first that a master hears of an agent, cut into messages that it can take.

use std::iter;

use haggle_core::cluster::{AgentCommand, AgentIdentity, HeldTask};
use haggle_core::{AgentInfo, HeldQueue};
use haggle_proto::v1;
use haggle_proto::v1::agent_report::Report;

/// Bytes of one piece, but for its last task. Far below what a message may have, and enough for some 10,000 tasks.
const PIECE: usize = 1 << 20;

/// Who registers, and with which tasks.
#[derive(Debug)]
pub(crate) struct Registration {
    pub(crate) identity: AgentIdentity,
    pub(crate) info: AgentInfo,
    /// All of them.
    pub(crate) held: Vec<HeldTask>,
    /// Of the allocations among them, what is in their queues.
    pub(crate) queues: Vec<HeldQueue>,
}

impl Registration {
    /// The registration, and then what else it holds. Each piece is made when it is asked for.
    pub(crate) fn pieces(self) -> impl Iterator<Item = v1::AgentReport> + Send {
        let mut held = self.held.into_iter().peekable();
        let mut queues = self.queues;
        // The last is taken first.
        queues.reverse();
        let mut who = Some((self.identity, self.info));
        let mut complete = false;
        iter::from_fn(move || {
            if complete {
                return None;
            }
            if who.is_none() && held.peek().is_none() {
                let piece = queue_piece(&mut queues);
                complete = queues.is_empty();
                let queues = v1::HeldQueues { queues: piece, more: !complete };
                return Some(v1::AgentReport { report: Some(Report::HoldsQueues(queues)) });
            }
            let (mut tasks, mut size) = (Vec::new(), 0);
            while size < PIECE
                && let Some(task) = held.next()
            {
                let task = v1::HeldTask::from(task);
                size += self::size(&task);
                tasks.push(task);
            }
            complete = held.peek().is_none() && queues.is_empty();
            let report = match who.take() {
                Some((identity, info)) => {
                    let command = AgentCommand::Register { identity, info, tasks: Vec::new(), complete };
                    let mut report = v1::AgentReport::from(command);
                    if let Some(Report::Register(register)) = &mut report.report {
                        register.tasks = tasks;
                    }
                    report
                }
                None => v1::AgentReport { report: Some(Report::Holds(v1::HeldTasks { tasks, more: !complete })) },
            };
            Some(report)
        })
    }
}

/// Takes what goes into one piece. A long queue is taken in several.
fn queue_piece(queues: &mut Vec<HeldQueue>) -> Vec<v1::HeldQueue> {
    let (mut piece, mut size) = (Vec::new(), 0);
    while size < PIECE
        && let Some(mut queue) = queues.pop()
    {
        let mut runs = Vec::new();
        size += RUN;
        while size < PIECE
            && let Some(run) = queue.runs.pop()
        {
            size += RUN + run.shape.name.len();
            runs.push(run);
        }
        piece.push(v1::HeldQueue::from(HeldQueue { allocation: queue.allocation, runs }));
        if !queue.runs.is_empty() {
            queues.push(queue);
        }
    }
    piece
}

/// About how many bytes a run of tasks takes on the wire, without its name.
const RUN: usize = 256;

/// About how many bytes a task takes on the wire: not fewer than it does.
fn size(task: &v1::HeldTask) -> usize {
    /// Everything that is a number.
    const NUMBERS: usize = 128;
    /// Those of its span, where it has one.
    const SPAN: usize = 64;
    /// Two numbers of a port, or one and its name's length.
    const ENTRY: usize = 16;
    let resources = task.resources.as_ref().map_or(0, |resources| {
        let scalars: usize = resources.scalars.keys().map(|name| ENTRY + name.len()).sum();
        scalars + ENTRY * resources.ports.len()
    });
    let span = if task.trace.is_some() { SPAN } else { 0 };
    NUMBERS + span + task.name.len() + task.role.len() + resources + ENTRY * task.volumes.len()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use haggle_core::queue::Shape;
    use haggle_core::{AgentKey, Digest, FrameworkId, HeldRun, Resources, TaskId, TaskState, UpdateId};

    use super::*;

    fn held(number: u64, name: &str) -> HeldTask {
        HeldTask {
            id: TaskId { framework: FrameworkId(1), number },
            name: name.to_owned(),
            volumes: Vec::new(),
            module: Some(Digest([1; 32])),
            role: "role".to_owned(),
            resources: Resources::default(),
            state: TaskState::Running,
            update: UpdateId(1),
            group: None,
            trace: None,
            life: None,
        }
    }

    /// Of each piece: how many tasks, and whether more are to come. The tasks come as they are held.
    fn pieces(held: Vec<HeldTask>) -> Vec<(usize, bool)> {
        let identity = AgentIdentity { member: None, key: AgentKey(1), run: 2 };
        let info = AgentInfo { name: "a".to_owned(), ..AgentInfo::default() };
        let mut numbers = held.iter().map(|task| task.id.number).collect::<Vec<_>>().into_iter();
        let piece = |(at, report): (usize, v1::AgentReport)| {
            let (tasks, more) = match report.report.unwrap() {
                Report::Register(register) if at == 0 => (register.tasks, register.more),
                Report::Holds(held) if at > 0 => (held.tasks, held.more),
                other => panic!("{other:?} is piece {at}"),
            };
            for task in &tasks {
                assert_eq!(task.id.unwrap().number, numbers.next().unwrap());
            }
            (tasks.len(), more)
        };
        let pieces =
            Registration { identity, info, held, queues: Vec::new() }.pieces().enumerate().map(piece).collect();
        assert_eq!(numbers.next(), None, "every task is told");
        pieces
    }

    #[test]
    fn an_agent_without_tasks_registers_in_one_piece() {
        assert_eq!(pieces(Vec::new()), [(0, false)]);
    }

    #[test]
    fn long_names_make_more_pieces() {
        let name = "x".repeat(PIECE / 2);

        assert_eq!(pieces((0..5).map(|number| held(number, &name)).collect()), [(2, true), (2, true), (1, false)]);
    }

    #[test]
    fn a_million_tasks_come_in_pieces_of_thousands() {
        let pieces = pieces((0..1_000_000).map(|number| held(number, "task")).collect());

        assert!((50..=150).contains(&pieces.len()), "{}", pieces.len());
        assert!(pieces.iter().all(|&(tasks, _)| tasks <= 20_000));
        assert!(pieces.iter().rev().skip(1).all(|&(_, more)| more) && !pieces.last().unwrap().1);
    }

    #[test]
    fn what_is_in_queues_comes_after_the_tasks_and_in_pieces() {
        let shape = Arc::new(Shape { name: "task".to_owned(), ..Shape::default() });
        let run = |first| HeldRun {
            first,
            count: 1,
            state: TaskState::Running,
            update: UpdateId::UNACKNOWLEDGED,
            shape: Arc::clone(&shape),
        };
        let allocation = |number| TaskId { framework: FrameworkId(1), number };
        let queues = vec![
            HeldQueue { allocation: allocation(1), runs: (10..10_010).map(run).collect() },
            HeldQueue { allocation: allocation(2), runs: Vec::new() },
        ];
        let identity = AgentIdentity { member: None, key: AgentKey(1), run: 2 };
        let info = AgentInfo { name: "a".to_owned(), ..AgentInfo::default() };
        let registration = Registration { identity, info, held: vec![held(1, "a"), held(2, "b")], queues };

        let mut told = BTreeMap::<u64, usize>::new();
        let mut last = None;
        for (at, report) in registration.pieces().enumerate() {
            match report.report.unwrap() {
                Report::Register(register) => assert!(at == 0 && register.tasks.len() == 2 && register.more),
                Report::HoldsQueues(held) => {
                    for queue in held.queues {
                        *told.entry(queue.allocation.unwrap().number).or_default() += queue.runs.len();
                    }
                    last = Some(held.more);
                }
                other => panic!("{other:?}"),
            }
        }

        assert_eq!(told, [(1, 10_000), (2, 0)].into());
        assert_eq!(last, Some(false));
    }
}
