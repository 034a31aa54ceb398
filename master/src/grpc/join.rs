//! How a machine becomes an agent that others know: its certificate, and the next one.

use std::sync::Arc;
use std::time::SystemTime;

use haggle_core::access::Principal;
use haggle_core::cluster::OperatorCommand;
use haggle_core::{AgentId, Digest, Member};
use haggle_proto::v1;
use haggle_tls::{Fingerprint, RenewalError};
use tonic::{Request, Response, Status};

use crate::access::{Known, caller, status_of};
use crate::handle::{Answer, Handle};
use crate::security::Security;

/// A certificate and a request, with room to spare. Whoever renews need not be known, so that nobody sends more.
pub(super) const MESSAGE_MAX: usize = 16 << 10;

/// Agents that are not known any more and whose certificates are still remembered, beside as many as are known.
const HELD_SPARE: usize = 1_000;

pub(super) struct Join {
    handle: Handle,
    known: Known,
    /// `None`: in plain text nobody joins.
    security: Option<Arc<Security>>,
}

impl Join {
    pub(super) fn new(handle: Handle, known: Known, security: Option<Arc<Security>>) -> Self {
        Self { handle, known, security }
    }

    fn security(&self) -> Result<&Security, Status> {
        self.security.as_deref().ok_or_else(|| {
            Status::failed_precondition(
                "agents join over TLS, and this master speaks plain text: start it with --tls, or on another address than \
                 loopback",
            )
        })
    }

    /// The id that is kept for who joins with this key.
    async fn enrol(&self, who: Principal, key: Fingerprint) -> Result<AgentId, Status> {
        let verdict = self.handle.decide(who, None, OperatorCommand::Enrol { key: Digest(key.0) }).await?;
        let answer = verdict.map_err(|refusal| status_of(&refusal))?;
        match answer {
            Some(Answer::Enrolled(member)) => Ok(member.id),
            Some(_) | None => Err(Status::internal("an agent joined and has no id; this is a bug")),
        }
    }

    fn sign(&self, security: &Security, id: AgentId, request: &[u8], now: SystemTime) -> Result<v1::Enrolled, Status> {
        let certificate = security.sign(id, request, now);
        // Agents come and go: what is remembered of their certificates is bounded by those that are known.
        if security.held().len() > 2 * self.known.members_len() + HELD_SPARE {
            security.held().keep(|agent| self.known.is_member(agent));
        }
        let certificate = certificate.map_err(|error| Status::invalid_argument(error.to_string()))?;
        Ok(v1::Enrolled {
            member: Some(Member { cluster: self.handle.reign().cluster, id }.into()),
            certificate: certificate.der().to_vec(),
            authorities: security.believed(),
        })
    }
}

#[tonic::async_trait]
impl v1::join_server::Join for Join {
    async fn enroll(&self, call: Request<v1::EnrollRequest>) -> Result<Response<v1::Enrolled>, Status> {
        let caller = caller(&call)?;
        let security = self.security()?;
        let request = call.into_inner().request;
        let key = Fingerprint::of_request(&request).map_err(|error| Status::invalid_argument(error.to_string()))?;

        let id = self.enrol(caller.principal()?.clone(), key).await?;
        caller.about(id);
        Ok(Response::new(self.sign(security, id, &request, SystemTime::now())?))
    }

    async fn renew(&self, call: Request<v1::RenewRequest>) -> Result<Response<v1::Enrolled>, Status> {
        let caller = caller(&call)?;
        let security = self.security()?;
        let v1::RenewRequest { certificate, request } = call.into_inner();
        let now = SystemTime::now();

        let id = security.check_renewal(&certificate, &request, now).map_err(|error| not_renewed(&error))?;
        caller.about(id);
        if !self.known.is_member(id) {
            return Err(Status::unauthenticated(format!(
                "{id} was removed, or is not known any more: the agent must join anew, with a new token"
            )));
        }
        Ok(Response::new(self.sign(security, id, &request, now)?))
    }
}

fn not_renewed(error: &RenewalError) -> Status {
    match error {
        RenewalError::Request(_) | RenewalError::Certificate(_) => Status::invalid_argument(error.to_string()),
        RenewalError::Stranger(_) | RenewalError::OtherKey | RenewalError::TooLate | RenewalError::NoAgent => {
            Status::unauthenticated(error.to_string())
        }
    }
}
