//! Artifacts are kept by every master of a cluster: what one takes in it hands to the others, and what one lacks it
//! fetches from them.
//!
//! An upload is answered when every other master that is up has the artifact. A master first says that it is up and
//! then fetches all that it lacks, so that whoever is not handed an artifact finds it in the list.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{join_all, ready};
use futures_util::stream::{once, unfold};
use haggle_core::Digest;
use haggle_core::access::PrincipalId;
use haggle_proto::convert::digest;
use haggle_proto::v1;
use haggle_proto::v1::masters_client::MastersClient;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tracing::{info, warn};

use crate::access::MastersSecret;
use crate::artifacts::Store;
use crate::grpc::{UPLOADER, blocking, next_chunk};
use crate::registry::Campaign;
use crate::security::Security;

/// Between two looks at who is up.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Between two comparisons of lists when nobody came or went: what a failed copy left behind is found then.
const COMPARE_EVERY: Duration = Duration::from_secs(30);

/// Between two attempts to hand an artifact to a master that does not answer but may be up.
const RETRY_EVERY: Duration = Duration::from_millis(200);

/// How long a master that is up may take to receive an artifact. The largest one, of 2 GiB, passes on a slow network.
const COPY_WITHIN: Duration = Duration::from_secs(60);

/// How long a master may take to accept a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);

/// A connection that says nothing for so long is asked whether it lives.
const PING_EVERY: Duration = Duration::from_secs(2);

/// The copies of this master's artifacts elsewhere.
pub(crate) struct Replicas {
    campaign: Campaign,
    secret: MastersSecret,
    /// `None`: in plain text, on loopback.
    security: Option<Arc<Security>>,
    store: Arc<Store>,
    /// What this master took in and could not hand on yet. Guards no decision.
    alone: Mutex<HashSet<Digest>>,
}

/// What came of a copy.
enum Copied {
    Done,
    /// The other master went down meanwhile.
    Gone,
    Failed(String),
}

impl Replicas {
    pub(crate) fn new(
        campaign: Campaign,
        secret: MastersSecret,
        security: Option<Arc<Security>>,
        store: Arc<Store>,
    ) -> Self {
        Self { campaign, secret, security, store, alone: Mutex::default() }
    }

    /// Hands an artifact to every other master that is up, which then knows who brought it.
    ///
    /// # Errors
    /// `UNAVAILABLE` when there are others and none of them has it: it would be lost with this one.
    pub(crate) async fn spread(&self, digest: Digest, uploader: &PrincipalId) -> Result<(), Status> {
        self.alone().insert(digest);
        let others = self.others().await?;
        let copies = join_all(others.iter().map(|url| self.copy_to(url, digest, uploader))).await;
        let mut done = false;
        let mut failed = None;
        for (url, copied) in others.iter().zip(copies) {
            match copied {
                Copied::Done => done = true,
                Copied::Gone => {}
                Copied::Failed(why) => {
                    warn!("{url} has no copy of {digest}: {why}");
                    failed = Some(format!("{url}: {why}"));
                }
            }
        }
        match failed {
            Some(why) if !done => Err(Status::unavailable(format!("no other master could keep {digest}: {why}"))),
            _ => {
                self.alone().remove(&digest);
                Ok(())
            }
        }
    }

    /// Makes up for an upload that ended before the artifact was handed on: who finds it here does not bring it again.
    ///
    /// # Errors
    /// As [`Replicas::spread`].
    pub(crate) async fn make_up(&self, digest: Digest, uploader: &PrincipalId) -> Result<(), Status> {
        let alone = self.alone().contains(&digest);
        if alone { self.spread(digest, uploader).await } else { Ok(()) }
    }

    /// Fetches an artifact that this master lacks; says whether anybody has it.
    ///
    /// # Errors
    /// When nobody can be asked, or it cannot be kept here.
    pub(crate) async fn fetch(&self, digest: Digest) -> Result<bool, Status> {
        for url in self.others().await? {
            match self.fetch_from(&url, digest).await {
                Ok(()) => return Ok(true),
                Err(status) if status.code() == Code::ResourceExhausted => return Err(status),
                // It lacks it as well, or has just gone down.
                Err(_) => {}
            }
        }
        Ok(false)
    }

    /// Fetches what the others have and this one lacks, for as long as it is polled. `joined` changes each time that
    /// this master has said that it is up.
    pub(crate) async fn keep_up(&self, mut joined: watch::Receiver<u64>) -> Infallible {
        let mut known = Vec::new();
        let mut compared = None::<Instant>;
        loop {
            sleep(LOOK_EVERY).await;
            let rejoined = joined.has_changed().unwrap_or(false);
            let Ok(others) = self.campaign.others().await else { continue };
            self.have_forgotten(&others).await;
            let due = compared.is_none_or(|at| at.elapsed() >= COMPARE_EVERY);
            if !rejoined && !due && others == known {
                continue;
            }
            joined.mark_unchanged();
            let mut complete = true;
            for url in &others {
                if let Err(status) = self.compare_with(url).await {
                    warn!("not every artifact of {url} is here: {}", status.message());
                    complete = false;
                }
            }
            // What failed is tried again at the next look.
            compared = complete.then(Instant::now);
            known = others;
        }
    }

    /// Tells the others what was let go here. Whoever is down then keeps it, and brings it back: no task needs it, and it goes
    /// again when there is no room.
    async fn have_forgotten(&self, others: &[String]) {
        let gone = self.store.let_go_by_now();
        if gone.is_empty() {
            return;
        }
        let digests: Vec<_> = gone.iter().map(|digest| digest.0.to_vec()).collect();
        for url in others {
            let telling = async {
                let call = self.as_master(v1::ForgetRequest { digests: digests.clone() }).await?;
                self.client(url)?.forget(call).await
            };
            match timeout(COPY_WITHIN, telling).await {
                Ok(Ok(_)) => {}
                Ok(Err(status)) => warn!("{url} keeps what was let go here: {}", status.message()),
                Err(_) => warn!("{url} keeps what was let go here: it does not answer"),
            }
        }
    }

