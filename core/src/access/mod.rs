//! Who may do what: principals, the one table of their rights, and the tokens that they come with.
//!
//! The shell finds out who somebody is; everything here only decides what that somebody may do.

mod principal;
mod roles;
mod table;
mod token;

pub use principal::{Denied, Kind, PlainKind, Principal, PrincipalId, Tenant};
pub use roles::{InvalidRoles, Roles, is_role};
pub use table::{Right, Verb, right};
pub use token::{Enrolment, InvalidToken, Over, TokenId, TokenKind, TokenRecord};

#[cfg(test)]
mod tests;
