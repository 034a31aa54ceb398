//! `haggle login`.

use std::io::{IsTerminal, stderr, stdin};

use super::Verdict;
use crate::args::LoginArgs;
use crate::contexts::{self, Context, Contexts};
use crate::output;
use crate::target::{self, Origin, Target};

/// How errors name the word behind the command.
const TOKEN: &str = "TOKEN";

pub(super) async fn run(master: Option<String>, args: LoginArgs) -> Verdict {
    args.name.as_deref().map(contexts::check_name).transpose()?;
    let path = contexts::file()?;
    if args.given == "-" && stdin().is_terminal() && stderr().is_terminal() {
        eprintln!("Paste the token, then Enter and Ctrl-D (Ctrl-Z on Windows):");
    }
    let token = target::read(TOKEN, &args.given)?;

    let target = Target { master: master.clone(), token: Some(token.clone()), origin: Origin::Token(TOKEN) };
    let client = super::connect(&target).await?;
    let principal = client.whoami().await?;

    let address = master.as_deref().or_else(|| token.addresses.first().map(String::as_str));
    let host = host(address.unwrap_or_default()).to_owned();
    let name = Contexts::change(&path, |contexts| {
        let name = args.name.unwrap_or_else(|| contexts.name_for(&host, &token));
        contexts.named.insert(name.clone(), Context { token: token.clone(), master });
        contexts.current = Some(name.clone());
        Ok(name)
    })?;
    let (cluster, kind) = (token.cluster.to_string(), principal.kind.to_string());
    output::said(
        args.list.json,
        &serde_json::json!({
            "context": name, "cluster": cluster, "name": principal.name, "kind": kind, "roles": principal.roles
        }),
        &format!("Logged in as {} ({kind}); the context {name} is the current one.", principal.name),
    )?;
    Ok(0)
}

/// The host of an address or URL.
fn host(address: &str) -> &str {
    let first = address.split(',').next().unwrap_or_default();
    let bare = first.split_once("://").map_or(first, |(_, rest)| rest);
    bare.rsplit_once(':').map_or(bare, |(host, _)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_named_after_the_first_host() {
        assert_eq!(host("host.example:5050"), "host.example");
        assert_eq!(host("https://10.0.0.1:5050,b:1"), "10.0.0.1");
        assert_eq!(host("[::1]:5050"), "[::1]");
    }
}
