//! Artifacts that the master fetches itself, from where people have them: once for all who ask for the same at the same time.

mod waiter;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use haggle_core::Digest;
use haggle_core::access::{Principal, Right, Verb};
use haggle_sources::{Blame, Incoming, Source, SourceError, Sources};
use prometheus_client::metrics::counter::Counter;
use tokio::sync::{Semaphore, watch};
use tonic::Status;
use tracing::info;

use crate::artifacts::{Store, Upload, Uploader};
use crate::grpc::blocking;
use crate::limits::{Each, Limit, Limiter};
use crate::replicas::Replicas;

pub(crate) use waiter::Waiter;

/// Fetched at once. More would share the same wire and disk.
const AT_ONCE: usize = 4;

/// Of those, what one principal has begun: whoever asks slow servers leaves turns to others.
const AT_ONCE_EACH: usize = 2;

/// Different sources that are fetched or wait for their turn, over all principals. Each waiter holds a transfer as well.
const UNDER_WAY_MAX: usize = 256;

/// Bytes that are hashed and written at once: what comes from a network comes in small pieces.
const WRITTEN_AT_ONCE: usize = 256 << 10;

/// What every WebAssembly module and component begins with.
const MAGIC: &[u8] = b"\0asm";

/// Fetches artifacts into the store.
#[derive(Debug)]
pub(crate) struct Puller {
    store: Arc<Store>,
    sources: Sources,
    limiter: Limiter,
    turns: Semaphore,
    /// The turns of each principal that has something fetched.
    each: Each,
    under_way: Mutex<UnderWay>,
    counts: Counts,
}

/// What is fetched now, and where it is told how far it is.
type UnderWay = HashMap<Wanted, watch::Sender<Stage>>;

/// How often it was tried, for metrics.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// Artifacts that are here afterwards.
    pub(crate) done: Counter,
    /// Those of which nothing came.
    pub(crate) failed: Counter,
    /// Bytes that came.
    pub(crate) bytes: Counter,
}

/// What is fetched.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Wanted {
    source: Source,
    module: bool,
}

/// A place in the list, given back however the fetch ends.
struct Listed<'a> {
    puller: &'a Puller,
    wanted: &'a Wanted,
    tell: &'a watch::Sender<Stage>,
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        let mut under_way = self.puller.under_way();
        if under_way.get(self.wanted).is_some_and(|listed| listed.same_channel(self.tell)) {
            under_way.remove(self.wanted);
        }
    }
}

/// How far it is.
#[derive(Clone, Debug)]
pub(crate) enum Stage {
    Coming {
        got: u64,
        /// 0 while it is not known.
        size: u64,
    },
    Done(Result<Pulled, Status>),
}

/// What was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// Its name in the store.
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
    /// The source, so that it names the same again as far as its kind allows.
    pub pinned: String,
}

impl Puller {
    pub(crate) fn new(store: Arc<Store>, sources: Sources, limiter: Limiter) -> Self {
        let turns = Semaphore::new(AT_ONCE);
        let (each, under_way) = (Each::new(AT_ONCE_EACH), Mutex::default());
        Self { store, sources, limiter, turns, each, under_way, counts: Counts::default() }
    }

    /// How often it was tried.
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Fetches it for somebody, unless somebody else has it fetched already: then both wait for the same. It goes on for as long
    /// as somebody listens.
    pub(crate) fn pull(
        self: &Arc<Self>,
        source: Source,
        module: bool,
        who: &Principal,
        replicas: Option<Arc<Replicas>>,
    ) -> Result<watch::Receiver<Stage>, Status> {
        Ok(self.join(Wanted { source, module }, who, replicas)?.0)
    }

    /// The same, and whether it is on this one's own account.
    fn join(
        self: &Arc<Self>,
        wanted: Wanted,
        who: &Principal,
        replicas: Option<Arc<Replicas>>,
    ) -> Result<(watch::Receiver<Stage>, bool), Status> {
        let mut under_way = self.under_way();
        if let Some(tell) = under_way.get(&wanted) {
            return Ok((tell.subscribe(), false));
        }
        if under_way.len() >= UNDER_WAY_MAX {
            let why = format!("{UNDER_WAY_MAX} other sources are being fetched or wait for that: try again later");
            return Err(Status::resource_exhausted(why));
        }
        let (tell, stage) = watch::channel(Stage::Coming { got: 0, size: 0 });
        under_way.insert(wanted.clone(), tell.clone());
        drop(under_way);
        let (puller, who) = (Arc::clone(self), who.clone());
        tokio::spawn(async move {
            let listed = Listed { puller: &puller, wanted: &wanted, tell: &tell };
            let outcome = tokio::select! {
                outcome = puller.fetch(&wanted, &who, replicas, &tell) => outcome,
                () = puller.deserted(&wanted, &tell) => return,
            };
            drop(listed);
            let counted = if outcome.is_ok() { &puller.counts.done } else { &puller.counts.failed };
            counted.inc();
            tell.send_replace(Stage::Done(outcome));
        });
        Ok((stage, true))
    }

