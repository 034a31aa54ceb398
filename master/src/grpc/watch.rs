//! What happens, as a stream.

use std::iter;
use std::sync::Arc;

use futures_util::stream::{self, BoxStream, try_unfold};
use futures_util::{StreamExt, TryStreamExt};
use haggle_core::cluster::Announcement;
use haggle_proto::v1;
use haggle_proto::v1::watch_event::Event;
use tonic::Status;

use crate::happenings::{Happening, Watcher, What};

/// Everything that a watcher hears. Whoever takes `batches` is told in one word of tasks in queues, as they were told of; others of each.
pub(super) fn watch(watcher: Watcher, batches: bool) -> BoxStream<'static, Result<v1::WatchEvent, Status>> {
    let heard = try_unfold(watcher, move |watcher| async move {
        let happening = watcher.next().await?;
        Ok::<_, Status>(happening.map(|happening| (events(&happening, batches), watcher)))
    });
    heard.map_ok(stream::iter).try_flatten().boxed()
}

type Events = Box<dyn Iterator<Item = Result<v1::WatchEvent, Status>> + Send>;

fn events(happening: &Arc<Happening>, batches: bool) -> Events {
    let time_ms = happening.time_ms;
    let event = move |event: Event| v1::WatchEvent { time_ms, event: Some(event) };
    match &happening.what {
        What::Said(Announcement::LeftOut(tasks)) if !batches => {
            let why = format!("cut off: fell behind by {tasks} events of tasks in queues");
            Box::new(iter::once(Err(Status::resource_exhausted(why))))
        }
        What::Queued(news) if batches => Box::new(iter::once(Ok(event(news.clone().into())))),
        _ => Box::new(announcements(happening).map(move |what| Ok(event(what.into())))),
    }
}

/// What is told of many tasks at once is an announcement for each, made when its turn comes.
pub(crate) fn announcements(happening: &Happening) -> Box<dyn Iterator<Item = Announcement> + Send> {
    match &happening.what {
        What::Said(what) => Box::new(iter::once(what.clone())),
        What::Queued(news) => Box::new(news.clone().statuses().map(Announcement::Task)),
    }
}

#[cfg(test)]
mod tests {
    use haggle_core::access::Principal;
    use haggle_core::{
        AgentId, FrameworkId, QueueEnd, QueueNews, QueueUpdate, Reason, Source, TaskId, TaskState, UpdateId,
    };
    use haggle_proto::convert::announcements as read;

    use super::*;
    use crate::happenings::Happenings;
    use crate::limits::{House, Places};

    /// What is said of this to whoever watches with `batches` or without.
    async fn said(happened: Vec<What>, batches: bool) -> Vec<Result<v1::WatchEvent, Status>> {
        let happenings = Happenings::new(8);
        let place = House::new(Places::default(), usize::MAX).watch().unwrap();
        let events = watch(happenings.watch(Principal::owner(), place), batches);
        happened.into_iter().for_each(|what| happenings.tell(Happening { time_ms: 7, what, tenant: None }));
        drop(happenings);
        events.collect().await
    }

    fn update() -> QueueNews {
        let end = |first, count| {
            QueueEnd::never_ran(first, count, Source::Agent, TaskState::Killed, Reason::KillRequested, "")
        };
        QueueNews::Told(Arc::new(QueueUpdate {
            allocation: TaskId { framework: FrameworkId(1), number: 1 },
            update: UpdateId(2),
            agent: Some(AgentId(3)),
            started: vec![30],
            ended: vec![end(20, 1), end(10, 2)],
        }))
    }

    #[tokio::test]
    async fn tasks_of_a_queue_are_told_one_by_one_or_in_one_word_that_says_the_same() {
        let (running, killed) = (TaskState::Running, TaskState::Killed);
        let each = |events: Vec<Result<v1::WatchEvent, Status>>| {
            let events = events.into_iter().map(Result::unwrap);
            let told = events.flat_map(|told| read(told.event.unwrap()).unwrap());
            let brief = |what| match what {
                Announcement::Task(status) => (status.task.number, status.state, status.agent.unwrap().0),
                other => panic!("{other:?}"),
            };
            told.map(brief).collect::<Vec<_>>()
        };

        let one_by_one = said(vec![What::Queued(update())], false).await;
        let in_one_word = said(vec![What::Queued(update())], true).await;

        assert_eq!((one_by_one.len(), in_one_word.len()), (4, 1));
        let told = [(30, running, 3), (20, killed, 3), (10, killed, 3), (11, killed, 3)];
        assert_eq!((each(one_by_one), each(in_one_word)), (told.into(), told.into()));
    }

    #[tokio::test]
    async fn whoever_does_not_know_that_something_was_left_out_is_cut_off_instead() {
        let left_out = || vec![What::Said(Announcement::LeftOut(5))];

        let told = said(left_out(), true).await.remove(0).unwrap();
        let cut_off = said(left_out(), false).await.remove(0).unwrap_err();

        assert_eq!(told.event, Some(Event::LeftOut(5)));
        assert_eq!(cut_off.code(), tonic::Code::ResourceExhausted);
    }
}
