//! The guard in front of the services of a master that leads.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use haggle_core::AgentId;
use haggle_core::access::{Principal, Verb};
use haggle_tls::Bearer;
use tokio::time::sleep;
use tonic::body::Body;
use tonic::codegen::http::header::AUTHORIZATION;
use tonic::codegen::http::{HeaderMap, Request, Response};
use tonic::service::Routes;
use tonic::{Code, Status};
use tower::Service;

use super::{Caller, Known, Owner, wall_clock_ms};
use crate::acceptor::{Remote, Signer};
use crate::audit::{Audit, Entry};
use crate::limits::{Asker, Begun, House, LATE, Limiter, Source, held};
use crate::web::{Area, Entrance};

/// What somebody is told who shows nothing.
const NOBODY: &str = "this master lets nobody in without a token: use one with `haggle login`, or have HAGGLE_TOKEN hold it; \
                      the user that runs the master needs none on its machine, and everybody else has an operator make one \
                      with `haggle token create`";

/// What an agent is told whose certificate is of an authority in which the trust has ended.
pub(crate) const ENDED: &str = "the authority of this agent's certificate is not believed any more: the agent joins anew, with a new \
                                token (haggle token create --kind agent)";

/// Knows who calls. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Guard {
    owner: Arc<Owner>,
    known: Known,
    audit: Audit,
    limiter: Limiter,
    house: House,
}

impl Guard {
    pub(crate) fn new(owner: Arc<Owner>, known: Known, audit: Audit, limiter: Limiter, house: House) -> Self {
        Self { owner, known, audit, limiter, house }
    }

    /// One that writes nothing down, with the limits as they are by default.
    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        Self::new(
            Arc::new(Owner::draw()),
            Known::default(),
            Audit::default(),
            Limiter::new(crate::limits::Limits::default()),
            House::new(crate::limits::Places::default(), usize::MAX),
        )
    }

    /// The copy that the driver keeps up to date.
    pub(crate) fn known(&self) -> &Known {
        &self.known
    }

    /// Where decisions are written down.
    pub(crate) fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Who counts what principals have.
    pub(crate) fn limiter(&self) -> &Limiter {
        &self.limiter
    }

    /// Who has which place.
    pub(crate) fn house(&self) -> &House {
        &self.house
    }

    /// These services, and what is answered beside them, behind the guard.
    pub(crate) fn protect(&self, routes: Routes, areas: Vec<Arc<dyn Area>>) -> Guarded {
        Guarded { guard: self.clone(), routes, areas: areas.into() }
    }

    /// Who makes a call, and whether it may be made at all. A token says more than a certificate.
    fn admit(
        &self,
        verb: Verb,
        shown: Option<(AgentId, Option<Signer>)>,
        headers: &HeaderMap,
    ) -> Result<Option<Principal>, (Option<Principal>, Status)> {
        if verb.is_open() {
            return Ok(None);
        }
        let stranger = |status| (None, status);
        let who = match (headers.get(AUTHORIZATION), shown) {
            (Some(value), _) => self.who_bears(value.as_bytes()).map_err(stranger)?,
            (None, Some((_, Some(signer)))) if !signer.is_believed() => {
                return Err(stranger(Status::unauthenticated(ENDED)));
            }
            (None, Some((agent, _))) => {
                // A session hears of it in the words of its own protocol.
                if verb != Verb::AgentSession && !self.known.is_member(agent) {
                    let why = format!("{agent} was removed, and its certificate is void");
                    return Err(stranger(Status::unauthenticated(why)));
                }
                Principal::agent(agent)
            }
            (None, None) => return Err(stranger(Status::unauthenticated(NOBODY))),
        };
        match who.check(verb) {
            Ok(()) => Ok(Some(who)),
            Err(denied) => Err((Some(who), Status::permission_denied(denied.to_string()))),
        }
    }

    /// Who shows this as `authorization`.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` when it lets nobody in.
    pub(crate) fn who_bears(&self, authorization: &[u8]) -> Result<Principal, Status> {
        let text = std::str::from_utf8(authorization).unwrap_or_default();
        let bearer =
            Bearer::from_authorization(text).map_err(|not_one| Status::unauthenticated(not_one.to_string()))?;
        if let Some(owner) = self.owner.recognise(&bearer) {
            return Ok(owner);
        }
        Ok(self.known.who_bears(&bearer, wall_clock_ms())?)
    }

    /// A call of somebody's is begun on that connection: what it holds until its end.
    fn begin(&self, who: &Principal, verb: Verb, remote: Option<&Remote>) -> Result<Begun, Status> {
        if let Some(remote) = remote {
            remote.seat.take(&self.house, who, verb)?;
        }
        let connection = remote.map(|remote| (&remote.counted, &remote.valve));
        let begun = self.limiter.begin(who, verb, connection, Instant::now())?;
        if let Some(remote) = remote {
            remote.let_in.note();
        }
        Ok(begun)
    }

    /// A call of anybody's is begun: a certificate is to be renewed, which is checked when it is read.
    fn begin_openly(&self, remote: Option<&Remote>) -> Result<Begun, Status> {
        let is_believed = |remote: &&Remote| remote.signer.as_ref().is_some_and(Signer::is_believed);
        let agent = remote.filter(is_believed).and_then(|remote| remote.agent);
        let who = match agent.filter(|agent| self.known.is_member(*agent)) {
            Some(agent) => Asker::Agent(agent),
            None => Asker::Stranger(remote.map(|remote| Source::of(remote.address.ip()))),
        };
        self.house.renewal(who, Instant::now())?;
        Ok(Begun::default())
    }

    /// How late somebody hears that it wants too much. Meanwhile nothing more is read of its connection.
    fn late(&self, who: Option<&Principal>, remote: Option<&Remote>) -> Duration {
        let now = Instant::now();
        let late = self.limiter.late(who, now);
        if let Some(remote) = remote {
            remote.valve.shut(now + late);
        }
        late
    }

    /// Writes down what became of a call, when that is to be known.
    fn write_down(&self, verb: Verb, caller: &Caller, code: Code, why: &str) {
        let refused = matches!(code, Code::PermissionDenied | Code::Unauthenticated)
            // Of a thing that was named: whoever lists nothing has refused nothing.
            || (code == Code::NotFound && !caller.object().is_empty());
        if verb.changes() || refused {
            self.audit.write(&Entry { caller, verb, object: caller.object(), code, why });
        }
    }
}

