//! Calls to an etcd cluster: whichever of its members answers, with or without TLS and a user.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tokio_stream::StreamExt;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Response, Status};

use crate::config::{EtcdConfig, EtcdError};
use crate::ops::end_of;
use crate::rpc::auth_client::AuthClient;
use crate::rpc::kv_client::KvClient;
use crate::rpc::lease_client::LeaseClient;
use crate::rpc::{
    AuthenticateRequest, KeyValue, LeaseGrantRequest, LeaseKeepAliveRequest, LeaseRevokeRequest, RangeRequest,
    TxnRequest, TxnResponse,
};

/// How long one member may take to answer before the next is asked. Above a slow fsync of a healthy cluster, below the
/// life of a lease: a member that hangs must not cost the leadership.
const MEMBER_WITHIN: Duration = Duration::from_millis(600);

/// How long a member may take to accept a connection.
const CONNECT_WITHIN: Duration = Duration::from_millis(300);

/// Between two rounds over all members: an election among them takes about a second.
const PAUSE: Duration = Duration::from_millis(50);

/// The largest answer that is taken: a page of rows.
const ANSWER_MAX: usize = 16 << 20;

/// Rows in one answer. A row has at most about 64 KiB, so a page has at most 7 MiB: one that a member can send in time.
const PAGE: i64 = 100;

/// Tokens are taken anew when etcd no longer knows them; a second refusal in a row is meant.
const TOKENS_PER_CALL: u32 = 2;

/// Speaks to an etcd cluster.
pub struct Client {
    members: Vec<Member>,
    /// The member that answered last.
    current: AtomicUsize,
    user: Option<AuthenticateRequest>,
    /// What the user's password was changed for. Guards no decision.
    token: Mutex<Option<MetadataValue<Ascii>>>,
}

struct Member {
    url: String,
    channel: Channel,
}

impl Client {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// When a URL, a certificate or a key is none.
    pub fn new(config: &EtcdConfig) -> Result<Self, EtcdError> {
        let members = config.urls.iter().map(|url| member(url, config)).collect::<Result<Vec<_>, _>>()?;
        if members.is_empty() {
            return Err(EtcdError::Config { url: String::new(), why: "no URL is given".to_owned() });
        }
        let user = config.user.clone().map(|(name, password)| AuthenticateRequest { name, password });
        Ok(Self { members, current: AtomicUsize::new(0), user, token: Mutex::new(None) })
    }

    /// What is under one key, as the majority has it now.
    ///
    /// # Errors
    /// When no member answers `within` that, or it refuses.
    pub async fn get(&self, key: &str, within: Duration) -> Result<Option<KeyValue>, EtcdError> {
        let request = RangeRequest { key: key.into(), ..Default::default() };
        Ok(self.range(request, within).await?.0.into_iter().next())
    }

    /// Everything that is under keys which begin with `prefix`, in the order of the keys, page by page.
    ///
    /// # Errors
    /// When a page does not come `within` that, or it refuses.
    pub async fn list(&self, prefix: &str, within: Duration) -> Result<Vec<KeyValue>, EtcdError> {
        let end = end_of(prefix);
        let mut from = prefix.as_bytes().to_vec();
        let mut all = Vec::new();
        loop {
            let request = RangeRequest { key: from, range_end: end.clone(), limit: PAGE };
            let (page, more) = self.range(request, within).await?;
            all.extend(page);
            match all.last() {
                Some(last) if more => from = [&last.key[..], &[0]].concat(),
                _ => return Ok(all),
            }
        }
    }

    /// Does a transaction. When the answer is lost it is asked for again, so a transaction must be one that does
    /// nothing when it was done already.
    ///
    /// # Errors
    /// After [`EtcdError::Unreachable`] it may have been done, or may still be.
    pub async fn txn(&self, request: TxnRequest, within: Duration) -> Result<TxnResponse, EtcdError> {
        self.call(request, within, async |channel, request| KvClient::new(channel).txn(request).await).await
    }