    fn under_way(&self) -> MutexGuard<'_, UnderWay> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns once nobody waits for it. Whoever comes later begins anew.
    async fn deserted(&self, wanted: &Wanted, tell: &watch::Sender<Stage>) {
        loop {
            tell.closed().await;
            let mut under_way = self.under_way();
            // Nobody can begin to listen while the list is held.
            if tell.receiver_count() == 0 {
                under_way.remove(wanted);
                return;
            }
        }
    }

    async fn fetch(
        &self,
        wanted: &Wanted,
        who: &Principal,
        replicas: Option<Arc<Replicas>>,
        tell: &watch::Sender<Stage>,
    ) -> Result<Pulled, Status> {
        let source = &wanted.source;
        let refused = |error: SourceError| told(source, &error);
        let none = |_| Status::internal("no more turns are given");
        let own = self.each.of(who.id());
        let _own = own.acquire().await.map_err(none)?;
        let _turn = self.turns.acquire().await.map_err(none)?;
        let uploader = Uploader { id: who.id(), most: self.limiter.most(who, Limit::UploadBytes) };
        let found = self.sources.find(source).await.map_err(refused)?;
        let pinned = found.pinned.clone();
        if let Some(digest) = found.digest
            && let Some(size) = self.has_for(digest, who).await?
        {
            self.note(digest, &pinned).await?;
            return Ok(Pulled { digest, size, pinned });
        }
        let expected = found.digest;
        let most = self.store.limits().single.get();
        let mut incoming = self.sources.open(found, most).await.map_err(refused)?;
        let (store, bringer) = (Arc::clone(&self.store), uploader.clone());
        let upload = blocking(move || store.begin(expected, Some(bringer))).await?;
        let upload = self.receive(wanted, who, &mut incoming, upload, tell).await?;
        let (digest, size) = blocking(move || upload.finish()).await?;
        self.note(digest, &pinned).await?;
        if let Some(replicas) = &replicas {
            replicas.spread(digest, &uploader.id).await?;
        }
        info!(%digest, size, "fetched {pinned}");
        Ok(Pulled { digest, size, pinned })
    }

    /// Takes in what comes.
    async fn receive(
        &self,
        Wanted { source, module }: &Wanted,
        who: &Principal,
        incoming: &mut Incoming,
        mut upload: Upload,
        tell: &watch::Sender<Stage>,
    ) -> Result<Upload, Status> {
        let size = incoming.size().unwrap_or(0);
        let (mut got, mut piece, mut is_checked) = (0, BytesMut::new(), !module);
        loop {
            let next = incoming.next().await.map_err(|error| told(source, &error))?;
            let is_over = next.is_none();
            if let Some(bytes) = next {
                self.limiter.bring(who, bytes.len() as u64, Instant::now())?;
                self.counts.bytes.inc_by(bytes.len() as u64);
                got += bytes.len() as u64;
                piece.extend_from_slice(&bytes);
            }
            if !is_checked && (piece.len() >= MAGIC.len() || is_over) {
                check_module(source, &piece)?;
                is_checked = true;
            }
            if piece.len() >= WRITTEN_AT_ONCE || is_over {
                let data: Bytes = piece.split().freeze();
                upload = blocking(move || upload.write(&data).map(|()| upload)).await?;
                tell.send_replace(Stage::Coming { got, size });
            }
            if is_over {
                return Ok(upload);
            }
        }
    }

    /// How large it is, if it is here and this principal may know of it: that a registry names a digest proves nothing.
    async fn has_for(&self, digest: Digest, who: &Principal) -> Result<Option<u64>, Status> {
        let (store, id, sees_all) = (Arc::clone(&self.store), who.id(), who.right(Verb::Stat) == Right::All);
        blocking(move || {
            let may_know = sees_all || store.was_brought_by(digest, &id)?;
            if may_know { store.stat(digest) } else { Ok(None) }
        })
        .await
    }

