//! `haggle token`.

use std::io::{IsTerminal, stderr, stdout};
use std::time::{Duration, SystemTime};

use haggle_sdk::{MadeToken, NewToken, TokenInfo};
use haggle_tls::TokenKind;

use super::Verdict;
use crate::args::{CreateArgs, ListArgs, RevokeArgs, TokenArgs, TokenCommand};
use crate::error::CommandError;
use crate::output::record::TokenRecord;
use crate::output::{self, Table};
use crate::target::Target;

pub(super) async fn run(target: &Target, args: TokenArgs) -> Verdict {
    match args.command {
        TokenCommand::Create(args) => create(target, args).await,
        TokenCommand::Ls(args) => list(target, args).await,
        TokenCommand::Revoke(args) => revoke(target, args).await,
    }
}

async fn create(target: &Target, args: CreateArgs) -> Verdict {
    args.check()?;
    let new = NewToken {
        kind: args.kind(),
        name: args.name.unwrap_or_default(),
        roles: args.roles,
        ttl: args.ttl,
        uses: args.uses,
    };
    let MadeToken { info, text } = super::connect(target).await?.create_token(&new).await?;
    if args.list.json {
        output::json(&TokenRecord::made(&info, &text))?;
        return Ok(0);
    }
    output::line(&text)?;
    // A secret that is kept in a file shall not stand in another one or on the screen as well.
    let given = if stdout().is_terminal() && stderr().is_terminal() { text.as_str() } else { "@FILE" };
    eprintln!("haggle: {}", output::printable(&what_to_do(&info, given, SystemTime::now())));
    Ok(0)
}

/// What the token is good for, and the command that uses it. `given` stands for the token.
fn what_to_do(info: &TokenInfo, given: &str, now: SystemTime) -> String {
    let left = about(info.expires.duration_since(now).unwrap_or_default());
    let id = info.id;
    match info.principal.kind {
        TokenKind::Agent => {
            let who = match info.uses_left.unwrap_or(1) {
                1 => "one agent joins".to_owned(),
                many => format!("{many} agents join"),
            };
            format!("{id}: {who} by it within {left}, each with `haggle agent --join {given}`")
        }
        kind => {
            format!("{id}: a secret of {} ({kind}), good for {left}: `haggle login {given}`", info.principal.name)
        }
    }
}

/// A time in days, hours or minutes, whichever says enough. Rounded up, since the making took a moment.
fn about(time: Duration) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let minutes = time.as_secs().div_ceil(MINUTE);
    match minutes * MINUTE {
        time if time >= 2 * DAY => format!("{} days", time.div_ceil(DAY)),
        time if time >= HOUR => format!("{} h", time.div_ceil(HOUR)),
        _ => format!("{minutes} min"),
    }
}

async fn list(target: &Target, args: ListArgs) -> Verdict {
    let mut tokens = super::connect(target).await?.tokens().await?;
    tokens.sort_by_key(|token| (token.made, token.id));
    let records: Vec<TokenRecord> = tokens.iter().map(Into::into).collect();
    output::list(&records, args.json, || table(&tokens))?;
    Ok(0)
}

fn table(tokens: &[TokenInfo]) -> Table {
    let mut table = Table::new(["TOKEN", "KIND", "NAME", "ROLES", ">USES", "EXPIRES", "MADE BY", "AUTHORITY"]);
    for token in tokens {
        table.row([
            token.id.to_string(),
            token.principal.kind.to_string(),
            token.principal.name.clone(),
            token.principal.roles.join(" "),
            token.uses_left.map_or_else(String::new, |left| left.to_string()),
            output::time(token.expires),
            token.made_by.clone(),
            token.authority.map_or_else(String::new, |authority| format!("{authority:.8}")),
        ]);
    }
    table
}

async fn revoke(target: &Target, args: RevokeArgs) -> Verdict {
    let client = super::connect(target).await?;
    client.revoke_token(args.id).await.map_err(super::unknown_as(CommandError::NoSuchToken(args.id)))?;
    output::said(
        args.list.json,
        &serde_json::json!({ "id": args.id.to_string(), "revoked": true }),
        &format!("{} is revoked: nobody enters by it any more", args.id),
    )?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use haggle_core::access::TokenId;
    use haggle_sdk::Principal;

    use super::*;

    fn told(kind: TokenKind, uses_left: Option<u32>, given: &str) -> String {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 30);
        let principal = Principal { name: "ci".into(), kind, roles: Vec::new() };
        let (made_by, expires) = ("me".into(), now + Duration::from_secs(3599));
        let info = TokenInfo { id: TokenId(1), principal, made: now, expires, uses_left, made_by, authority: None };
        what_to_do(&info, given, now)
    }

    #[test]
    fn a_time_is_told_as_people_do() {
        let told = |seconds| about(Duration::from_secs(seconds));

        assert_eq!(
            [told(59), told(3599), told(5 * 3600), told(90 * 24 * 3600 - 2)],
            ["1 min", "1 h", "5 h", "90 days"]
        );
    }

    #[test]
    fn what_can_be_done_with_a_token_is_a_command_to_copy() {
        assert_eq!(
            told(TokenKind::Agent, Some(1), "hgl1.x"),
            "token-0000000000000001: one agent joins by it within 1 h, each with `haggle agent --join hgl1.x`"
        );
        assert!(told(TokenKind::Agent, Some(3), "@FILE").contains("3 agents join by it within 1 h"));
        assert_eq!(
            told(TokenKind::Framework, None, "@FILE"),
            "token-0000000000000001: a secret of ci (framework), good for 1 h: `haggle login @FILE`"
        );
    }
}
