//! `haggle ca`.

use std::fmt::Write;

use haggle_sdk::{Authority, AuthorityInfo};
use haggle_tls::Seal;

use super::Verdict;
use crate::args::{CaArgs, CaCommand, ListArgs, RotateArgs, SealKeyArgs};
use crate::error::CommandError;
use crate::output;
use crate::target::Target;

pub(super) async fn run(target: &Target, args: CaArgs) -> Verdict {
    match args.command {
        CaCommand::Show(args) => show(target, &args).await,
        CaCommand::Rotate(args) if args.finish => finish(target, &args).await,
        CaCommand::Rotate(args) => rotate(target, &args).await,
        CaCommand::SealKey(SealKeyArgs {}) => {
            output::line(&Seal::generate().line())?;
            Ok(0)
        }
    }
}

async fn show(target: &Target, args: &ListArgs) -> Verdict {
    let info = super::connect(target).await?.authority().await?;
    tell(&info, args, &described(&info))
}

async fn rotate(target: &Target, args: &RotateArgs) -> Verdict {
    let client = super::connect(target).await?;
    let current = client.authority().await?.current;
    let info = client.rotate_authority(current.fingerprint).await?;
    let said = format!(
        "{:.8} signs from now on, and {:.8} is believed until `haggle ca rotate --finish`\n\
         agents follow within seconds, and contexts with the next command; `haggle ca show` says who has not",
        info.current.fingerprint, current.fingerprint
    );
    tell(&info, &args.list, &said)
}

async fn finish(target: &Target, args: &RotateArgs) -> Verdict {
    let client = super::connect(target).await?;
    let former = client.authority().await?.former.ok_or(CommandError::NoFormerAuthority)?;
    let info = client.finish_rotation(former.fingerprint, args.force).await?;
    let said = format!("{:.8} is not believed any more; {:.8} signs", former.fingerprint, info.current.fingerprint);
    tell(&info, &args.list, &said)
}

fn tell(info: &AuthorityInfo, args: &ListArgs, said: &str) -> Verdict {
    if args.json {
        output::json(&record(info))?;
    } else {
        output::line(said)?;
    }
    Ok(0)
}

fn described(info: &AuthorityInfo) -> String {
    let one = |authority: &Authority| {
        let Authority { fingerprint, made, expires } = authority;
        format!("{fingerprint}\n  from {} to {}", output::time(*made), output::time(*expires))
    };
    let mut text = format!("signs: {}", one(&info.current));
    if let Some(former) = &info.former {
        let AuthorityInfo { agents_connected, agents_away, tokens, .. } = info;
        let _ = write!(
            text,
            "\nis believed until `haggle ca rotate --finish`: {}\n  \
             {agents_connected} connected agents hold certificates of it, {agents_away} agents are away and may hold one, \
             {tokens} tokens name it",
            one(former)
        );
    }
    if let Some(brought) = info.brought {
        let _ =
            write!(text, "\nthe master shows a certificate that was brought to it, of {brought}: tokens name that one");
    }
    text
}

fn record(info: &AuthorityInfo) -> serde_json::Value {
    let one = |authority: &Authority| {
        serde_json::json!({
            "fingerprint": authority.fingerprint.to_string(),
            "made": output::time(authority.made),
            "expires": output::time(authority.expires),
        })
    };
    serde_json::json!({
        "current": one(&info.current),
        "former": info.former.as_ref().map(one),
        "agents_connected": info.agents_connected,
        "agents_away": info.agents_away,
        "tokens": info.tokens,
        "brought": info.brought.map(|brought| brought.to_string()),
    })
}
