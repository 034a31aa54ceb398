//! The tasks that an address selects: counted first, then those of one page looked up.

use std::ops::Range;

use haggle_core::access::Principal;
use haggle_core::cluster::{Cluster, TaskCursor, TaskView};
use haggle_pages::link::Query;
use haggle_pages::parts::Pager;
use haggle_pages::views::TaskFilter;

use crate::handle::{Handle, Stopping};

/// Tasks that the driver looks at at once: some hundred microseconds, in which nothing else is decided.
const AT_ONCE: usize = 2_000;

/// How many there are of each kind.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Numbers {
    /// Selected ones that run, or whose end is not acknowledged.
    live: usize,
    /// Selected ones of which the last word is said.
    archived: usize,
    /// All that may be seen.
    known: usize,
}

impl Numbers {
    pub(super) fn wanted(&self) -> usize {
        self.live + self.archived
    }

    pub(super) fn known(&self) -> usize {
        self.known
    }
}

/// The tasks of one page: those that have not ended before the others, the latest first.
pub(super) async fn page(
    handle: &Handle,
    who: &Principal,
    filter: &TaskFilter,
    query: &Query,
) -> Result<(Vec<TaskView>, Numbers), Stopping> {
    let numbers = count(handle, who, filter).await?;
    let rows = Pager::range(query, numbers.wanted());
    // The lists are read from their oldest on.
    let of_live = from_the_end(numbers.live, rows.start.min(numbers.live)..rows.end.min(numbers.live));
    let behind = |row: usize| row.saturating_sub(numbers.live);
    let of_archived = from_the_end(numbers.archived, behind(rows.start)..behind(rows.end));
    let mut tasks = Vec::new();
    let (mut live, mut archived) = (0, 0);
    let mut next = Next::First;
    while let Some(after) = next.take() {
        let (who, filter) = (who.clone(), filter.clone());
        let (live_rows, archived_rows) = (of_live.clone(), of_archived.clone());
        let look = move |cluster: &Cluster, _| {
            let page = cluster.tasks_page_where(&who, after, AT_ONCE, |task| {
                if !filter.wants(task) {
                    return false;
                }
                let (seen, wanted) =
                    if task.is_archived { (&mut archived, &archived_rows) } else { (&mut live, &live_rows) };
                *seen += 1;
                wanted.contains(&(*seen - 1))
            });
            (page, live, archived)
        };
        let ((found, behind), seen_live, seen_archived) = handle.ask(look).await?;
        (live, archived) = (seen_live, seen_archived);
        tasks.extend(found);
        let has_all = live >= of_live.end && (of_archived.is_empty() || archived >= of_archived.end);
        next = if has_all { Next::None } else { Next::behind(behind) };
    }
    let (live, archived): (Vec<_>, Vec<_>) = {
        let split = of_live.len().min(tasks.len());
        let archived = tasks.split_off(split);
        (tasks, archived)
    };
    Ok((live.into_iter().rev().chain(archived.into_iter().rev()).collect(), numbers))
}

fn from_the_end(all: usize, rows: Range<usize>) -> Range<usize> {
    all - rows.end..all - rows.start
}

async fn count(handle: &Handle, who: &Principal, filter: &TaskFilter) -> Result<Numbers, Stopping> {
    let mut numbers = Numbers::default();
    let mut next = Next::First;
    while let Some(after) = next.take() {
        let (who, filter) = (who.clone(), filter.clone());
        let look = move |cluster: &Cluster, _| {
            let (_, behind) = cluster.tasks_page_where(&who, after, AT_ONCE, |task| {
                numbers.known += 1;
                if filter.wants(task) {
                    *(if task.is_archived { &mut numbers.archived } else { &mut numbers.live }) += 1;
                }
                false
            });
            (numbers, behind)
        };
        let (counted, behind) = handle.ask(look).await?;
        numbers = counted;
        next = Next::behind(behind);
    }
    Ok(numbers)
}

/// Where to read on.
enum Next {
    First,
    Behind(TaskCursor),
    None,
}

impl Next {
    fn behind(cursor: Option<TaskCursor>) -> Self {
        cursor.map_or(Self::None, Self::Behind)
    }

    fn take(&mut self) -> Option<Option<TaskCursor>> {
        match std::mem::replace(self, Self::None) {
            Self::First => Some(None),
            Self::Behind(cursor) => Some(Some(cursor)),
            Self::None => None,
        }
    }
}
