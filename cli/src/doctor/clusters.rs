//! The clusters that this user is logged in to: whether the tokens are good, and whether the one that is meant answers.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use haggle_sdk::MasterInfo;
use tokio::time::timeout;

use super::clock;
use super::report::Finding;
use crate::commands;
use crate::contexts::{self, Contexts};
use crate::output;
use crate::target::{Origin, Target, TargetError};
use crate::why::span;

/// A token that expires so soon is to be replaced.
const SOON: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How long a master may take, wherever it is.
const PATIENCE: Duration = Duration::from_secs(5);

const CONTEXTS: &str = "contexts";

/// Every context that is kept.
pub(super) fn contexts() -> Vec<Finding> {
    let Ok(path) = contexts::file() else {
        return vec![Finding::warn(CONTEXTS, "this user has no home to keep any in", "set HOME or XDG_CONFIG_HOME")];
    };
    let kept = match Contexts::read(&path) {
        Ok(kept) => kept,
        Err(error) => return vec![Finding::fail(CONTEXTS, error.to_string(), "`haggle login TOKEN` writes a new one")],
    };
    let secrecy = if path.exists() { secrecy(&path) } else { Finding::ok(CONTEXTS, "you are logged in to no cluster") };
    [secrecy].into_iter().chain(tokens(&kept, SystemTime::now())).collect()
}

/// Whether others can read the secrets.
fn secrecy(path: &Path) -> Finding {
    let shown = path.display();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(path).map_or(0, |there| there.permissions().mode() & 0o777);
        if mode & 0o077 != 0 {
            let found = format!("others can reach the secrets in {shown}: its mode is {mode:o}");
            return Finding::fail(
                CONTEXTS,
                found,
                format!("`chmod 600 {shown}`, and new tokens if others use this machine"),
            );
        }
    }
    Finding::ok(CONTEXTS, format!("{shown} can be read, by you alone"))
}

fn tokens(kept: &Contexts, now: SystemTime) -> Vec<Finding> {
    let one = |(name, context): (&String, &contexts::Context)| {
        let is_current = kept.current.as_ref() == Some(name);
        let check = format!("context {name}");
        let until = output::time(context.token.expires);
        let again = format!("have a token made (`haggle token create`), then `haggle login --name {name}`");
        match context.token.expires.duration_since(now) {
            Ok(left) if left > SOON => Finding::ok(check, format!("its token is good until {until}")),
            Ok(left) => Finding::warn(check, format!("its token is good for {} more", span(left)), again),
            Err(_) if is_current => Finding::fail(check, format!("its token expired, {until}"), again),
            Err(_) => Finding::warn(
                check,
                format!("its token expired, {until}"),
                format!("{again}; or `haggle context rm {name}`"),
            ),
        }
    };
    let lost =
        kept.current().err().map(|error| Finding::fail(CONTEXTS, error.to_string(), "`haggle context use NAME`"));
    kept.named.iter().map(one).chain(lost).collect()
}

const MASTER: &str = "master";

/// Whether the cluster that is meant answers, and what it says.
pub(super) async fn target(target: Result<Target, TargetError>) -> Vec<Finding> {
    let target = match target {
        Ok(target) => target,
        Err(error) => {
            return vec![Finding::fail(MASTER, error.to_string(), "name another --context, --token or --master")];
        }
    };
    if target.is_default() {
        // Nobody said that there should be one; the port tells whether there is.
        return vec![Finding::ok(MASTER, "no cluster is named: `haggle run` brings up one of its own")];
    }
    let asking = async {
        let client = commands::client(&target).connect().await.map_err(|error| error.to_string())?;
        let (asked, began) = (SystemTime::now(), Instant::now());
        let info = client.master().await.map_err(|error| error.to_string())?;
        let trip = began.elapsed();
        // That one needs no right; this says whether the token is good for anything.
        client.whoami().await.map_err(|error| error.to_string())?;
        Ok((client.url(), info, asked, trip))
    };
    match timeout(PATIENCE, asking).await.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}"))) {
        Ok((url, info, asked, trip)) => {
            let skew = info.time.map(|time| clock::skew(asked, trip, time));
            [answered(&url, &target.origin, &info)].into_iter().chain(skew).collect()
        }
        Err(why) => {
            let found = format!("{why} (asked for by {})", target.origin);
            vec![Finding::fail(
                MASTER,
                found,
                "start it, or name where it is by --master; `haggle login` takes a new token",
            )]
        }
    }
}

fn answered(url: &str, origin: &Origin, info: &MasterInfo) -> Finding {
    const OURS: &str = env!("CARGO_PKG_VERSION");
    let found =
        format!("{url} answers: version {}, up for {} (asked for by {origin})", info.version, span(info.uptime));
    if info.version == OURS {
        Finding::ok(MASTER, found)
    } else {
        Finding::warn(MASTER, found, format!("this haggle is version {OURS}: have both be the same"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contexts::tests::contexts;
    use crate::doctor::report::Verdict;

    #[test]
    fn a_token_that_expires_is_told_before_and_fails_the_one_that_is_used_after() {
        let mut kept = contexts(&["current", "other"]);
        kept.choose("current").unwrap();
        let expires = kept.named["current"].token.expires;
        let verdicts = |now| tokens(&kept, now).iter().map(|finding| finding.verdict).collect::<Vec<_>>();

        assert_eq!(verdicts(expires - 2 * SOON), [Verdict::Ok, Verdict::Ok]);
        assert_eq!(verdicts(expires - SOON / 2), [Verdict::Warn, Verdict::Warn]);
        assert_eq!(verdicts(expires + SOON), [Verdict::Fail, Verdict::Warn]);
        assert!(tokens(&kept, expires + SOON)[1].advice.as_ref().unwrap().contains("haggle context rm other"));
    }

    #[test]
    fn a_current_context_that_is_not_there_fails() {
        let kept = Contexts { current: Some("gone".into()), ..contexts(&["other"]) };

        let findings = tokens(&kept, SystemTime::UNIX_EPOCH);

        assert_eq!(findings.last().unwrap().verdict, Verdict::Fail);
        assert!(findings.last().unwrap().found.contains("gone"));
    }

    #[cfg(unix)]
    #[test]
    fn secrets_that_others_can_reach_fail() {
        use std::os::unix::fs::PermissionsExt;
        let file = tempfile::NamedTempFile::new().unwrap();
        let mode = |mode| std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();

        mode(0o640);
        assert_eq!(secrecy(file.path()).verdict, Verdict::Fail);
        mode(0o600);
        assert_eq!(secrecy(file.path()).verdict, Verdict::Ok);
    }
}
