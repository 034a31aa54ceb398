//! The authority of the cluster as people ask for it: what it is, and how it changes.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use haggle_core::Digest;
use haggle_core::cluster::OperatorCommand;
use haggle_proto::convert::digest;
use haggle_proto::v1;
use haggle_tls::{Certificate, Fingerprint};
use tonic::Status;

use crate::access::{Caller, Known, status_of};
use crate::handle::Handle;
use crate::security::{RotationError, Security};

pub(super) struct Authority {
    handle: Handle,
    known: Known,
    /// `None`: in plain text there is none.
    security: Option<Arc<Security>>,
}

impl Authority {
    pub(super) fn new(handle: Handle, known: Known, security: Option<Arc<Security>>) -> Self {
        Self { handle, known, security }
    }

    pub(super) async fn show(&self) -> Result<v1::AuthorityInfo, Status> {
        let security = self.security()?;
        let authorities = security.authorities();
        let mut info = v1::AuthorityInfo {
            current: Some(wire(authorities.current().certificate())),
            brought: security.brought().map_or_else(Vec::new, |brought| brought.0.to_vec()),
            ..Default::default()
        };
        let Some(former) = authorities.former() else { return Ok(info) };
        info.former = Some(wire(former));
        let current = authorities.current().fingerprint();
        for (agent, is_connected) in self.handle.ask(|cluster, _| cluster.certified_agents()).await? {
            if security.held().of(agent) == Some(current) {
                continue;
            }
            if is_connected {
                info.agents_connected += 1;
            } else {
                info.agents_away += 1;
            }
        }
        let of_former = Digest(former.fingerprint().0);
        // Of tokens that were made by earlier releases it is not known.
        let believes = |authority: Option<Digest>| authority.is_none_or(|authority| authority == of_former);
        info.tokens = self.known.count_tokens(|record| believes(record.authority)) as u64;
        Ok(info)
    }

    pub(super) async fn rotate(
        &self,
        caller: &Caller,
        wanted: &v1::RotateAuthorityRequest,
    ) -> Result<v1::AuthorityInfo, Status> {
        let current = fingerprint(&wanted.current)?;
        caller.about(format_args!("authority {current:.8}"));
        self.security()?.rotate(current, SystemTime::now()).await.map_err(refused)?;
        self.show().await
    }

    pub(super) async fn finish(
        &self,
        caller: &Caller,
        wanted: &v1::FinishRotationRequest,
    ) -> Result<v1::AuthorityInfo, Status> {
        let former = fingerprint(&wanted.former)?;
        caller.about(format_args!("authority {former:.8}"));
        let is_former =
            |info: &v1::AuthorityInfo| info.former.as_ref().is_some_and(|authority| authority.fingerprint == former.0);
        let info = self.show().await?;
        if is_former(&info)
            && !wanted.force
            && let Some(who) = cut_off(&info)
        {
            return Err(Status::failed_precondition(format!(
                "{former:.8} is still needed: {who}; agents follow by themselves within a minute, and whoever comes by a \
                 context of `haggle login` with the next command; `haggle token ls` shows which tokens name it: revoke those that nobody uses, and make \
                 the others anew; --force cuts everybody off who is left, and then agents join anew and people log in \
                 anew, with new tokens"
            )));
        }
        self.security()?.finish(former, SystemTime::now()).await.map_err(refused)?;
        self.show().await
    }

    pub(super) async fn follow(
        &self,
        caller: &Caller,
        wanted: &v1::FollowAuthorityRequest,
    ) -> Result<v1::FollowAuthorityResponse, Status> {
        let believed = fingerprint(&wanted.authority)?;
        caller.about(format_args!("authority {believed:.8}"));
        let signs = self.security()?.fingerprint();
        if believed != signs {
            return Err(Status::failed_precondition(format!("{signs:.8} signs at the moment, and not {believed:.8}")));
        }
        let command = OperatorCommand::FollowAuthority(Digest(believed.0));
        let verdict = self.handle.decide(caller.principal()?.clone(), None, command).await?;
        verdict.map_err(|refusal| status_of(&refusal))?;
        Ok(v1::FollowAuthorityResponse {})
    }

    fn security(&self) -> Result<&Security, Status> {
        self.security.as_deref().ok_or_else(|| {
            Status::failed_precondition(
                "this master speaks plain text, and has no authority: one that is started with --tls, or on another address \
                 than loopback, has one",
            )
        })
    }
}

/// Who would not come in any more, in words; `None` when that is nobody.
fn cut_off(info: &v1::AuthorityInfo) -> Option<String> {
    let some = |count: u64, what: &str| (count > 0).then(|| format!("{count} {what}"));
    let all = [
        some(info.agents_connected, "connected agents hold certificates of it"),
        some(info.agents_away, "agents are away and may hold one"),
        some(info.tokens, "tokens name it"),
    ];
    let all: Vec<_> = all.into_iter().flatten().collect();
    (!all.is_empty()).then(|| all.join(", "))
}

fn fingerprint(bytes: &[u8]) -> Result<Fingerprint, Status> {
    Ok(Fingerprint(digest(bytes).map_err(Status::from)?.0))
}

fn wire(certificate: &Certificate) -> v1::Authority {
    let millis = |time: SystemTime| {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    };
    v1::Authority {
        fingerprint: certificate.fingerprint().0.to_vec(),
        made_ms: millis(certificate.not_before()),
        expires_ms: millis(certificate.not_after()),
    }
}

fn refused(error: RotationError) -> Status {
    match error {
        RotationError::Security(error) if error.is_passing() => Status::unavailable(error.to_string()),
        RotationError::Security(error) => Status::internal(error.to_string()),
        RotationError::Overtaken => Status::aborted(error.to_string()),
        RotationError::OtherSigns { .. } | RotationError::UnderWay(_) | RotationError::SignsStill(_) => {
            Status::failed_precondition(error.to_string())
        }
    }
}
