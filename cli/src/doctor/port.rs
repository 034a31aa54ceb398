//! The port where commands expect a master that nobody named.

use std::io::{self, ErrorKind};
use std::net::TcpListener;
use std::time::Duration;

use haggle_sdk::{Client, MasterInfo};
use tokio::time::timeout;

use super::report::Finding;
use crate::commands::DEFAULT_MASTER;

/// A master of this machine answers within some milliseconds.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whether a master could listen there, or who does.
pub(super) async fn look() -> Finding {
    let address = DEFAULT_MASTER.rsplit('/').next().unwrap_or(DEFAULT_MASTER);
    let bound = TcpListener::bind(address).map(drop);
    let answer = match bound {
        Err(_) => asked().await,
        Ok(()) => Err(String::new()),
    };
    judged(address, &bound, answer)
}

/// What a master says that listens there.
async fn asked() -> Result<MasterInfo, String> {
    let asking = async {
        let client = Client::builder().master(DEFAULT_MASTER).patience(Duration::ZERO).connect().await;
        client.map_err(|error| error.to_string())?.master().await.map_err(|error| error.to_string())
    };
    timeout(PATIENCE, asking).await.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}")))
}

fn judged(address: &str, bound: &io::Result<()>, answer: Result<MasterInfo, String>) -> Finding {
    let check = "default port";
    let elsewhere = "`haggle master --listen 127.0.0.1:PORT` takes another one, --master or HAGGLE_MASTER name it to the \
                     other commands";
    match (bound, answer) {
        (Ok(()), _) => Finding::ok(check, format!("{address} is free for a master")),
        (Err(_), Ok(master)) => Finding::ok(
            check,
            format!("a master of yours listens on {address}: {}, version {}", master.cluster, master.version),
        ),
        (Err(error), Err(why)) if error.kind() == ErrorKind::AddrInUse => {
            Finding::warn(check, format!("{address} is taken, not by a master of yours: {why}"), elsewhere)
        }
        (Err(error), Err(_)) => Finding::fail(check, format!("nothing can listen on {address}: {error}"), elsewhere),
    }
}

#[cfg(test)]
mod tests {
    use haggle_sdk::{ClusterId, Epoch};

    use super::*;
    use crate::doctor::report::Verdict;

    #[test]
    fn the_port_is_free_a_masters_or_somebody_elses() {
        let master = MasterInfo {
            version: "1.2.3".into(),
            uptime: Duration::ZERO,
            cluster: ClusterId(7),
            epoch: Epoch(1),
            time: None,
        };
        let taken = || Err(ErrorKind::AddrInUse.into());
        let silent = || Err("it hung up".to_owned());

        let free = judged("h:5050", &Ok(()), silent());
        let ours = judged("h:5050", &taken(), Ok(master));
        let other = judged("h:5050", &taken(), silent());
        let none = judged("h:5050", &Err(ErrorKind::PermissionDenied.into()), silent());

        assert_eq!([free.verdict, ours.verdict], [Verdict::Ok; 2]);
        assert!(ours.found.contains("version 1.2.3"), "{ours}");
        assert_eq!((other.verdict, none.verdict), (Verdict::Warn, Verdict::Fail));
        assert!(other.found.ends_with("it hung up") && other.advice.is_some(), "{other}");
    }
}