    fn alone(&self) -> MutexGuard<'_, HashSet<Digest>> {
        self.alone.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn others(&self) -> Result<Vec<String>, Status> {
        self.campaign.others().await.map_err(|error| Status::unavailable(error.to_string()))
    }

    async fn copy_to(&self, url: &str, digest: Digest, uploader: &PrincipalId) -> Copied {
        let mut last = "no answer".to_owned();
        let attempts = async {
            loop {
                match self.try_copy(url, digest, uploader).await {
                    Ok(()) => return Copied::Done,
                    // It is on its way down or up, or there is no way to it: that shows when it is no longer among
                    // the masters.
                    Err(status) if status.code() == Code::Unavailable || status.code() == Code::Unknown => {
                        last = status.message().to_owned();
                        sleep(RETRY_EVERY).await;
                    }
                    Err(status) => return Copied::Failed(status.message().to_owned()),
                }
            }
        };
        let outcome = timeout(COPY_WITHIN, async {
            tokio::select! {
                copied = attempts => copied,
                () = self.gone(url) => Copied::Gone,
            }
        });
        match outcome.await {
            Ok(copied) => copied,
            Err(_) => Copied::Failed(last),
        }
    }

    /// Waits until a master is no longer up.
    async fn gone(&self, url: &str) {
        loop {
            sleep(LOOK_EVERY).await;
            if self.campaign.others().await.is_ok_and(|others| !others.iter().any(|other| other == url)) {
                return;
            }
        }
    }

    async fn try_copy(&self, url: &str, digest: Digest, uploader: &PrincipalId) -> Result<(), Status> {
        let store = Arc::clone(&self.store);
        let Some(file) = blocking(move || store.read(digest)).await? else {
            return Err(Status::internal(format!("{digest} is gone from this master")));
        };
        let first = v1::UploadChunk { expected: digest.0.to_vec(), ..Default::default() };
        // A chunk that cannot be read ends the upload early, and the other side sees the wrong digest.
        let rest = unfold(file, |file| async {
            let (file, data) = blocking(move || next_chunk(file)).await.ok()?;
            (!data.is_empty()).then_some((v1::UploadChunk { data, ..Default::default() }, file))
        });
        let chunks = once(ready(first)).chain(rest);
        let mut call = self.as_master(chunks).await?;
        call.metadata_mut().insert_bin(UPLOADER, MetadataValue::from_bytes(uploader.to_string().as_bytes()));
        self.client(url)?.keep(call).await?;
        Ok(())
    }

    async fn fetch_from(&self, url: &str, digest: Digest) -> Result<(), Status> {
        let wanted = v1::ArtifactRef { digest: digest.0.to_vec() };
        let mut chunks = self.client(url)?.fetch(self.as_master(wanted).await?).await?.into_inner();
        let store = Arc::clone(&self.store);
        let mut upload = blocking(move || store.begin_copy(digest)).await?;
        while let Some(v1::DownloadChunk { data }) = chunks.message().await? {
            upload = blocking(move || upload.write(&data).map(|()| upload)).await?;
        }
        blocking(move || upload.finish()).await?;
        info!("fetched {digest} from {url}");
        Ok(())
    }

    /// A connection to another master, which is one of the cluster before anything is said to it.
    fn client(&self, url: &str) -> Result<MastersClient<Channel>, Status> {
        let by_tls = url.strip_prefix("https://");
        // TLS is the connector's part.
        let plain = by_tls.map_or_else(|| url.to_owned(), |address| format!("http://{address}"));
        let endpoint = Endpoint::from_shared(plain)
            .map_err(|_| Status::internal(format!("a master says that it is at {url:?}, which is no URL")))?
            .connect_timeout(CONNECT_WITHIN)
            .http2_keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_EVERY);
        let channel = match (&self.security, by_tls) {
            (Some(security), Some(_)) => {
                let connector = security.to_masters().map_err(|error| Status::internal(error.to_string()))?;
                endpoint.connect_with_connector_lazy(connector)
            }
            (None, None) => endpoint.connect_lazy(),
            (Some(_), None) => return Err(unlike(url, "plain text", "TLS")),
            (None, Some(_)) => return Err(unlike(url, "TLS", "plain text")),
        };
        Ok(MastersClient::new(channel).max_decoding_message_size(haggle_proto::MESSAGE_MAX))
    }

    /// A call that one of the masters makes.
    async fn as_master<T>(&self, message: T) -> Result<Request<T>, Status> {
        let mut call = Request::new(message);
        call.metadata_mut().insert("authorization", self.secret.authorization().await?.clone());
        Ok(call)
    }

    /// Fetches what that master has and this one lacks.
    async fn compare_with(&self, url: &str) -> Result<(), Status> {
        let mut pieces =
            self.client(url)?.list_artifacts(self.as_master(v1::ListArtifactsRequest {}).await?).await?.into_inner();
        while let Some(piece) = pieces.message().await? {
            for bytes in piece.digests {
                let digest = digest(&bytes)?;
                let store = Arc::clone(&self.store);
                if blocking(move || store.stat(digest)).await?.is_none() {
                    self.fetch_from(url, digest).await?;
                }
            }
        }
        Ok(())
    }
}

fn unlike(url: &str, theirs: &str, own: &str) -> Status {
    Status::failed_precondition(format!(
        "{url} speaks {theirs} and this master {own}: start all masters of a cluster with --tls, or none"
    ))
}