    async fn note(&self, digest: Digest, pinned: &str) -> Result<(), Status> {
        let (store, pinned) = (Arc::clone(&self.store), pinned.to_owned());
        blocking(move || store.note_origin(digest, &pinned)).await
    }

    /// Has somebody who waited for it be one of those that have brought it.
    pub(crate) async fn share(&self, digest: Digest, who: &Principal) -> Result<(), Status> {
        let uploader = Uploader { id: who.id(), most: self.limiter.most(who, Limit::UploadBytes) };
        let store = Arc::clone(&self.store);
        let is_here = blocking(move || store.share_with(digest, &uploader)).await?;
        if is_here { Ok(()) } else { Err(Status::aborted(format!("{digest} was removed meanwhile"))) }
    }
}

fn check_module(source: &Source, beginning: &[u8]) -> Result<(), Status> {
    if beginning.starts_with(MAGIC) {
        return Ok(());
    }
    let found = match beginning {
        [] => "it is empty".to_owned(),
        _ => format!("it begins with \"{}\"", beginning[..beginning.len().min(8)].escape_ascii()),
    };
    Err(Status::invalid_argument(format!("{source} is not a WebAssembly module: {found}")))
}

/// What is told of a source that gives nothing.
fn told(source: &Source, error: &SourceError) -> Status {
    let why = format!("cannot fetch {source}: {error}");
    match error.blame() {
        Blame::Operator => Status::failed_precondition(why),
        Blame::Caller => Status::invalid_argument(why),
        Blame::Missing => Status::not_found(why),
        Blame::Size => Status::resource_exhausted(why),
        // Not UNAVAILABLE: it is not the master that cannot be reached.
        Blame::Server => Status::failed_precondition(why),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use haggle_core::access::{Kind, Roles};
    use haggle_sources::{Hosts, Settings};
    use tempfile::TempDir;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::sync::Notify;
    use tonic::Code;

    use super::*;
    use crate::config::ArtifactLimits;
    use crate::limits::Limits;

    /// An empty module.
    const MODULE: &[u8] = b"\0asm\x01\0\0\0";

    /// A web server that answers once it is told to, and counts who comes.
    struct Web {
        source: Source,
        asked: Arc<AtomicUsize>,
        answer: Arc<Notify>,
    }

    impl Web {
        async fn with(content: &'static [u8]) -> (Self, Arc<Puller>, TempDir) {
            Self::with_limits(content, Limits::default()).await
        }

        async fn with_limits(content: &'static [u8], limits: Limits) -> (Self, Arc<Puller>, TempDir) {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let (asked, answer): (Arc<AtomicUsize>, Arc<Notify>) = Default::default();
            let (counted, told) = (Arc::clone(&asked), Arc::clone(&answer));
            tokio::spawn(async move {
                while let Ok((mut stream, _)) = listener.accept().await {
                    counted.fetch_add(1, Ordering::Relaxed);
                    told.notified().await;
                    let _ = stream.read(&mut [0; 4096]).await;
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", content.len());
                    let _ = stream.write_all(&[head.as_bytes(), content].concat()).await;
                }
            });
            let folder = TempDir::new().unwrap();
            let store = Arc::new(Store::open(Some(folder.path()), ArtifactLimits::default()).unwrap());
            let hosts = Hosts::only(vec![address.to_string().parse().unwrap()]);
            let sources = Sources::new(Settings { hosts, home: Some(folder.path().into()), ..Settings::default() });
            let puller = Puller::new(store, sources.unwrap(), Limiter::new(limits));
            let source = format!("http://{address}/app.wasm").parse().unwrap();
            (Self { source, asked, answer }, Arc::new(puller), folder)
        }

        async fn is_asked(&self) {
            while self.asked.load(Ordering::Relaxed) == 0 {
                tokio::task::yield_now().await;
            }
        }
    }

    async fn end_of(stages: &mut watch::Receiver<Stage>) -> Result<Pulled, Status> {
        let stage = stages.wait_for(|stage| matches!(stage, Stage::Done(_))).await.unwrap();
        match &*stage {
            Stage::Done(outcome) => outcome.clone(),
            Stage::Coming { .. } => unreachable!("it was waited for"),
        }
    }

    fn framework() -> Principal {
        Principal { name: "ci".into(), kind: Kind::Framework(Roles::parse::<&str>(&[]).unwrap()), token: None }
    }

    #[tokio::test]
    async fn what_several_ask_for_at_once_is_fetched_once() {
        let (web, puller, _folder) = Web::with(MODULE).await;
        let mut one = puller.pull(web.source.clone(), true, &Principal::owner(), None).unwrap();
        let mut other = puller.pull(web.source.clone(), true, &framework(), None).unwrap();
        web.is_asked().await;
        web.answer.notify_one();

        let (one, other) = (end_of(&mut one).await.unwrap(), end_of(&mut other).await.unwrap());

        assert_eq!((&one, one.size), (&other, 8));
        assert_eq!(web.asked.load(Ordering::Relaxed), 1);
        assert_eq!((puller.counts().done.get(), puller.counts().bytes.get()), (1, 8));
        let is_its = || puller.store.was_brought_by(one.digest, &framework().id()).unwrap();
        assert!(!is_its());
        puller.share(one.digest, &framework()).await.unwrap();
        assert!(is_its());
        assert_eq!(puller.store.origins(one.digest).unwrap(), [web.source.to_string()]);
    }

    #[tokio::test]
    async fn who_waits_for_the_fetch_of_another_fetches_it_itself_when_that_one_may_have_no_more() {
        let mut limits = Limits::default();
        limits.set("upload-bytes-per-day=4".parse().unwrap());
        let (web, puller, _folder) = Web::with_limits(MODULE, limits).await;
        let wait =
            |who: &Principal| Waiter::begin(Arc::clone(&puller), web.source.clone(), true, who.clone(), None).unwrap();
        let (mut poor, mut rich) = (wait(&framework()), wait(&Principal::owner()));
        let answers = async {
            loop {
                web.answer.notify_one();
                tokio::task::yield_now().await;
            }
        };

        let ends = async { tokio::join!(poor.end(), rich.end()) };
        let (poor, rich) = tokio::select! { ends = ends => ends, () = answers => unreachable!() };

        assert_eq!(poor.unwrap_err().code(), Code::ResourceExhausted);
        assert_eq!(rich.unwrap().size, 8);
    }

    #[tokio::test]
    async fn one_who_asks_for_much_leaves_turns_to_others() {
        let (web, puller, _folder) = Web::with(MODULE).await;
        let Source::Web(url) = &web.source else { panic!("{}", web.source) };
        let of = |name: &str| format!("{url}?{name}").parse::<Source>().unwrap();
        let names = ["a", "b", "c", "d", "e", "f"];
        let _slow = names.map(|name| puller.pull(of(name), true, &framework(), None).unwrap());
        web.is_asked().await;

        let mut other = puller.pull(of("other"), true, &Principal::owner(), None).unwrap();
        while puller.turns.available_permits() > AT_ONCE - AT_ONCE_EACH - 1 {
            tokio::task::yield_now().await;
        }
        assert_eq!(
            puller.turns.available_permits(),
            AT_ONCE - AT_ONCE_EACH - 1,
            "whoever asked first waits for itself"
        );
        let answers = async {
            loop {
                web.answer.notify_one();
                tokio::task::yield_now().await;
            }
        };
        let pulled = tokio::select! { pulled = end_of(&mut other) => pulled, () = answers => unreachable!() };

        assert_eq!(pulled.unwrap().size, 8);
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_not_fetched_on() {
        let (web, puller, _folder) = Web::with(MODULE).await;
        let stages = puller.pull(web.source.clone(), true, &Principal::owner(), None).unwrap();
        web.is_asked().await;

        drop(stages);

        while !puller.under_way().is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(puller.store.list().unwrap().is_empty());
    }

    #[tokio::test]
    async fn what_is_no_module_is_refused_and_not_kept() {
        let (web, puller, _folder) = Web::with(b"#!/bin/sh").await;
        web.answer.notify_one();
        let mut stages = puller.pull(web.source.clone(), true, &Principal::owner(), None).unwrap();

        let refused = end_of(&mut stages).await.unwrap_err();

        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().ends_with("it begins with \"#!/bin/s\""), "{refused}");
        assert!(puller.store.list().unwrap().is_empty() && puller.under_way().is_empty());
    }
}