    /// Takes a lease of at least so long, in whole seconds; gives back its id and how long it is.
    ///
    /// # Errors
    /// When no member answers `within` that, or it refuses.
    pub async fn grant(&self, ttl: Duration, within: Duration) -> Result<(i64, Duration), EtcdError> {
        let ttl = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX);
        let granted = self
            .call(LeaseGrantRequest { ttl }, within, async |channel, request| {
                LeaseClient::new(channel).lease_grant(request).await
            })
            .await?;
        Ok((granted.id, seconds(granted.ttl)))
    }

    /// Renews a lease; gives back what is left of it, zero when it is over.
    ///
    /// # Errors
    /// When no member answers `within` that, or it refuses.
    pub async fn keep_alive(&self, id: i64, within: Duration) -> Result<Duration, EtcdError> {
        let renewed = self
            .call(LeaseKeepAliveRequest { id }, within, async |channel, request: Request<_>| {
                let (metadata, extensions, message) = request.into_parts();
                let once = Request::from_parts(metadata, extensions, tokio_stream::once(message));
                let mut answers = LeaseClient::new(channel).lease_keep_alive(once).await?.into_inner();
                match answers.next().await {
                    Some(answer) => answer.map(Response::new),
                    None => Err(Status::unavailable("the stream of lease renewals ended")),
                }
            })
            .await?;
        Ok(seconds(renewed.ttl))
    }

    /// Ends a lease; what is under it is gone. One that is over already is no error.
    ///
    /// # Errors
    /// When no member answers `within` that, or it refuses.
    pub async fn revoke(&self, id: i64, within: Duration) -> Result<(), EtcdError> {
        let call = self.attempt(LeaseRevokeRequest { id }, within, async |channel, request| {
            LeaseClient::new(channel).lease_revoke(request).await
        });
        match call.await {
            Ok(_) => Ok(()),
            Err(Failed::Refused(_, status)) if status.code() == Code::NotFound => Ok(()),
            Err(failed) => Err(failed.into()),
        }
    }

    async fn range(&self, request: RangeRequest, within: Duration) -> Result<(Vec<KeyValue>, bool), EtcdError> {
        let answer = self
            .call(request, within, async |channel, request| {
                KvClient::new(channel).max_decoding_message_size(ANSWER_MAX).range(request).await
            })
            .await?;
        Ok((answer.kvs, answer.more))
    }

    async fn call<Q: Clone, A>(
        &self,
        message: Q,
        within: Duration,
        send: impl AsyncFn(Channel, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, EtcdError> {
        Ok(self.attempt(message, within, send).await?)
    }

    /// Asks one member after the other until one answers, but no longer than `within`.
    async fn attempt<Q: Clone, A>(
        &self,
        message: Q,
        within: Duration,
        send: impl AsyncFn(Channel, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, Failed> {
        let deadline = Instant::now() + within;
        let mut tokens = 0;
        let mut asked = 0;
        loop {
            let at = self.current.load(Ordering::Relaxed);
            let member = &self.members[at];
            let patience = MEMBER_WITHIN.min(deadline.saturating_duration_since(Instant::now()));
            let try_once = async {
                let mut request = Request::new(message.clone());
                if let Some(token) = self.token(member).await? {
                    request.metadata_mut().insert("token", token);
                }
                send(member.channel.clone(), request).await
            };
            let why = match timeout(patience, try_once).await {
                Ok(Ok(answer)) => return Ok(answer.into_inner()),
                Ok(Err(status)) if wants_token(&status) && self.user.is_some() && tokens < TOKENS_PER_CALL => {
                    *self.kept_token() = None;
                    tokens += 1;
                    continue;
                }
                Ok(Err(status)) if is_passing(&status) => status.message().to_owned(),
                Ok(Err(status)) => return Err(Failed::Refused(member.url.clone(), status)),
                Err(_) => format!("no answer within {} ms", patience.as_millis()),
            };
            // Somebody else may have gone on already.
            let next = (at + 1) % self.members.len();
            let _ = self.current.compare_exchange(at, next, Ordering::Relaxed, Ordering::Relaxed);
            if Instant::now() >= deadline {
                return Err(Failed::Unreachable(member.url.clone(), why));
            }
            asked += 1;
            if asked % self.members.len() == 0 {
                sleep(PAUSE).await;
            }
        }
    }

    /// What to show with a call; without a user, nothing.
    async fn token(&self, member: &Member) -> Result<Option<MetadataValue<Ascii>>, Status> {
        let Some(user) = &self.user else { return Ok(None) };
        if let Some(token) = self.kept_token().clone() {
            return Ok(Some(token));
        }
        let answer = AuthClient::new(member.channel.clone()).authenticate(user.clone()).await?.into_inner();
        let token = MetadataValue::try_from(answer.token)
            .map_err(|_| Status::internal("etcd gave a token that cannot be sent"))?;
        *self.kept_token() = Some(token.clone());
        Ok(Some(token))
    }

    fn kept_token(&self) -> std::sync::MutexGuard<'_, Option<MetadataValue<Ascii>>> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn member(url: &str, config: &EtcdConfig) -> Result<Member, EtcdError> {
    let wrong = |why: String| EtcdError::Config { url: url.to_owned(), why };
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|_| wrong("this is not a URL".to_owned()))?;
    let endpoint = endpoint
        .connect_timeout(CONNECT_WITHIN)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(5))
        .keep_alive_timeout(Duration::from_secs(5));
    let endpoint = match endpoint.uri().scheme_str() {
        Some("http") => endpoint,
        Some("https") => {
            let mut tls = ClientTlsConfig::new();
            tls = match &config.ca {
                Some(ca) => tls.ca_certificate(Certificate::from_pem(ca)),
                None => tls.with_webpki_roots(),
            };
            if let Some((certificate, key)) = &config.identity {
                tls = tls.identity(Identity::from_pem(certificate, key));
            }
            endpoint.tls_config(tls).map_err(|error| wrong(with_sources(&error)))?
        }
        _ => return Err(wrong("it must begin with http:// or https://".to_owned())),
    };
    Ok(Member { url: url.to_owned(), channel: endpoint.connect_lazy() })
}

/// How a call failed for good.
enum Failed {
    Unreachable(String, String),
    Refused(String, Status),
}

impl From<Failed> for EtcdError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Unreachable(url, why) => Self::Unreachable { url, why },
            Failed::Refused(_, status) if is_full(&status) => Self::Full(status.message().to_owned()),
            // Nothing else of what we ask for can be missing.
            Failed::Refused(_, status) if status.code() == Code::NotFound => Self::LeaseEnded,
            Failed::Refused(url, status) => Self::Refused { url, why: status.message().to_owned() },
        }
    }
}

