//! What happens, for whoever watches.

use std::sync::{Arc, OnceLock};

use haggle_core::QueueUpdate;
use haggle_core::access::Tenant;
use haggle_core::cluster::Announcement;
use tokio::sync::broadcast;

/// Something that happened, for watchers.
#[derive(Clone, Debug)]
pub(crate) struct Happening {
    /// Milliseconds since 1970.
    pub(crate) time_ms: u64,
    /// What.
    pub(crate) what: What,
    /// Whose it is, when it is about a framework or a task.
    pub(crate) tenant: Option<Arc<Tenant>>,
}

/// What happened.
#[derive(Clone, Debug)]
pub(crate) enum What {
    /// One thing.
    Said(Announcement),
    /// Tasks in an allocation have ended, many of them at once.
    Ended(Arc<QueueUpdate>),
}

/// Tells every watcher. The room for what watchers are behind by is made for the first of them: it takes megabytes, and
/// many a master is watched by nobody.
#[derive(Debug)]
pub(crate) struct Happenings {
    /// Happenings that a watcher may be behind.
    room: usize,
    channel: OnceLock<broadcast::Sender<Happening>>,
}

impl Happenings {
    pub(crate) fn new(room: usize) -> Self {
        Self { room, channel: OnceLock::new() }
    }

    /// How many watch.
    pub(crate) fn watchers(&self) -> usize {
        self.channel.get().map_or(0, broadcast::Sender::receiver_count)
    }

    /// Everything that happens from now on, until this is dropped.
    pub(crate) fn watch(&self) -> broadcast::Receiver<Happening> {
        self.channel.get_or_init(|| broadcast::channel(self.room).0).subscribe()
    }

    pub(crate) fn tell(&self, happening: Happening) {
        if let Some(channel) = self.channel.get() {
            // The last watcher may have gone meanwhile.
            let _ = channel.send(happening);
        }
    }
}

#[cfg(test)]
mod tests {
    use haggle_core::AgentId;

    use super::*;

    #[tokio::test]
    async fn a_watcher_hears_what_happens_from_then_on_until_the_end() {
        let happenings = Happenings::new(8);
        let happens = |id| {
            let what = What::Said(Announcement::AgentUp(AgentId(id)));
            happenings.tell(Happening { time_ms: id, what, tenant: None });
        };
        happens(1);

        let mut watched = happenings.watch();
        happens(2);

        assert_eq!(happenings.watchers(), 1);
        assert_eq!(watched.recv().await.unwrap().time_ms, 2);
        drop(happenings);
        assert!(watched.recv().await.is_err());
    }
}
