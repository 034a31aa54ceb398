//! Which cluster a command is for, and as whom: flags before the environment before the current context.

use std::fmt;

use haggle_tls::{ArgumentError, Token, TokenError, TokenKind, secret_argument};

use crate::contexts::{self, Context, ContextError, Contexts};

/// What was said on one level, as it was typed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    pub(crate) master: Option<String>,
    pub(crate) token: Option<String>,
}

/// Who decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A token that was given.
    Token(&'static str),
    /// A master was named without a token.
    Master(&'static str),
    /// The context of this name; whether it is used because it is the current one.
    Context { name: String, current: bool },
    /// Nobody: this machine's own master.
    Nobody,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(source) | Self::Master(source) => f.write_str(source),
            Self::Context { name, current: true } => write!(f, "the current context {name}"),
            Self::Context { name, current: false } => write!(f, "the context {name}"),
            Self::Nobody => f.write_str("this user's master on this machine"),
        }
    }
}

/// A cluster, and as whom to speak to it.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Where the masters are, if that was said.
    pub(crate) master: Option<String>,
    pub(crate) token: Option<Token>,
    pub(crate) origin: Origin,
}

/// Why it is not known which cluster is meant.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TargetError {
    #[error("{flag}: {source}")]
    Argument { flag: &'static str, source: ArgumentError },
    #[error("{flag}: {source}")]
    Token { flag: &'static str, source: TokenError },
    #[error(
        "{0}: this token lets an agent join, as `haggle agent --join` does; commands want one that `haggle token create --kind operator` made, or of kind framework or viewer"
    )]
    JoinToken(&'static str),
    #[error(transparent)]
    Context(#[from] ContextError),
}

impl Target {
    /// Finds out what is meant. A token decides alone, with a master that was named on its level or above; a master that is
    /// named without one is of this machine.
    ///
    /// # Errors
    /// When a token or context cannot be read.
    pub(crate) fn choose(
        flags: Said,
        context: Option<&str>,
        environment: Said,
        contexts: impl FnOnce() -> Result<Contexts, ContextError>,
    ) -> Result<Self, TargetError> {
        if let Some(name) = context {
            let Context { token, master } = contexts()?.get(name)?.clone();
            let origin = Origin::Context { name: name.to_owned(), current: false };
            return Ok(Self { master: flags.master.or(master), token: Some(token), origin });
        }
        if let Some(given) = flags.token {
            let token = Some(read(TOKEN_FLAG, &given)?);
            return Ok(Self { master: flags.master, token, origin: Origin::Token(TOKEN_FLAG) });
        }
        if let Some(given) = environment.token {
            let token = Some(read(TOKEN_VARIABLE, &given)?);
            let origin = Origin::Token(TOKEN_VARIABLE);
            return Ok(Self { master: flags.master.or(environment.master), token, origin });
        }
        if let Some(master) = flags.master {
            return Ok(Self { master: Some(master), token: None, origin: Origin::Master(MASTER_FLAG) });
        }
        if let Some(master) = environment.master {
            return Ok(Self { master: Some(master), token: None, origin: Origin::Master(MASTER_VARIABLE) });
        }
        let contexts = contexts()?;
        Ok(match contexts.current()? {
            Some((name, Context { token, master })) => {
                let origin = Origin::Context { name: name.to_owned(), current: true };
                Self { master: master.clone(), token: Some(token.clone()), origin }
            }
            None => Self { master: None, token: None, origin: Origin::Nobody },
        })
    }

    /// Whether nobody said anything.
    pub(crate) fn is_default(&self) -> bool {
        self.origin == Origin::Nobody
    }
}

pub(crate) const MASTER_FLAG: &str = "--master";
pub(crate) const MASTER_VARIABLE: &str = "HAGGLE_MASTER";
pub(crate) const TOKEN_FLAG: &str = "--token";
pub(crate) const TOKEN_VARIABLE: &str = "HAGGLE_TOKEN";

/// What the environment says. An empty variable says nothing.
pub(crate) fn environment() -> Said {
    Said { master: variable(MASTER_VARIABLE), token: variable(TOKEN_VARIABLE) }
}

/// What a variable of the environment says; nothing when it is empty or no text.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// What the file of contexts holds. A user without a home has none.
pub(crate) fn stored_contexts() -> Result<Contexts, ContextError> {
    match contexts::file() {
        Ok(path) => Contexts::read(&path),
        Err(_) => Ok(Contexts::default()),
    }
}

/// The token of a person or program, given by this flag: itself, `@FILE` or `-`.
///
/// # Errors
/// When it cannot be read, or is one for agents.
pub(crate) fn read(flag: &'static str, given: &str) -> Result<Token, TargetError> {
    let token = read_any(flag, given)?;
    if token.kind == TokenKind::Agent { Err(TargetError::JoinToken(flag)) } else { Ok(token) }
}

/// A token, given by this flag: itself, `@FILE` or `-`.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn read_any(flag: &'static str, given: &str) -> Result<Token, TargetError> {
    let text = secret_argument(given).map_err(|source| TargetError::Argument { flag, source })?;
    text.parse().map_err(|source| TargetError::Token { flag, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contexts::tests::{contexts, token};

    fn said(master: Option<&str>, token: Option<&Token>) -> Said {
        Said { master: master.map(str::to_owned), token: token.map(|token| token.text().to_string()) }
    }

    /// Which master is named, which token's host, and who decided; contexts `one` and `two`, of which `one` is current.
    fn chosen(flags: Said, context: Option<&str>, environment: Said) -> (Option<String>, Option<String>, String) {
        let contexts = || {
            let mut contexts = contexts(&["one", "two"]);
            contexts.choose("one")?;
            Ok(contexts)
        };
        let target = Target::choose(flags, context, environment, contexts).unwrap();
        (target.master, target.token.map(|token| token.addresses[0].clone()), target.origin.to_string())
    }

    fn parts(master: Option<&str>, token: Option<&str>, origin: &str) -> (Option<String>, Option<String>, String) {
        (master.map(str::to_owned), token.map(|host| format!("{host}:5050")), origin.to_owned())
    }

    #[test]
    fn flags_come_before_the_environment_and_that_before_the_current_context() {
        let (flag, variable) = (token(1, "flag"), token(1, "variable"));
        let nothing = Said::default;

        let cases = [
            (nothing(), None, nothing(), parts(None, Some("one"), "the current context one")),
            (nothing(), None, said(Some("e"), None), parts(Some("e"), None, "HAGGLE_MASTER")),
            (nothing(), None, said(Some("e"), Some(&variable)), parts(Some("e"), Some("variable"), "HAGGLE_TOKEN")),
            (said(Some("f"), None), None, said(Some("e"), None), parts(Some("f"), None, "--master")),
            (
                said(Some("f"), None),
                None,
                said(None, Some(&variable)),
                parts(Some("f"), Some("variable"), "HAGGLE_TOKEN"),
            ),
            (said(None, Some(&flag)), None, said(Some("e"), Some(&variable)), parts(None, Some("flag"), "--token")),
            (nothing(), Some("two"), said(Some("e"), Some(&variable)), parts(None, Some("two"), "the context two")),
            (said(Some("f"), None), Some("two"), nothing(), parts(Some("f"), Some("two"), "the context two")),
        ];

        for (flags, context, environment, wanted) in cases {
            assert_eq!(chosen(flags, context, environment), wanted);
        }
    }

    #[test]
    fn where_nobody_says_anything_it_is_this_machines_master() {
        let target = Target::choose(Said::default(), None, Said::default(), || Ok(Contexts::default())).unwrap();

        assert!(target.is_default());
        assert!(target.master.is_none() && target.token.is_none());
    }

    #[test]
    fn a_context_that_is_not_there_and_a_token_for_agents_are_refused() {
        let choose = |flags, context| {
            let chosen = Target::choose(flags, context, Said::default(), || Ok(contexts(&["one"])));
            chosen.unwrap_err().to_string()
        };
        let join = Token { kind: TokenKind::Agent, ..token(1, "h") };

        assert_eq!(choose(Said::default(), Some("three")), "there is no context \"three\"; there is one");
        assert!(choose(said(None, Some(&join)), None).contains("haggle agent --join"));
        assert!(choose(Said { master: None, token: Some("x".into()) }, None).starts_with("--token: this is no token"));
    }
}
