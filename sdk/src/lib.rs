//! Write a Haggle framework, or hand over tasks and have them driven to their end.
//!
//! # A framework
//!
//! A framework subscribes to a master, is offered resources, and launches tasks on those it likes. This is a whole
//! one: it runs `hello.wasm` three times, each where there is half a core and 32 MiB for it.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use haggle_sdk::{Client, Event, Framework, FrameworkInfo, Task, TaskId};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let client = Client::connect("127.0.0.1:5050").await?;
//!     let hello = Task::new(client.upload_module("hello.wasm").await?).cpus("0.5").mem("32MiB");
//!     let info = FrameworkInfo {
//!         name: "three hellos".into(),
//!         roles: vec![FrameworkInfo::DEFAULT_ROLE.into()],
//!         failover_timeout: Duration::from_secs(10),
//!     };
//!     let (framework, mut events) = Framework::connect(&client, info).await?;
//!
//!     let (mut launched, mut ended) = (0, 0);
//!     while ended < 3 {
//!         match events.next().await.ok_or("the session is over")? {
//!             Event::Offers(offers) => {
//!                 for mut offer in offers {
//!                     let mut tasks = Vec::new();
//!                     while launched < 3 && offer.resources.take(hello.wants()).is_ok() {
//!                         launched += 1;
//!                         tasks.push(hello.spec(TaskId { framework: framework.id(), number: launched }));
//!                     }
//!                     // Accepting without a task would decline as well.
//!                     framework.accept([offer.id], tasks, Duration::from_secs(5)).await?;
//!                 }
//!             }
//!             Event::Update(status) => {
//!                 println!("{} is {} {}", status.task, status.state, status.message);
//!                 framework.acknowledge([&status]).await?;
//!                 ended += u32::from(status.state.is_terminal());
//!             }
//!             Event::Error(why) => return Err(why.into()),
//!             other => println!("{other:?}"),
//!         }
//!     }
//!     framework.teardown(events).await?;
//!     Ok(())
//! }
//! ```
//!
//! Offers are whole agents unless a framework says what it wants. One that does is offered that and no more, so that several
//! share a large agent, and nothing at all once it wants nothing:
//!
//! ```no_run
//! # use haggle_sdk::{Framework, Task, Want};
//! # async fn say(framework: &Framework, hello: &Task) -> Result<(), Box<dyn std::error::Error>> {
//! let resources = hello.wants().clone();
//! framework.demand([Want { resources, constraints: Vec::new(), volumes: Vec::new(), waiting: 3, spare: 0, gang: 0 }]).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Very short tasks
//!
//! A task of some milliseconds ends before its framework could use the room for the next one. So a framework can open an
//! *allocation* on its offers, and put tasks into its queue, thousands alike in one word. They run in the allocation's resources, as
//! many at once as fit, each under its own limits, and the next one begins where one ends. They are tasks as any others: listed,
//! killed and asked after by their ids.
//!
//! ```no_run
//! # use std::{sync::Arc, time::Duration};
//! # use haggle_sdk::{AllocationSpec, Event, Framework, Index, Offer, QueuedTasks, Task, TaskId};
//! # async fn say(framework: &Framework, offer: &Offer, hello: &Task, event: Event) -> Result<(), Box<dyn std::error::Error>> {
//! let id = |number| TaskId { framework: framework.id(), number };
//! let spec = AllocationSpec {
//!     id: id(1),
//!     name: "hellos".into(),
//!     role: String::new(),
//!     resources: offer.resources.clone(),
//!     volumes: Vec::new(),
//!     idle_timeout: AllocationSpec::IDLE_DEFAULT,
//! };
//! framework.open([offer.id], spec, Duration::ZERO).await?;
//!
//! // Tasks 2 to 10,001, each with its own number in the variable N.
//! let index = Some(Index { variable: "N".into(), first: 0 });
//! let tasks = QueuedTasks { spec: Arc::new(hello.spec(id(2))), count: 10_000, index };
//! framework.enqueue(id(1), [tasks], true).await?;
//!
//! // Their ends come many at a time, and are acknowledged so.
//! if let Event::Queue(update) = event {
//!     framework.acknowledge_queue(&update).await?;
//!     for status in Arc::unwrap_or_clone(update).ends() {
//!         println!("{} is {}", status.task, status.state);
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A [`Runner`] does this by itself where short tasks wait.
//!
//! # A list of tasks
//!
//! Most programs only want tasks done. A [`Runner`] is a framework that does that: it packs tasks into offers,
//! launches those again that were lost, and says why when they have to wait.
//!
//! ```no_run
//! # use haggle_sdk::{Client, Runner, Task};
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect("127.0.0.1:5050").await?;
//! let module = client.upload_module("primes.wasm").await?;
//! let tasks = (1..=100).map(|n| Task::new(module).arg((n * 1000).to_string()).cpus("0.25")).collect();
//! let report = Runner::new(&client).name("primes").retries(2).run(tasks, |news| println!("{news:?}")).await?;
//! println!("{} tasks in {:?}", report.outcomes.len(), report.elapsed);
//! # Ok(())
//! # }
//! ```
//!
//! [`Runner::start`] gives a [`Session`] instead, for a program that submits one task after another and waits for
//! each.
//!
//! # A standby
//!
//! A framework whose name and launches are in a store can be followed by another process: [`Framework::connect_stored`].
//! A [`FileStore`] is for instances that see the same folder. `EtcdStore` (cargo feature `etcd`) is for instances on
//! several machines:
//!
//! ```no_run
//! # #[cfg(feature = "etcd")]
//! # async fn run(client: haggle_sdk::Client, info: haggle_sdk::FrameworkInfo) -> Result<(), Box<dyn std::error::Error>> {
//! use haggle_sdk::{EtcdStore, Framework};
//!
//! // Waits while another instance holds it, and until about five seconds after that one has died.
//! let store = EtcdStore::wait(&"etcd://10.0.0.1:2379,10.0.0.2:2379/haggle/nightly".parse()?).await?;
//! let (framework, events) = Framework::connect_stored(&client, info, store).await?;
//! # Ok(())
//! # }
//! ```
#![warn(missing_docs)]

