//! One connection to the master that leads, shared by everything that a program wants of it.

use std::fmt;
use std::iter;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use haggle_core::Backoff;
use haggle_proto::DEFAULT_PORT;
use haggle_proto::convert::Malformed;
use haggle_tls::{OwnerTokens, Token, TokenError, distrust, secret_argument};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};
use tonic::{Response, Status, Streaming};

use crate::address::loopback;
use crate::credentials::{Connection, Credentials};
use crate::error::{CallError, ConnectError, call_error, is_connection_trouble, is_turned_away, root_cause};
use crate::masters::{Masters, Target, pauses};
use crate::task::Known;

/// How long a call goes on trying while nobody answers. A master that restarts is back well before.
const PATIENCE: Duration = Duration::from_secs(5);

/// As [`PATIENCE`], where there are several masters: the lease of the old leader has to expire first.
const FAILOVER_PATIENCE: Duration = Duration::from_secs(15);

/// How long an authority that is not believed may be one of a master that has not heard of the next one: masters hear
/// of it within a second.
const UNHEARD: Duration = Duration::from_secs(3);

/// How long a master may take to begin its answer, or the next piece of it. Its decisions take microseconds; only a
/// stopped one takes longer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Pieces of a list that are read before something is made of them: so many that neither thread often waits for the other.
const PIECES_READ: usize = 16;

/// A connection to the master of a cluster, or to the one that leads of several. Clones share it; it comes back by
/// itself when it was lost.
#[derive(Clone)]
pub struct Client {
    masters: Arc<Masters>,
    /// What sources are.
    pub(crate) known: Arc<Known>,
}

/// How long a master may take to start.
const START_PATIENCE: Duration = Duration::from_secs(2);

/// A connection that is to be made.
///
/// ```no_run
/// # use haggle_sdk::Client;
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let token = std::fs::read_to_string("ci.token")?.parse()?;
/// let client = Client::builder().token(token).connect().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "it connects when it is told to"]
pub struct ClientBuilder {
    master: Option<String>,
    token: Option<Token>,
    owner_tokens: Option<OwnerTokens>,
    patience: Duration,
}

impl ClientBuilder {
    /// The master at `url`: `http://127.0.0.1:5050`, `127.0.0.1:5050` or just `127.0.0.1`. A cluster with several
    /// masters is named by all of them: `a:5050,b:5050,c:5050`. With a token, its masters are sought there and not where
    /// the token says. Without one, it must be on this machine.
    pub fn master(mut self, url: impl Into<String>) -> Self {
        self.master = Some(url.into());
        self
    }

    /// The token that lets this program in, and says where the masters are and how they are known. Without one, the
    /// program comes as its user to that user's master on this machine, which has left a token for that.
    pub fn token(mut self, token: Token) -> Self {
        self.token = Some(token);
        self
    }

    /// Where the masters of this machine have left tokens for their user's programs, if not where they do by themselves.
    pub fn owner_tokens(mut self, tokens: OwnerTokens) -> Self {
        self.owner_tokens = Some(tokens);
        self
    }

    /// How long to try while nobody answers; two seconds unless it is said.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Connects.
    ///
    /// # Errors
    /// When the master is named by what is no address, nobody answers there, or it is not the one that the token tells
    /// of.
    pub async fn connect(self) -> Result<Client, ConnectError> {
        let list = match (&self.master, &self.token) {
            (Some(master), _) => master.clone(),
            (None, Some(token)) if !token.addresses.is_empty() => token.addresses.join(","),
            _ => format!("127.0.0.1:{DEFAULT_PORT}"),
        };
        let credentials = match self.token {
            Some(token) => Credentials::token(token),
            None => Credentials::Owner(self.owner_tokens),
        };
        let masters = Masters::read(&list, credentials)?;
        let deadline = Instant::now() + self.patience;
        let mut backoff = pauses(1);
        loop {
            let (mut reason, mut distrusted) = (None, None);
            for url in masters.urls() {
                if !masters.pass(url).is_secure() && (url.starts_with("https") || loopback(url).is_none()) {
                    return Err(ConnectError::NoToken { url: url.clone() });
                }
                match masters.connect(url).await? {
                    Ok(()) => return Ok(Client { masters: Arc::new(masters), known: Arc::default() }),
                    // An address may be another machine's by now, or in the network of this one.
                    Err(error) => match distrust(&error) {
                        Some(why) => distrusted = Some(why),
                        None => reason = Some(root_cause(&error)),
                    },
                }
            }
            let pause = backoff.pause();
            let is_over = Instant::now() + pause > deadline;
            // One of several may not have heard of an authority that this program follows already.
            let is_final = is_over || (reason.is_none() && !masters.are_several());
            if let Some(why) = distrusted.filter(|_| is_final) {
                return Err(ConnectError::Untrusted(why));
            }
            if let Some(reason) = reason.filter(|_| is_over) {
                let url = masters.urls().join(" or ");
                return Err(ConnectError::Unanswered { url, patience: self.patience, reason });
            }
            sleep(pause).await;
        }
    }
}

