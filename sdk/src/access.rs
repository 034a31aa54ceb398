//! Who may do what in a cluster: who a program is to it, and the tokens by which others come in.

use std::fmt;
use std::time::{Duration, SystemTime};

use haggle_core::AgentId;
use haggle_core::access::TokenId;
use haggle_proto::convert::{self, Malformed};
use haggle_proto::v1;
use haggle_tls::{Fingerprint, TokenKind};

use crate::client::Client;
use crate::error::CallError;
use crate::operator::{operator, request_bytes};

/// Somebody whom a master knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// For people, and the same for all that come with one token. Whoever made the token chose it.
    pub name: String,
    /// What it may do.
    pub kind: TokenKind,
    /// Of a framework or a viewer: the roles that it may use or see. `a/b` is that role, `a/*` all below it, `*` every
    /// one.
    pub roles: Vec<String>,
}

/// What a master knows of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenInfo {
    /// Its name.
    pub id: TokenId,
    /// Who comes with it.
    pub principal: Principal,
    /// When it was made, by the master's clock.
    pub made: SystemTime,
    /// Until when it may be used, by the master's clock.
    pub expires: SystemTime,
    /// How many more agents may join by it, of an agent's.
    pub uses_left: Option<u32>,
    /// The name of who made it.
    pub made_by: String,
    /// By which authority its holder knows the masters; `None` when that is not known, or they speak plain text.
    pub authority: Option<Fingerprint>,
}

/// A token that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// What who comes with it may do.
    pub kind: TokenKind,
    /// Who that is, for people. Empty: the token's id.
    pub name: String,
    /// As in [`Principal`]. Empty: every role.
    pub roles: Vec<String>,
    /// How long it may be used. `None`: 1 h for an agent's, 90 days else.
    pub ttl: Option<Duration>,
    /// How many agents may join by it. `None`: one. Of an agent's only.
    pub uses: Option<u32>,
}

/// A token that was made just now.
pub struct MadeToken {
    /// What the master keeps of it.
    pub info: TokenInfo,
    /// The token itself, `hgl1.…`: a secret, which is told this once.
    pub text: String,
}

impl fmt::Debug for MadeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MadeToken").field("info", &self.info).finish_non_exhaustive()
    }
}

impl Client {
    /// Who this program is to the master.
    ///
    /// # Errors
    /// When the master cannot be reached, or knows nothing of whom this program says to be.
    pub async fn whoami(&self) -> Result<Principal, CallError> {
        let principal =
            self.call(|channel| async move { operator(channel).who_am_i(v1::WhoAmIRequest {}).await }).await?;
        read_principal(principal).map_err(|source| self.garbled(source))
    }

    /// Makes a token. A call that has to be made again, since the answer was lost, makes no second one.
    ///
    /// # Errors
    /// When the master cannot be reached, or refuses.
    pub async fn create_token(&self, new: &NewToken) -> Result<MadeToken, CallError> {
        let millis = |ttl: Duration| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        let request = v1::CreateTokenRequest {
            kind: wire_kind(new.kind).into(),
            name: new.name.clone(),
            roles: new.roles.clone(),
            ttl_ms: new.ttl.map(millis),
            uses: new.uses,
            request: request_bytes(),
        };
        let made = self
            .call(|channel| {
                let request = request.clone();
                async move { operator(channel).create_token(request).await }
            })
            .await?;
        let info = made.token.ok_or(Malformed::Missing("token")).and_then(read_token);
        Ok(MadeToken { info: info.map_err(|source| self.garbled(source))?, text: made.text })
    }

    /// Every token that may still be used.
    ///
    /// # Errors
    /// When the master cannot be reached, or refuses.
    pub async fn tokens(&self) -> Result<Vec<TokenInfo>, CallError> {
        let pieces = self
            .collect(|channel| async move { operator(channel).list_tokens(v1::ListTokensRequest {}).await })
            .await?;
        let tokens = pieces.into_iter().flat_map(|piece| piece.tokens);
        tokens.map(|token| read_token(token).map_err(|source| self.garbled(source))).collect()
    }

    /// Ends a token: from now on nobody enters by it, and who has is cut off.
    ///
    /// # Errors
    /// When there is no such token, or the master cannot be reached or refuses.
    pub async fn revoke_token(&self, id: TokenId) -> Result<(), CallError> {
        let request = v1::RevokeTokenRequest { id: id.0.to_be_bytes().to_vec(), request: request_bytes() };
        self.call(|channel| {
            let request = request.clone();
            async move { operator(channel).revoke_token(request).await }
        })
        .await?;
        Ok(())
    }

    /// Ends an agent's identity, whether it is connected or not: its tasks are `GONE_BY_OPERATOR`, and it cannot come
    /// back with its certificate.
    ///
    /// # Errors
    /// When there is no such agent, or the master cannot be reached or refuses.
    pub async fn remove_agent(&self, agent: AgentId) -> Result<(), CallError> {
        let request = v1::RemoveAgentRequest { agent: agent.0, request: request_bytes() };
        self.call(|channel| {
            let request = request.clone();
            async move { operator(channel).remove_agent(request).await }
        })
        .await?;
        Ok(())
    }
}

fn wire_kind(kind: TokenKind) -> v1::PrincipalKind {
    match kind {
        TokenKind::Agent => v1::PrincipalKind::Agent,
        TokenKind::Framework => v1::PrincipalKind::Framework,
        TokenKind::Operator => v1::PrincipalKind::Operator,
        TokenKind::Viewer => v1::PrincipalKind::Viewer,
        TokenKind::Owner => v1::PrincipalKind::Owner,
    }
}

pub(crate) fn read_principal(principal: v1::Principal) -> Result<Principal, Malformed> {
    let kind = match principal.kind() {
        v1::PrincipalKind::Agent => TokenKind::Agent,
        v1::PrincipalKind::Framework => TokenKind::Framework,
        v1::PrincipalKind::Operator => TokenKind::Operator,
        v1::PrincipalKind::Viewer => TokenKind::Viewer,
        v1::PrincipalKind::Owner => TokenKind::Owner,
        v1::PrincipalKind::Unspecified => return Err(Malformed::Missing("kind of a principal")),
    };
    Ok(Principal { name: principal.name, kind, roles: principal.roles })
}

fn read_token(token: v1::Token) -> Result<TokenInfo, Malformed> {
    let at = |millis| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis));
    Ok(TokenInfo {
        id: convert::token_id(&token.id)?,
        principal: read_principal(token.principal.ok_or(Malformed::Missing("principal of a token"))?)?,
        made: at(token.made_ms).ok_or(Malformed::Missing("time of a token"))?,
        expires: at(token.expires_ms).ok_or(Malformed::Missing("end of a token"))?,
        uses_left: token.uses_left,
        made_by: token.made_by,
        authority: match token.authority.as_slice() {
            [] => None,
            authority => Some(Fingerprint(convert::digest(authority)?.0)),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_token_is_in_no_debug_output() {
        let principal = Principal { name: "ci".into(), kind: TokenKind::Framework, roles: vec!["ci/*".into()] };
        let info = TokenInfo {
            id: TokenId(1),
            principal,
            made: SystemTime::UNIX_EPOCH,
            expires: SystemTime::UNIX_EPOCH,
            uses_left: None,
            made_by: "me".into(),
            authority: None,
        };

        assert!(!format!("{:?}", MadeToken { info, text: "hgl1.secret".into() }).contains("hgl1"));
    }
}