mod access;
mod address;
mod artifacts;
mod authority;
mod client;
mod credentials;
mod error;
mod events;
mod forward;
mod framework;
mod log;
mod masters;
mod operator;
mod outgoing;
mod roles;
mod runner;
mod script;
mod store;
mod stored;
mod task;
mod upkeep;
mod volumes;

pub use access::{MadeToken, NewToken, Principal, TokenInfo};
pub use artifacts::{CollectedArtifacts, KeptArtifact, Pulled};
pub use authority::{Authority, AuthorityInfo};
pub use client::{Client, ClientBuilder};
pub use error::{ArtifactError, CallError, ConnectError, SessionOver};
pub use events::{Event, Events};
pub use framework::Framework;
#[cfg(feature = "etcd")]
pub use haggle_etcd::{EtcdConfig, EtcdError};
pub use log::{LogStream, OutputStream};
pub use operator::{LimitUse, MasterInfo, RunAgain, WatchEvent};
pub use roles::RoleInfo;
pub use runner::{
    COUNT_VARIABLE, GANG_SIZE_VARIABLE, INDEX_VARIABLE, Lack, Outcome, Progress, Report, RunError, Runner, Session,
    TaskHandle, TooBig, Unsuitable, WaitReason,
};
pub use script::Language;
#[cfg(feature = "etcd")]
pub use store::EtcdStore;
pub use store::{Entry, FileStore, Hold, Launched, Memory, Store, StoreError};
pub use stored::{StoredError, StoredFramework};
pub use task::{Amount, BadTask, Task};
pub use upkeep::WindowStart;

/// What the simulation of whole clusters drives: what a runner decides, what it hears and what it has to send, without a
/// clock and without a connection. Not meant for programs; it changes as it must.
#[doc(hidden)]
pub mod simulation {
    pub use crate::events::{back_again, heard};
    pub use crate::outgoing::{Queue, StaleMaster};
    pub use crate::runner::NoAgent;
    pub use crate::runner::state::{Decisions, News, Policy, RunnerState};
}

pub use haggle_tls::{ArgumentError, Fingerprint, OwnerTokens, Token, TokenError, TokenKind, secret_argument};

pub use haggle_core::access::TokenId;
pub use haggle_core::allocator::{Ahead, Hindrance, Lacking, Obstacle, Withheld};
pub use haggle_core::cluster::{
    Acknowledgement, AgentView, AheadView, Announcement, FrameworkCommand, FrameworkInfo, FrameworkView,
    MaintenanceView, OfferView, PhaseView, Question, ReservationView, TaskView, VolumeStanding, VolumeView, Why,
    WithdrawalView,
};
pub use haggle_core::quantity::NotAnAmount;
pub use haggle_core::queue::Index;
pub use haggle_core::{
    AgentId, AgentInfo, AllocationSpec, Bytes, Cause, Ceiling, ClusterId, Constraint, Digest, Endpoint, Epoch,
    Exceeded, Folder, FolderSource, FrameworkId, Fuel, Grants, Group, HttpHost, Input, InverseOffer, InverseOfferId,
    Limits, Maintenance, MaintenanceId, Member, MilliCpu, Offer, OfferId, OfferOperation, Operation, OutputOverrun,
    Placed, PlacedOperation, Placement, QueueEnd, QueueUpdate, QueueVolume, QueuedTasks, Quota, Reason, Reservation,
    Reserved, Resources, Sharing, Source, TaskId, TaskSpec, TaskState, TaskStatus, Test, TraceContext, Unavailability,
    UpdateId, Usage, Volume, VolumeId, VolumeOperation, Want,
};

/// The span that this program runs in, where whoever started it has said so in `TRACEPARENT`, as W3C trace context has it. What cannot be read
/// counts as nothing.
pub fn caller() -> Option<TraceContext> {
    std::env::var(haggle_core::trace::TRACEPARENT).ok()?.parse().ok()
}
