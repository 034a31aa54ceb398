//! Events on their way out: one record in one chunk, a heartbeat behind each burst, and one whenever nothing else was said.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::unfold;
use futures_util::{Stream, StreamExt};
use haggle_core::cluster::FrameworkEvent;
use haggle_core::{TaskId, UpdateId};
use haggle_mesos::Format;
use haggle_mesos::meaning::Dialect;
use haggle_mesos::record::record;
use haggle_mesos::wire::common::MasterInfo;
use haggle_mesos::wire::scheduler::{Event, EventType, Subscribed};
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tonic::body::Body;
use tonic::codegen::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use tonic::codegen::http::{HeaderValue, Response};
use tonic::{Code, Status};

use super::names::Names;
use super::session::Entered;
use super::{HEARTBEAT_SECONDS, STREAM_ID};
use crate::access::wall_clock_ms;
use crate::handle::{Handle, Stopping};
use crate::outbox::Mail;

/// Tells one framework of what happens.
pub(super) struct Events {
    pub(super) handle: Handle,
    pub(super) dialect: Dialect,
    pub(super) names: Arc<Names>,
    pub(super) format: Format,
}

impl Events {
    fn write(&self, event: &Event) -> Bytes {
        record(&self.format.write(event)).into()
    }

    /// The records that tell of a batch, with a heartbeat behind them: some clients see a record when the next one comes.
    async fn tell(&self, batch: Vec<FrameworkEvent>) -> Result<VecDeque<Bytes>, Stopping> {
        let updated = batch.iter().filter_map(|event| match event {
            FrameworkEvent::Update(status) => Some(status.task),
            _ => None,
        });
        let named = self.names.of(&self.handle, updated.collect()).await?;
        let seconds = wall_clock_ms() as f64 / 1_000.0;
        let mut records = VecDeque::with_capacity(batch.len() + 1);
        for event in batch {
            if let FrameworkEvent::Update(status) = &event
                && status.update == UpdateId::UNACKNOWLEDGED
            {
                self.names.answered(status.task);
            }
            let name = |task: TaskId| named.get(&task).cloned().unwrap_or_else(|| (task.to_string(), None));
            records.extend(self.dialect.events(event, name, seconds).iter().map(|event| self.write(event)));
        }
        if !records.is_empty() {
            records.push_back(self.write(&Event::heartbeat()));
        }
        Ok(records)
    }
}

/// The stream of a session that has begun, with what was told along with that.
pub(super) async fn of_session(
    events: Events,
    master: &MasterInfo,
    entered: Entered,
    told: Vec<FrameworkEvent>,
    mail: Mail<FrameworkEvent>,
) -> Result<Response<Body>, Status> {
    let dialect = &events.dialect;
    let subscribed = Subscribed {
        framework_id: dialect.ids.framework(dialect.framework).into(),
        heartbeat_interval_seconds: Some(HEARTBEAT_SECONDS as f64),
        master_info: Some(master.clone()),
    };
    let subscribed = Event { subscribed: Some(subscribed), ..Event::of(EventType::Subscribed) };
    let mut records = VecDeque::from([events.write(&subscribed), events.write(&Event::heartbeat())]);
    records.extend(events.tell(told).await?);
    let (format, stream) = (events.format, HeaderValue::from_str(&entered.stream));
    let teller = Teller { events, mail, records, beat: heartbeat(), _entered: entered };
    let records = unfold(Some(teller), |teller| async {
        let mut teller = teller?;
        let record = teller.next().await?;
        Some((record, Some(teller)))
    });
    let mut response = of_records(format, records);
    if let Ok(stream) = stream {
        response.headers_mut().insert(STREAM_ID, stream);
    }
    Ok(response)
}

/// A stream of one record.
pub(super) fn of_one(format: Format, event: &Event) -> Response<Body> {
    let record = Bytes::from(record(&format.write(event)));
    of_records(format, futures_util::stream::iter([record]))
}

/// A stream of records.
pub(super) fn of_records(format: Format, records: impl Stream<Item = Bytes> + Send + 'static) -> Response<Body> {
    let chunks = records.map(|record| Ok::<_, Infallible>(Frame::data(record)));
    let mut response = Response::new(Body::new(StreamBody::new(Box::pin(chunks))));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// When to say that a stream lives.
pub(super) fn heartbeat() -> Interval {
    let every = Duration::from_secs(HEARTBEAT_SECONDS);
    let mut beat = interval_at(Instant::now() + every, every);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beat
}

/// Whether the same may do another time: it is told by the end of the stream alone, for an ERROR ends a framework for good.
pub(super) fn is_passing(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::ResourceExhausted | Code::Internal)
}

struct Teller {
    events: Events,
    mail: Mail<FrameworkEvent>,
    records: VecDeque<Bytes>,
    beat: Interval,
    /// Calls find the session until its stream ends.
    _entered: Entered,
}

impl Teller {
    /// The next record; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(record) = self.records.pop_front() {
                return Some(record);
            }
            tokio::select! {
                batch = self.mail.next() => match batch? {
                    Ok(batch) => self.records = self.events.tell(batch).await.ok()?,
                    Err(status) if is_passing(&status) => return None,
                    Err(status) => self.records.push_back(self.events.write(&Event::error(status.message()))),
                },
                _ = self.beat.tick() => self.records.push_back(self.events.write(&Event::heartbeat())),
            }
        }
    }
}