fn is_full(status: &Status) -> bool {
    status.code() == Code::ResourceExhausted && status.message().contains("database space exceeded")
}

/// Whether another member, or the same a little later, may do it.
fn is_passing(status: &Status) -> bool {
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Aborted | Code::Unknown => true,
        // A connection that broke in the middle of a call.
        Code::Internal => true,
        // Too many requests.
        Code::ResourceExhausted => !is_full(status),
        _ => false,
    }
}

/// Tokens end after some minutes, and with every change of the users.
fn wants_token(status: &Status) -> bool {
    status.code() == Code::Unauthenticated
        || (status.code() == Code::InvalidArgument && status.message().contains("revision of auth store is old"))
}

fn seconds(ttl: i64) -> Duration {
    Duration::from_secs(u64::try_from(ttl).unwrap_or(0))
}

fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_url_is_said_at_once() {
        let refused =
            |url: &str| Client::new(&EtcdConfig::new(vec![url.to_owned()])).err().map(|error| error.to_string());

        assert_eq!(
            refused("127.0.0.1:2379").as_deref(),
            Some("etcd 127.0.0.1:2379: it must begin with http:// or https://")
        );
        assert_eq!(refused("http://a b").as_deref(), Some("etcd http://a b: this is not a URL"));
        assert!(Client::new(&EtcdConfig::new(Vec::new())).is_err());
    }
}
