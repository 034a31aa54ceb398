//! What happens, as a stream: to each watcher what it may see.

use std::iter;
use std::sync::Arc;

use futures_util::stream::{self, BoxStream, try_unfold};
use futures_util::{StreamExt, TryStreamExt};
use haggle_core::access::{Principal, Verb};
use haggle_core::cluster::Announcement;
use haggle_proto::v1;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, broadcast};
use tonic::Status;

use crate::happenings::{Happening, What};

/// Everything that happens from now on and that `who` may see. The place is held until the end.
pub(super) fn watch(
    happenings: broadcast::Receiver<Happening>,
    place: OwnedSemaphorePermit,
    who: Principal,
) -> BoxStream<'static, Result<v1::WatchEvent, Status>> {
    let event = |(time_ms, what): (u64, Announcement)| v1::WatchEvent { time_ms, event: Some(what.into()) };
    let heard = try_unfold((happenings, who, place), move |(mut happenings, who, place)| async move {
        let happening = happening_to(&mut happenings, &who).await?;
        Ok::<_, Status>(happening.map(|happening| (announcements(happening).map(event), (happenings, who, place))))
    });
    heard.map_ok(|events| stream::iter(events).map(Ok)).try_flatten().boxed()
}

/// The next that `who` may see; `None` at the end.
///
/// # Errors
/// `RESOURCE_EXHAUSTED` when some were missed.
pub(crate) async fn happening_to(
    happenings: &mut broadcast::Receiver<Happening>,
    who: &Principal,
) -> Result<Option<Happening>, Status> {
    loop {
        match happenings.recv().await {
            Ok(happening) if sees(who, &happening) => return Ok(Some(happening)),
            Ok(_) => {}
            Err(RecvError::Closed) => return Ok(None),
            Err(RecvError::Lagged(missed)) => {
                return Err(Status::resource_exhausted(format!("cut off: fell behind by {missed} events")));
            }
        }
    }
}

/// What ended together is an event for each task, made when its turn comes. Each with when it was, in milliseconds since 1970.
pub(crate) fn announcements(
    Happening { time_ms, what, .. }: Happening,
) -> Box<dyn Iterator<Item = (u64, Announcement)> + Send> {
    match what {
        What::Said(what) => Box::new(iter::once((time_ms, what))),
        What::Ended(update) => {
            let ends = Arc::unwrap_or_clone(update).ends();
            Box::new(ends.map(move |status| (time_ms, Announcement::Task(status))))
        }
    }
}

/// What is of no tenant, as agents are, is for those who see everything.
pub(crate) fn sees(who: &Principal, happening: &Happening) -> bool {
    match &happening.tenant {
        Some(tenant) => who.may(Verb::Watch, tenant),
        None => who.may_all(Verb::Watch),
    }
}

#[cfg(test)]
mod tests {
    use haggle_core::access::{Kind, Roles, Tenant};
    use haggle_core::{AgentId, FrameworkId, QueueEnd, QueueUpdate, Reason, Source, TaskId, TaskState, UpdateId};
    use tonic::Code;

    use super::*;
    use crate::limits::{House, Places};

    fn place() -> OwnedSemaphorePermit {
        House::new(Places::default(), usize::MAX).watch().unwrap()
    }

    fn of_agent(id: u64) -> Happening {
        Happening { time_ms: 0, what: What::Said(Announcement::AgentUp(AgentId(id))), tenant: None }
    }

    fn of_framework(id: u64, principal: &str, role: &str) -> Happening {
        let tenant = Tenant::new(Arc::new(principal.parse().unwrap()), [role.into()]);
        let what = What::Said(Announcement::FrameworkUp(FrameworkId(id)));
        Happening { time_ms: 0, what, tenant: Some(Arc::new(tenant)) }
    }

    #[tokio::test]
    async fn a_watcher_that_falls_behind_is_cut_off() {
        let (happenings, watched) = broadcast::channel(2);
        for id in 0..3 {
            happenings.send(of_agent(id)).unwrap();
        }

        let mut events = watch(watched, place(), Principal::owner());

        assert_eq!(events.next().await.unwrap().unwrap_err().code(), Code::ResourceExhausted);
        assert!(events.next().await.is_none());
    }

    #[tokio::test]
    async fn tasks_of_a_queue_that_ended_together_are_told_one_by_one() {
        let (happenings, watched) = broadcast::channel(2);
        let end = |first, count| {
            QueueEnd::never_ran(first, count, Source::Agent, TaskState::Killed, Reason::KillRequested, "")
        };
        let update = QueueUpdate {
            allocation: TaskId { framework: FrameworkId(1), number: 1 },
            update: UpdateId(2),
            agent: Some(AgentId(3)),
            started: vec![],
            ended: vec![end(20, 1), end(10, 2)],
        };
        happenings.send(Happening { time_ms: 7, what: What::Ended(Arc::new(update)), tenant: None }).unwrap();
        drop(happenings);

        let told = watch(watched, place(), Principal::owner()).map(|event| event.unwrap()).collect::<Vec<_>>().await;

        let task = |event: &v1::WatchEvent| match &event.event {
            Some(v1::watch_event::Event::Task(status)) => (event.time_ms, status.task.unwrap().number),
            other => panic!("{other:?}"),
        };
        assert_eq!(told.iter().map(task).collect::<Vec<_>>(), [(7, 20), (7, 10), (7, 11)]);
    }

    #[tokio::test]
    async fn a_watcher_hears_of_its_own_alone() {
        let of = |name: &str, kind| Principal { name: name.into(), kind, token: None };
        let eng = Roles::parse(&["eng/*"]).unwrap();
        let seen = |who: Principal| async {
            let (happenings, watched) = broadcast::channel(8);
            for happening in
                [of_agent(1), of_framework(2, "framework:ci", "eng/a"), of_framework(3, "operator:ci", "ops")]
            {
                happenings.send(happening).unwrap();
            }
            drop(happenings);
            watch(watched, place(), who).map(|event| event.unwrap().event.unwrap()).collect::<Vec<_>>().await
        };
        use v1::watch_event::Event::{AgentUp, FrameworkUp};

        assert_eq!(seen(Principal::owner()).await, [AgentUp(1), FrameworkUp(2), FrameworkUp(3)]);
        assert_eq!(seen(of("ada", Kind::Operator)).await, [AgentUp(1), FrameworkUp(2), FrameworkUp(3)]);
        assert_eq!(seen(of("ci", Kind::Framework(Roles::every()))).await, [FrameworkUp(2)]);
        assert_eq!(seen(of("eye", Kind::Viewer(eng))).await, [FrameworkUp(2)]);
        assert_eq!(seen(Principal::agent(AgentId(1))).await, []);
    }
}