async fn too_much(status: Status, late: Duration) -> Result<Response<Body>, Infallible> {
    sleep(late).await;
    Ok(status.into_http())
}

/// Services behind the guard.
#[derive(Clone)]
pub(crate) struct Guarded {
    guard: Guard,
    routes: Routes,
    areas: Arc<[Arc<dyn Area>]>,
}

impl Service<Request<Body>> for Guarded {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Routes always are.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if let Some(verb) = Verb::of_path(request.uri().path()) {
            return self.answer(verb, request, None);
        }
        let (mut head, body) = request.into_parts();
        let found = self.areas.iter().find_map(|area| Some((Arc::clone(area), area.entrance(&head)?)));
        match found {
            None => {
                let unknown = format!("there is no {}", head.uri.path().escape_debug());
                Box::pin(async { Ok(Status::unimplemented(unknown).into_http()) })
            }
            Some((_, Entrance::Closed(answer))) => Box::pin(async { Ok(*answer) }),
            Some((area, Entrance::Open)) => Box::pin(async move {
                let asked = head.clone();
                let answer = area.answer(Request::from_parts(head, body)).await;
                Ok(answer.unwrap_or_else(|status| area.refused(&asked, &status)))
            }),
            Some((area, Entrance::For(verb))) => {
                if !head.headers.contains_key(AUTHORIZATION)
                    && let Some(shown) = area.credentials(&head)
                {
                    head.headers.insert(AUTHORIZATION, shown);
                }
                let asked = head.clone();
                let answer = self.answer(verb, Request::from_parts(head, body), Some(Arc::clone(&area)));
                Box::pin(async move {
                    let answer = answer.await?;
                    let status = Status::from_header_map(answer.headers()).filter(|status| status.code() != Code::Ok);
                    Ok(match status {
                        Some(status) => area.refused(&asked, &status),
                        None => answer,
                    })
                })
            }
        }
    }
}