impl Client {
    /// A connection that is to be made, to a master that is named, with a token, or both.
    pub fn builder() -> ClientBuilder {
        let owner_tokens = OwnerTokens::of_user();
        ClientBuilder { master: None, token: None, owner_tokens, patience: START_PATIENCE }
    }

    /// Connects to this user's master on this machine at `url`: `http://127.0.0.1:5050`, `127.0.0.1:5050` or just
    /// `127.0.0.1`. Tries for two seconds, so that a master that is starting just now is found.
    ///
    /// A cluster with several masters is named by all of them: `a:5050,b:5050,c:5050`. They are tried in turn; one
    /// that stands by tells which one leads. When the leader is lost, the next one is found in the same way.
    ///
    /// For a master elsewhere, see [`Client::builder`].
    ///
    /// # Errors
    /// As [`ClientBuilder::connect`].
    pub async fn connect(url: &str) -> Result<Self, ConnectError> {
        Self::builder().master(url).connect().await
    }

    /// As [`Self::connect`], trying for as long as `patience`.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_within(url: &str, patience: Duration) -> Result<Self, ConnectError> {
        Self::builder().master(url).patience(patience).connect().await
    }

    /// Connects as the environment says: by the token in `HAGGLE_TOKEN` (or in the file that it names as `@FILE`), to the
    /// master in `HAGGLE_MASTER`. Either may be missing, as in [`Client::builder`].
    ///
    /// # Errors
    /// When a variable cannot be read, and as [`ClientBuilder::connect`].
    pub async fn from_env() -> Result<Self, ConnectError> {
        const TOKEN: &str = "HAGGLE_TOKEN";
        let set = |variable| std::env::var(variable).ok().filter(|value| !value.is_empty());
        let mut builder = Self::builder();
        if let Some(given) = set(TOKEN) {
            let wrong = |reason: String| ConnectError::Environment { variable: TOKEN, reason };
            let text = secret_argument(&given).map_err(|error| wrong(error.to_string()))?;
            builder = builder.token(text.parse().map_err(|error: TokenError| wrong(error.to_string()))?);
        }
        builder.master = set("HAGGLE_MASTER");
        builder.connect().await
    }

    /// Where the master is that is spoken to now, as `http://HOST:PORT`, or `https://HOST:PORT` when it is known by its
    /// certificate.
    pub fn url(&self) -> String {
        self.masters.target().shown()
    }

    /// The token of this program, with the authority that the masters have by now, when that is another one than the token
    /// names. A running program follows by itself; whoever keeps the token keeps this one instead, says so with
    /// [`Client::follow_authority`], and is let in also when the trust in the old authority has ended.
    pub fn followed_token(&self) -> Option<Token> {
        self.masters.followed_token()
    }

    /// Calls the master, again and again while it cannot be reached. Only for calls that may be made twice.
    pub(crate) async fn call<T, F>(&self, mut attempt: impl FnMut(Connection) -> F) -> Result<T, CallError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        self.call_patiently(|channel| in_time(attempt(channel))).await
    }

    /// As [`Self::call`], for an answer in pieces; from the first piece again when the connection is lost on the way.
    pub(crate) async fn collect<T, F>(&self, mut attempt: impl FnMut(Connection) -> F) -> Result<Vec<T>, CallError>
    where
        F: Future<Output = Result<Response<Streaming<T>>, Status>>,
    {
        self.call_patiently(|channel| {
            let opening = in_time(attempt(channel));
            async {
                let mut stream = opening.await?.into_inner();
                let mut pieces = Vec::new();
                while let Some(piece) = in_time(stream.message()).await? {
                    pieces.push(piece);
                }
                Ok(Response::new(pieces))
            }
        })
        .await
    }

    /// As [`Self::collect`], of a list: the items of a piece are read while the next one is on its way.
    pub(crate) async fn list<T, W, V, F>(
        &self,
        mut attempt: impl FnMut(Connection) -> F,
        items: fn(T) -> Vec<W>,
    ) -> Result<Vec<V>, CallError>
    where
        F: Future<Output = Result<Response<Streaming<T>>, Status>>,
        V: TryFrom<W, Error = Malformed>,
    {
        let read = self
            .call_patiently(|channel| {
                let opening = in_time(attempt(channel));
                async move {
                    let mut stream = opening.await?.into_inner();
                    let mut read = Vec::new();
                    while let Some(piece) = in_time(stream.message()).await? {
                        for item in items(piece) {
                            match item.try_into() {
                                Ok(item) => read.push(item),
                                Err(malformed) => return Ok(Response::new(Err(malformed))),
                            }
                        }
                    }
                    Ok(Response::new(Ok(read)))
                }
            })
            .await?;
        read.map_err(|source| self.garbled(source))
    }

    /// As [`Self::list`], of which `make` makes something else: on another thread, one piece after another, while the next ones come
    /// and are read. So a long list is never held as a whole. What was made before the connection was lost is not given back.
    pub(crate) async fn list_as<T, W, V, M, F>(
        &self,
        mut attempt: impl FnMut(Connection) -> F,
        items: fn(T) -> Vec<W>,
        make: impl Fn(&[V]) -> M + Clone + Send + 'static,
    ) -> Result<Vec<M>, CallError>
    where
        F: Future<Output = Result<Response<Streaming<T>>, Status>>,
        T: Send + 'static,
        W: 'static,
        V: TryFrom<W, Error = Malformed>,
        M: Send + 'static,
    {
        let made = self
            .call_patiently(|channel| {
                let (opening, make) = (in_time(attempt(channel)), make.clone());
                async move {
                    let mut stream = opening.await?.into_inner();
                    let (pieces, mut read) = mpsc::channel::<T>(PIECES_READ);
                    let making = spawn_blocking(move || {
                        let read = iter::from_fn(|| read.blocking_recv());
                        let views = |piece| items(piece).into_iter().map(V::try_from).collect::<Result<Vec<_>, _>>();
                        read.map(|piece| views(piece).map(|views| make(&views))).collect::<Result<Vec<M>, Malformed>>()
                    });
                    while let Some(piece) = in_time(stream.message()).await? {
                        // One piece breaks the contract, and no more of them are wanted.
                        if pieces.send(piece).await.is_err() {
                            break;
                        }
                    }
                    drop(pieces);
                    // It is never cancelled.
                    Ok(Response::new(making.await.unwrap_or_else(|error| resume_unwind(error.into_panic()))))
                }
            })
            .await?;
        made.map_err(|source| self.garbled(source))
    }

    /// As [`Self::call`] for calls whose answer only comes once everything was sent, however long that takes.
    pub(crate) async fn call_patiently<T, F>(&self, mut attempt: impl FnMut(Connection) -> F) -> Result<T, CallError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let mut search = self.search(self.patience());
        loop {
            let target = search.target();
            match attempt(target.channel.clone()).await {
                Ok(response) => return Ok(response.into_inner()),
                Err(status) => {
                    if search.comes_anew(&target, &status) {
                        continue;
                    }
                    let may_help = is_connection_trouble(&status) || search.may_hear_yet(&status);
                    if !may_help || !search.go_on(&target, &status).await {
                        return Err(call_error(&target.shown(), &status));
                    }
                }
            }
        }
    }

    pub(crate) fn patience(&self) -> Duration {
        if self.masters.are_several() { FAILOVER_PATIENCE } else { PATIENCE }
    }

    /// Looks for a master that answers.
    pub(crate) fn search(&self, patience: Duration) -> Search {
        Search {
            masters: Arc::clone(&self.masters),
            deadline: Instant::now() + patience,
            backoff: pauses(self.masters.urls().len()),
            tried: 0,
            unheard_until: None,
        }
    }

    pub(crate) fn masters(&self) -> &Masters {
        &self.masters
    }

    pub(crate) fn error(&self, status: &Status) -> CallError {
        call_error(&self.url(), status)
    }

    pub(crate) fn garbled(&self, source: Malformed) -> CallError {
        CallError::Garbled { url: self.url(), source }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("url", &self.url()).finish_non_exhaustive()
    }
}

