//! Signs of life: what is said when there is nothing to say, and when somebody who says nothing is given up.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::SIGNS;

/// The flag of a frame that is only a sign of life.
pub(crate) const SIGN: u8 = 0x40;

/// The frame.
pub(crate) const FRAME: [u8; 5] = [SIGN, 0, 0, 0, 0];

/// The shortest pause that a client is granted: each costs a server a message.
const SHORTEST: Duration = Duration::from_millis(500);

/// How long a server waits for a client at least, which may be the busier of the two.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often a client asks for a sign of life, in the headers of its call.
pub(crate) fn asked(headers: &HeaderMap) -> Option<Duration> {
    let millis = headers.get(SIGNS)?.to_str().ok()?.parse::<u32>().ok()?;
    Some(Duration::from_millis(millis.into()).max(SHORTEST))
}

/// The same, as the header says it.
pub(crate) fn asking(every: Duration) -> HeaderValue {
    u32::try_from(every.as_millis()).unwrap_or(u32::MAX).into()
}

/// How long a server waits for a client that promised to say something so often.
pub(crate) fn patience(every: Duration) -> Duration {
    PATIENCE.max(every.saturating_mul(4))
}

/// A span of time that begins anew again and again. Only its end costs more than a look at the clock.
pub(crate) struct Since {
    begun: Instant,
    lasts: Duration,
    sleep: Pin<Box<Sleep>>,
}

impl Since {
    /// Begins now.
    pub(crate) fn now(lasts: Duration) -> Self {
        let begun = Instant::now();
        Self { begun, lasts, sleep: Box::pin(sleep_until(begun + lasts)) }
    }

    /// Begins anew.
    pub(crate) fn restart(&mut self) {
        self.begun = Instant::now();
    }

    /// How long it lasts.
    pub(crate) fn lasts(&self) -> Duration {
        self.lasts
    }

    /// Resolves at its end.
    pub(crate) fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.sleep.as_mut().poll(context));
            let end = self.begun + self.lasts;
            if end <= Instant::now() {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::sleep;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_span_ends_so_long_after_it_was_begun_last() {
        let began = Instant::now();
        let mut since = Since::now(3 * SECOND);
        for _ in 0..5 {
            sleep(SECOND).await;
            since.restart();
        }

        poll_fn(|context| since.poll_end(context)).await;

        assert_eq!(began.elapsed().as_secs(), 8);
    }

    #[test]
    fn what_is_asked_for_is_granted_unless_it_is_too_often_or_no_number() {
        let headers = |value: &str| HeaderMap::from_iter([(SIGNS.parse().unwrap(), value.parse().unwrap())]);
        assert_eq!(asked(&headers("1500")), Some(Duration::from_millis(1500)));
        assert_eq!(asked(&headers("0")), Some(SHORTEST));
        for none in ["", "-1", "soon", "99999999999"] {
            assert_eq!(asked(&headers(none)), None, "{none}");
        }
        assert_eq!(asked(&HeaderMap::new()), None);
        assert_eq!(asking(SECOND), "1000");
    }
}
