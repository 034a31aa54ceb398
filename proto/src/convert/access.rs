//! Who somebody is, and what the master knows of a token.

use haggle_core::access::{Kind, Principal, Roles, TokenId, TokenKind, TokenRecord};

use super::Malformed;
use crate::v1;
use crate::v1::PrincipalKind;

impl From<&Kind> for PrincipalKind {
    fn from(kind: &Kind) -> Self {
        match kind {
            Kind::Owner => Self::Owner,
            Kind::Operator => Self::Operator,
            Kind::Framework(_) => Self::Framework,
            Kind::Viewer(_) => Self::Viewer,
            Kind::Agent(_) | Kind::Joiner => Self::Agent,
            // No master asks another who it is.
            Kind::Master => Self::Unspecified,
        }
    }
}

impl From<&Principal> for v1::Principal {
    fn from(principal: &Principal) -> Self {
        Self {
            name: principal.name.to_string(),
            kind: PrincipalKind::from(&principal.kind).into(),
            roles: principal.roles(),
        }
    }
}

impl From<(TokenId, TokenRecord)> for v1::Token {
    fn from((id, record): (TokenId, TokenRecord)) -> Self {
        let uses_left = match record.kind {
            TokenKind::Agent { uses_left } => Some(uses_left),
            _ => None,
        };
        Self {
            id: id.0.to_be_bytes().to_vec(),
            principal: Some((&record.principal(id)).into()),
            made_ms: record.made_ms,
            expires_ms: record.expires_ms,
            uses_left,
            made_by: record.made_by.to_string(),
            authority: record.authority.map_or_else(Vec::new, |authority| authority.0.to_vec()),
        }
    }
}

/// Reads the name of a token.
///
/// # Errors
/// When there are not 8 bytes.
pub fn token_id(bytes: &[u8]) -> Result<TokenId, Malformed> {
    bytes.try_into().map(|bytes| TokenId(u64::from_be_bytes(bytes))).map_err(|_| Malformed::Invalid {
        field: "id of a token",
        got: format!("{} bytes", bytes.len()),
        wanted: "8 bytes",
    })
}

/// Reads what a token that is asked for lets in. Without a number of uses, an agent's has one.
///
/// # Errors
/// When it is of no kind that there are tokens of, or has what others alone have.
pub fn token_kind(kind: PrincipalKind, roles: &[String], uses: Option<u32>) -> Result<TokenKind, Malformed> {
    if uses.is_some() && kind != PrincipalKind::Agent {
        return Err(Malformed::Invalid {
            field: "uses",
            got: "set".to_owned(),
            wanted: "absent: only tokens by which agents join are used up",
        });
    }
    if !roles.is_empty() && !matches!(kind, PrincipalKind::Framework | PrincipalKind::Viewer) {
        return Err(Malformed::Invalid {
            field: "roles",
            got: roles.join(", "),
            wanted: "none: only frameworks and viewers are confined to roles",
        });
    }
    match kind {
        PrincipalKind::Agent => Ok(TokenKind::Agent { uses_left: uses.unwrap_or(1) }),
        PrincipalKind::Framework => Ok(TokenKind::Framework(Roles::parse(roles)?)),
        PrincipalKind::Operator => Ok(TokenKind::Operator),
        PrincipalKind::Viewer => Ok(TokenKind::Viewer(Roles::parse(roles)?)),
        PrincipalKind::Owner | PrincipalKind::Unspecified => Err(Malformed::Invalid {
            field: "kind of a token",
            got: kind.as_str_name().to_owned(),
            wanted: "agent, framework, operator or viewer",
        }),
    }
}
