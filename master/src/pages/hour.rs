//! How the last hour was: what had started at the end of each of its minutes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use haggle_core::Histogram;
use haggle_core::cluster::Cluster;
use haggle_pages::views::Hour;
use tokio::time::sleep;

use crate::handle::Handle;

const MINUTE: Duration = Duration::from_secs(60);

/// Minutes that are known, and the moment before the first of them.
const MOMENTS: usize = 61;

/// Counts that only grow, a minute apart. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Hours(Arc<Mutex<VecDeque<Histogram>>>);

impl Hours {
    /// Looks once a minute, for as long as the master leads: what a list costs is a thousand times that.
    pub(super) fn start(handle: Handle) -> Self {
        let hours = Self::default();
        let kept = hours.clone();
        tokio::spawn(async move {
            let look = |cluster: &Cluster, _| cluster.tally().start_latency().clone();
            while let Ok(starts) = handle.ask(look).await {
                kept.note(starts);
                sleep(MINUTE).await;
            }
        });
        hours
    }

    fn note(&self, starts: Histogram) {
        let mut moments = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if moments.len() == MOMENTS {
            moments.pop_front();
        }
        moments.push_back(starts);
    }

    /// Up to now, when so much has started.
    pub(super) fn until(&self, now: &Histogram) -> Hour {
        let moments = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counts: Vec<u64> = moments.iter().map(Histogram::count).chain([now.count()]).collect();
        let starts = counts.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
        let latency = moments.front().map(|first| Hour::latency_between(first, now)).unwrap_or_default();
        Hour { starts, latency }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_kept_minute_by_minute_and_no_more() {
        let (hours, mut starts) = (Hours::default(), Histogram::default());
        for _ in 0..100 {
            hours.note(starts.clone());
            starts.record(Duration::from_millis(1));
        }

        let hour = hours.until(&starts);

        assert_eq!(hour.starts, vec![1; 61]);
        assert_eq!(hour.latency.iter().map(|(_, count)| count).sum::<u64>(), 61);
    }
}
