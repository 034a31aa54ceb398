//! Who is told what, and what becomes of whoever is slow.

use haggle_core::access::{Kind, Roles};
use haggle_core::{AgentId, FrameworkId, QueueRun, TaskId, TaskState};

use super::*;
use crate::limits::{House, Places};

fn place() -> OwnedSemaphorePermit {
    House::new(Places::default(), usize::MAX).watch().unwrap()
}

fn of_agent(id: u64) -> Happening {
    Happening { time_ms: id, what: What::Said(Announcement::AgentUp(AgentId(id))), tenant: None }
}

fn of_framework(id: u64, principal: &str, role: &str) -> Happening {
    let tenant = Tenant::new(Arc::new(principal.parse().unwrap()), [role.into()]);
    let what = What::Said(Announcement::FrameworkUp(FrameworkId(id)));
    Happening { time_ms: 0, what, tenant: Some(Arc::new(tenant)) }
}

/// Tasks that are put into a queue, in as many entries.
fn of_queue(tasks: usize) -> Happening {
    let started = (0..tasks as u64).collect();
    let update = haggle_core::QueueUpdate {
        allocation: TaskId { framework: FrameworkId(1), number: 1 },
        update: haggle_core::UpdateId(1),
        agent: Some(AgentId(1)),
        started,
        ended: vec![],
    };
    Happening { time_ms: 0, what: What::Queued(QueueNews::Told(Arc::new(update))), tenant: None }
}

fn run(count: u64) -> Happening {
    let run = QueueRun {
        allocation: TaskId { framework: FrameworkId(1), number: 1 },
        agent: AgentId(1),
        first: 10,
        count,
        state: TaskState::Staging,
        reason: None,
        message: String::new(),
    };
    Happening { time_ms: 0, what: What::Queued(QueueNews::Run(run)), tenant: None }
}

fn brief(happening: &Happening) -> String {
    match &happening.what {
        What::Said(said) => format!("{said:?}"),
        What::Queued(news) => format!("{} tasks", news.tasks()),
    }
}

/// All that waits for it.
fn told(watcher: &Watcher) -> Vec<String> {
    std::iter::from_fn(|| watcher.next_now().unwrap()).map(|happening| brief(&happening)).collect()
}

#[tokio::test]
async fn a_watcher_hears_what_happens_from_then_on_until_the_end() {
    let happenings = Happenings::new(8);
    happenings.tell(of_agent(1));

    let watcher = happenings.watch(Principal::owner(), place());
    happenings.tell(of_agent(2));

    assert_eq!(happenings.watchers(), 1);
    assert_eq!(watcher.next().await.unwrap().unwrap().time_ms, 2);
    drop(happenings);
    assert!(watcher.next().await.unwrap().is_none());
}

#[tokio::test]
async fn a_watcher_that_waits_is_woken() {
    let happenings = Happenings::new(8);
    let watcher = happenings.watch(Principal::owner(), place());

    let (heard, ()) = tokio::join!(watcher.next(), async { happenings.tell(of_agent(7)) });

    assert_eq!(heard.unwrap().unwrap().time_ms, 7);
    drop(watcher);
    assert_eq!(happenings.watchers(), 0, "nobody watches any more");
}

#[test]
fn a_watcher_that_falls_behind_is_cut_off_and_no_other_one() {
    let happenings = Happenings::new(2);
    let (slow, quick) = (happenings.watch(Principal::owner(), place()), happenings.watch(Principal::owner(), place()));
    for id in 1..=3 {
        happenings.tell(of_agent(id));
        assert_eq!(quick.next_now().unwrap().unwrap().time_ms, id);
    }

    let status = Status::from(slow.next_now().unwrap_err());

    assert_eq!((status.code(), status.message()), (tonic::Code::ResourceExhausted, "cut off: fell behind by 1 events"));
    assert!(quick.next_now().unwrap().is_none());
}

#[test]
fn a_watcher_that_is_too_slow_for_queues_is_told_how_much_was_left_out_and_goes_on() {
    let happenings = Happenings::new(4);
    let watcher = happenings.watch(Principal::owner(), place());
    happenings.tell(of_agent(1));
    happenings.tell(of_queue(QUEUED_ROOM));
    happenings.tell(run(1));
    happenings.tell(of_agent(2));
    happenings.tell(run(65_536));

    let left_out = format!("LeftOut({})", QUEUED_ROOM + 1 + 65_536);
    assert_eq!(told(&watcher), [left_out.as_str(), "AgentUp(AgentId(1))", "AgentUp(AgentId(2))"]);
    happenings.tell(run(3));
    assert_eq!(told(&watcher), ["3 tasks"]);
}

#[test]
fn a_run_takes_the_room_of_one_however_long_it_is() {
    let happenings = Happenings::new(1);
    let watcher = happenings.watch(Principal::owner(), place());

    (0..QUEUED_ROOM).for_each(|_| happenings.tell(run(65_536)));

    assert_eq!(told(&watcher).len(), QUEUED_ROOM);
}

#[test]
fn what_is_larger_than_the_room_is_told_where_nothing_else_waits() {
    let happenings = Happenings::new(1);
    let watcher = happenings.watch(Principal::owner(), place());

    happenings.tell(of_queue(2 * QUEUED_ROOM));

    assert_eq!(told(&watcher), [format!("{} tasks", 2 * QUEUED_ROOM)]);
}

#[test]
fn what_is_skipped_is_not_told_and_cuts_nobody_off() {
    let happenings = Happenings::new(1);
    let watcher = happenings.watch(Principal::owner(), place());
    (1..=3).for_each(|id| happenings.tell(of_agent(id)));

    watcher.skip();
    happenings.tell(of_agent(4));

    assert_eq!(told(&watcher), ["AgentUp(AgentId(4))"]);
}

#[test]
fn a_watcher_hears_of_its_own_alone() {
    let of = |name: &str, kind| Principal { name: name.into(), kind, token: None };
    let eng = Roles::parse(&["eng/*"]).unwrap();
    let seen = |who: Principal| {
        let happenings = Happenings::new(8);
        let watcher = happenings.watch(who, place());
        let tenant = Tenant::new(Arc::new("framework:ci".parse().unwrap()), ["eng/a".into()]);
        let queue = Happening { tenant: Some(Arc::new(tenant)), ..run(5) };
        for happening in
            [of_agent(1), of_framework(2, "framework:ci", "eng/a"), of_framework(3, "operator:ci", "ops"), queue]
        {
            happenings.tell(happening);
        }
        told(&watcher)
    };
    let all = ["AgentUp(AgentId(1))", "FrameworkUp(FrameworkId(2))", "FrameworkUp(FrameworkId(3))", "5 tasks"];

    assert_eq!(seen(Principal::owner()), all);
    assert_eq!(seen(of("ada", Kind::Operator)), all);
    assert_eq!(seen(of("ci", Kind::Framework(Roles::every()))), [all[1], all[3]]);
    assert_eq!(seen(of("eye", Kind::Viewer(eng))), [all[1], all[3]]);
    assert_eq!(seen(Principal::agent(AgentId(1))), [""; 0]);
}
