//! Tokens as people ask for them: the text goes out once, the cluster keeps a hash.

use std::time::{Duration, UNIX_EPOCH};

use haggle_core::access::{InvalidToken, Principal, TokenId, TokenKind, TokenRecord};
use haggle_core::cluster::{OperatorCommand, Refusal};
use haggle_core::{Digest, RequestId};
use haggle_proto::convert::token_kind;
use haggle_proto::v1;
use haggle_tls as tls;
use sha2::{Digest as _, Sha256};
use tonic::Status;

use crate::access::{status_of, wall_clock_ms};
use crate::handle::Handle;
use crate::reach::Reach;

/// How long an agent may be joined by a token that nobody gave a time.
const JOIN_WITHIN_MS: u64 = 60 * 60 * 1000;

/// How long any other token lives that nobody gave a time.
const LIVES_MS: u64 = 90 * 24 * 60 * 60 * 1000;

/// A token that is to be made.
pub(super) struct Draft {
    pub(super) id: TokenId,
    pub(super) record: TokenRecord,
    /// What its holder needs, and nobody else may have.
    pub(super) token: tls::Token,
}

impl Draft {
    /// Draws what is asked for. A request that is made again draws another secret for the same token.
    ///
    /// # Errors
    /// When there can be no such token, or it is not known where the masters are.
    pub(super) async fn new(
        who: &Principal,
        request: Option<RequestId>,
        wanted: v1::CreateTokenRequest,
        reach: &Reach,
    ) -> Result<Self, Status> {
        let kind = token_kind(wanted.kind(), &wanted.roles, wanted.uses)?;
        let id = request.map_or_else(
            || u64::from_be_bytes(tls::TokenId::random().0),
            |request| {
                let hash = Sha256::new().chain_update(&*who.name).chain_update(request.0.to_be_bytes()).finalize();
                u64::from_be_bytes(*hash.first_chunk().expect("a hash has 32 bytes"))
            },
        );
        let id = TokenId(id);
        let secret = tls::Secret::random();
        let made_ms = wall_clock_ms();
        let ttl_ms = wanted.ttl_ms.unwrap_or(match kind {
            TokenKind::Agent { .. } => JOIN_WITHIN_MS,
            _ => LIVES_MS,
        });
        let record = TokenRecord {
            name: if wanted.name.is_empty() { id.to_string().into() } else { wanted.name.into() },
            kind,
            hash: Digest(secret.digest()),
            made_ms,
            expires_ms: made_ms.saturating_add(ttl_ms),
            made_by: who.name.clone(),
            revoked: false,
            authority: reach.authority(),
        };
        // Windows ends at the year 30,828.
        let expires = UNIX_EPOCH.checked_add(Duration::from_millis(record.expires_ms));
        let kind = match record.kind {
            TokenKind::Agent { .. } => tls::TokenKind::Agent,
            TokenKind::Framework(_) => tls::TokenKind::Framework,
            TokenKind::Operator => tls::TokenKind::Operator,
            TokenKind::Viewer(_) => tls::TokenKind::Viewer,
        };
        let token = tls::Token {
            kind,
            cluster: reach.cluster,
            addresses: reach.everywhere().await.map_err(|error| Status::unavailable(error.to_string()))?,
            authority: record.authority.map(|authority| tls::Fingerprint(authority.0)),
            id: tls::TokenId(id.0.to_be_bytes()),
            secret,
            expires: expires.ok_or_else(|| status_of(&Refusal::TokenInvalid(InvalidToken::Ttl)))?,
        };
        Ok(Self { id, record, token })
    }
}

/// A token that a master makes by itself when it has just been founded, in the name of its owner: with it the first agent
/// joins, or the first operator logs in.
pub(crate) async fn first_token(handle: &Handle, reach: &Reach, kind: v1::PrincipalKind) -> Result<tls::Token, Status> {
    let owner = Principal::owner();
    let wanted = v1::CreateTokenRequest { kind: kind.into(), ..Default::default() };
    let draft = Draft::new(&owner, None, wanted, reach).await?;
    let command = OperatorCommand::CreateToken(draft.id, draft.record.clone());
    handle.decide(owner, None, command).await?.map_err(|refusal| status_of(&refusal))?;
    Ok(draft.token)
}

/// For lists: those that let somebody in.
pub(crate) fn is_live((_, record): &(TokenId, TokenRecord)) -> bool {
    record.over(wall_clock_ms()).is_none()
}
