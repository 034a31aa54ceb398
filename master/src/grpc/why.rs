//! Why frameworks wait, asked of the driver by one after another, so that the answers leave it its time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use haggle_core::FrameworkId;
use haggle_core::access::Principal;
use haggle_core::cluster::{Cluster, Why};
use tokio::sync::Mutex;
use tokio::time::sleep;

use crate::handle::{Handle, Stopping};

/// How often as long as an answer took the driver is left alone after it: an answer looks at every agent, and all of them
/// together take a tenth of the driver's time at most.
const REST: u32 = 9;

/// Rests shorter than this are saved up, for no timer is as fine.
const REST_MIN: Duration = Duration::from_millis(2);

/// Asks why. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Whys {
    handle: Handle,
    /// Who has its turn; for how long the driver is still to be left alone.
    turn: Arc<Mutex<Duration>>,
}

impl Whys {
    pub(crate) fn new(handle: Handle) -> Self {
        Self { handle, turn: Arc::default() }
    }

    /// Why a framework waits in a role, or in the first of its roles; `None` when it is not known, or not for `who` to see.
    pub(crate) async fn ask(
        &self,
        who: Principal,
        framework: FrameworkId,
        role: Option<String>,
    ) -> Result<Option<Why>, Stopping> {
        let mut turn = Arc::clone(&self.turn).lock_owned().await;
        let ask = move |cluster: &Cluster, now| {
            let began = Instant::now();
            let why = cluster.why(now, &who, framework, role.as_deref());
            (why, began.elapsed())
        };
        let (why, took) = self.handle.ask(ask).await?;
        *turn = turn.saturating_add(took.saturating_mul(REST));
        if *turn >= REST_MIN {
            let rest = std::mem::take(&mut *turn);
            // The next one waits, and not who has its answer.
            tokio::spawn(async move {
                sleep(rest).await;
                drop(turn);
            });
        }
        Ok(why)
    }
}