/// Attempts at one thing, each at the master that is most likely to answer.
pub(crate) struct Search {
    masters: Arc<Masters>,
    deadline: Instant,
    backoff: Backoff,
    /// Masters that were tried since the last pause.
    tried: usize,
    /// Until when masters that are not believed are tried again, once there was one.
    unheard_until: Option<Instant>,
}

impl Search {
    pub(crate) fn target(&self) -> Target {
        self.masters.target()
    }

    /// Whether the target turned this program away that has another token for it by now.
    pub(crate) fn comes_anew(&self, failed: &Target, status: &Status) -> bool {
        is_turned_away(status) && self.masters.refresh(failed)
    }

    /// Whether the target was not believed and may be in a moment: one of several masters, which has not heard yet of an
    /// authority that this program follows already. Nothing was said to it.
    pub(crate) fn may_hear_yet(&mut self, status: &Status) -> bool {
        if !self.masters.are_several() || distrust(status).is_none() {
            return false;
        }
        let now = Instant::now();
        now < *self.unheard_until.get_or_insert(now + UNHEARD)
    }

    /// The target did not answer: chooses the next one, and waits a little once each has been tried. Whether there is
    /// time for another attempt.
    pub(crate) async fn go_on(&mut self, failed: &Target, status: &Status) -> bool {
        let is_another = self.masters.move_on(failed, status);
        self.tried += 1;
        if is_another && self.tried <= self.masters.urls().len() && Instant::now() < self.deadline {
            return true;
        }
        self.tried = 0;
        let pause = self.backoff.pause();
        if Instant::now() + pause > self.deadline {
            return false;
        }
        sleep(pause).await;
        true
    }
}

async fn in_time<T>(answer: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    let late = || Status::deadline_exceeded(format!("no answer within {ANSWER_TIMEOUT:?}"));
    timeout(ANSWER_TIMEOUT, answer).await.unwrap_or_else(|_| Err(late()))
}