impl Guarded {
    /// Answers by an area, or by the services.
    fn answer(
        &mut self,
        verb: Verb,
        mut request: Request<Body>,
        area: Option<Arc<dyn Area>>,
    ) -> <Self as Service<Request<Body>>>::Future {
        let remote = request.extensions().get::<Remote>().cloned();
        let remote = remote.as_ref();
        let address = remote.map(|remote| remote.address);
        let shown = remote.and_then(|remote| Some((remote.agent?, remote.signer.clone())));
        match self.guard.admit(verb, shown, request.headers()) {
            Err((who, status)) => {
                let often = who.as_ref().map_or(Ok(()), |who| self.guard.limiter.denied(who, Instant::now()));
                // Not for the audit either.
                if let Err(over) = often {
                    return Box::pin(too_much(over.into(), self.guard.late(who.as_ref(), remote)));
                }
                // A stranger hears it at once, and is not heard again as soon.
                if let (None, Some(remote)) = (&who, remote) {
                    remote.valve.shut(Instant::now() + LATE);
                }
                let caller = Caller::new(who, address);
                self.guard.write_down(verb, &caller, status.code(), status.message());
                Box::pin(async { Ok(status.into_http()) })
            }
            Ok(who) => {
                let begun = match &who {
                    Some(who) => self.guard.begin(who, verb, remote),
                    None => self.guard.begin_openly(remote),
                };
                let Begun { wait, places } = match begun {
                    Ok(begun) => begun,
                    // Not for the audit, which whoever wants too much would fill.
                    Err(status) => {
                        return Box::pin(too_much(status, self.guard.late(who.as_ref(), remote)));
                    }
                };
                let caller = Caller::new(who, address);
                request.extensions_mut().insert(caller.clone());
                // Nobody below need know it.
                request.headers_mut().remove(AUTHORIZATION);
                let (guard, remote, mut routes) = (self.guard.clone(), remote.cloned(), self.routes.clone());
                Box::pin(async move {
                    if !wait.is_zero() {
                        sleep(wait).await;
                    }
                    let response = match area {
                        Some(area) => area.answer(request).await.unwrap_or_else(Status::into_http),
                        None => routes.call(request).await?,
                    };
                    // A call that fails before its answer begins says so in its headers.
                    let status = Status::from_header_map(response.headers());
                    let (code, why) =
                        status.as_ref().map_or((Code::Ok, ""), |status| (status.code(), status.message()));
                    guard.write_down(verb, &caller, code, why);
                    if code == Code::ResourceExhausted {
                        sleep(guard.late(caller.who.as_ref(), remote.as_ref())).await;
                    }
                    Ok(response.map(|body| held(body, places)))
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use haggle_tls::{StrangerBounds, Strangers, Tally};
    use tokio::time;

    use super::*;

    /// Needs no token, and has a limit for all strangers together.
    fn renewal() -> Request<Body> {
        Request::post("/haggle.v1.Join/Renew").body(Body::empty()).unwrap()
    }

    fn is_too_much(answer: &Response<Body>) -> bool {
        Status::from_header_map(answer.headers()).is_some_and(|status| status.code() == Code::ResourceExhausted)
    }

    fn stranger() -> Remote {
        let bounds = StrangerBounds { all: 1, from_one: 1, within: Duration::from_secs(60) };
        let stream = Strangers::new(bounds, Tally::default()).watch((), tokio::io::empty());
        Remote {
            address: ([127, 0, 0, 1], 1).into(),
            agent: None,
            signer: None,
            counted: Default::default(),
            let_in: stream.let_in(),
            seat: Default::default(),
            valve: Default::default(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_wants_too_much_hears_so_late_and_everybody_else_at_once() {
        let mut guarded = Guard::for_tests().protect(Routes::default(), Vec::new());
        let began = time::Instant::now();
        loop {
            let asked = time::Instant::now();
            let answer = guarded.call(renewal()).await.unwrap();
            if is_too_much(&answer) {
                assert_eq!(asked.elapsed(), LATE);
                break;
            }
            assert_eq!(began.elapsed(), Duration::ZERO);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn until_somebody_hears_that_it_wants_too_much_its_connection_is_not_read() {
        let mut guarded = Guard::for_tests().protect(Routes::default(), Vec::new());
        let remote = stranger();
        loop {
            let mut request = renewal();
            request.extensions_mut().insert(remote.clone());
            let asked = Instant::now();
            assert_eq!(remote.valve.wait(asked), Duration::ZERO);

            let answer = guarded.call(request);

            let waits = remote.valve.wait(asked);
            if is_too_much(&answer.await.unwrap()) {
                assert!(waits >= LATE, "{waits:?}");
                break;
            }
        }
    }
}
