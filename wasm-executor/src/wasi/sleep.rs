//! A `poll_oneoff` that does nothing but sleep, which is what most suspended guests are in: with a timer and no more.
//!
//! wasmtime has the same special case, and sleeps on the thread.

use std::time::Duration;

use wasmtime_wasi::p1::types::{
    self, Clockid, Errno, Error, Event, EventFdReadwrite, Eventrwflags, Eventtype, Subclockflags, SubscriptionU,
};
use wiggle::{GuestMemory, GuestPtr};

/// For so long from now.
pub(super) struct Sleep {
    time: Duration,
    userdata: types::Userdata,
}

impl Sleep {
    /// If that is all that the guest waits for.
    pub(super) fn alone(
        memory: &GuestMemory<'_>,
        subscriptions: GuestPtr<types::Subscription>,
        count: types::Size,
    ) -> Result<Option<Self>, Error> {
        if count != 1 {
            return Ok(None);
        }
        let types::Subscription { userdata, u } = memory.read(subscriptions)?;
        let SubscriptionU::Clock(clock) = u else { return Ok(None) };
        let until_then = clock.flags.contains(Subclockflags::SUBSCRIPTION_CLOCK_ABSTIME);
        let ticks = matches!(clock.id, Clockid::Monotonic | Clockid::Realtime);
        let time = Duration::from_nanos(clock.timeout);
        Ok((ticks && !until_then).then_some(Self { time, userdata }))
    }

    /// Sleeps, and tells the guest that it has.
    pub(super) async fn take(
        self,
        memory: &mut GuestMemory<'_>,
        events: GuestPtr<Event>,
    ) -> Result<types::Size, Error> {
        if !self.time.is_zero() {
            tokio::time::sleep(self.time).await;
        }
        let event = Event {
            userdata: self.userdata,
            error: Errno::Success,
            type_: Eventtype::Clock,
            fd_readwrite: EventFdReadwrite { flags: Eventrwflags::empty(), nbytes: 0 },
        };
        memory.write(events, event)?;
        Ok(1)
    }
}
