//! What an agent is told at its start.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use haggle_core::resources::Ports;
use haggle_core::{Bytes, FrameworkId, MilliCpu, Resources};
use haggle_executor::CompileLimits;
use haggle_otlp::Collector;
use haggle_proto::DEFAULT_PORT;
use haggle_tls::Token;
use tonic::transport::Uri;

use crate::dial::loopback;

/// How an agent is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the master is: `http://127.0.0.1:5050`, or the same without scheme or port. Several with commas between
    /// them are the masters of one cluster, of which one leads. `None`: where the token or an earlier start said, else on
    /// this machine.
    pub master: Option<String>,
    /// What lets the agent join, once. It trades it for a certificate, which it keeps in its work folder and renews by
    /// itself.
    pub join: Option<Token>,
    /// As whom to come to a master on this machine without a certificate. `None`: as its user, by the token that it has
    /// left for that.
    pub token: Option<Token>,
    /// For people; need not be unique.
    pub name: String,
    /// What it has to give, where that is not what was detected.
    pub resources: Declared,
    /// What a framework may choose it by, beside what the agent says of itself: `hostname` and names that begin with `haggle.` are
    /// refused.
    pub attributes: BTreeMap<String, String>,
    /// What of its resources it keeps for roles, and for whoever is in a role below: no more than it has.
    pub reserved: BTreeMap<String, Resources>,
    /// Holds the agent's id, artifacts, logs and executors. One agent at a time may use it.
    pub work_dir: PathBuf,
    /// Whether the work folder goes with this process: no identity is kept in it then, and executors are given no time to put
    /// their things in order.
    pub is_transient: bool,
    /// A folder of artifacts under the hexadecimal names of their digests. What is there is linked instead of fetched: for
    /// an agent in the process of its master.
    pub nearby_artifacts: Option<PathBuf>,
    /// The framework that is likely to come first: an executor is started for it ahead.
    pub expected: Option<FrameworkId>,
    /// Holds compiled modules. Agents of one user may share it.
    pub cache_dir: PathBuf,
    /// The `haggle` executable, which executors are started from and modules are compiled by.
    pub program: PathBuf,
    /// What the compilation of one module may take.
    pub compile: CompileLimits,
    /// Whether the fuel of every task is counted. Where it is not, only tasks with a fuel limit are metered by fuel;
    /// the others run a little faster, and their usage says nothing of fuel.
    pub metering: bool,
    /// How long executors and their tasks outlive an agent that ended without ending them. One that starts in the
    /// same folder by then goes on with them.
    pub recovery_timeout: Duration,
    /// Folders of this machine that tasks may ask to read, with all that is in them. None unless named.
    pub allowed_folders: Vec<PathBuf>,
    /// Whether tasks are given the network that their grants name. Where it is false, which is the default, a task
    /// with such a grant ends as `TASK_INVALID`.
    pub allow_network: bool,
    /// Over how long it is measured what tasks leave unused of the processor time that they hold, to be offered again as revocable.
    /// `None`: it is not.
    pub oversubscribe: Option<Duration>,
    /// How long tasks may still run once the agent drains, before they are killed.
    pub kill_grace: Duration,
    /// How long after that grace a drain may take: for the last acknowledgements, and for a master that is away.
    pub drain_margin: Duration,
    /// How often the agent says that it lives. A master that answers none of [`Config::SILENT_HEARTBEATS`] in a
    /// row is taken for lost.
    pub heartbeat: Duration,
    /// Who is told the traces of tasks. `None`: nobody, and nothing is recorded.
    pub traces: Option<Collector>,
}

impl Config {
    /// Mesos gives an executor as long to shut down.
    pub const DEFAULT_KILL_GRACE: Duration = Duration::from_secs(5);
    /// A master that restarts is back by then.
    pub const DEFAULT_DRAIN_MARGIN: Duration = Duration::from_secs(15);
    /// Often enough to notice a dead master in seconds, rare enough to cost nothing.
    pub const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(2);
    /// As long as Mesos's `recovery_timeout`: time for an upgrade, or for somebody to look at what went wrong.
    pub const DEFAULT_RECOVERY_TIMEOUT: Duration = Duration::from_secs(15 * 60);
    /// A few, so that one late answer does not cost the connection. With the default heartbeat a silent master is left
    /// within the 10 s after which it gives up a silent agent.
    pub const SILENT_HEARTBEATS: u32 = 4;

    /// Everything detected or at its default.
    pub fn new(
        master: impl Into<String>,
        name: impl Into<String>,
        work_dir: impl Into<PathBuf>,
        cache_dir: impl Into<PathBuf>,
    ) -> Self {
        Self {
            master: Some(master.into()),
            join: None,
            token: None,
            name: name.into(),
            resources: Declared::default(),
            attributes: BTreeMap::new(),
            reserved: BTreeMap::new(),
            work_dir: work_dir.into(),
            is_transient: false,
            nearby_artifacts: None,
            expected: None,
            cache_dir: cache_dir.into(),
            program: this_program(),
            compile: CompileLimits::default(),
            metering: true,
            recovery_timeout: Self::DEFAULT_RECOVERY_TIMEOUT,
            allowed_folders: Vec::new(),
            allow_network: false,
            oversubscribe: None,
            kill_grace: Self::DEFAULT_KILL_GRACE,
            drain_margin: Self::DEFAULT_DRAIN_MARGIN,
            heartbeat: Self::DEFAULT_HEARTBEAT,
            traces: None,
        }
    }
}

/// The executable of this process. On Linux by a name that still means this one after an upgrade has put another in
/// its place, whose executors would speak another version, and whose compiler would make what they cannot load.
pub fn this_program() -> PathBuf {
    let lasting = PathBuf::from("/proc/self/exe");
    if cfg!(target_os = "linux") && lasting.exists() {
        return lasting;
    }
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("haggle"))
}

/// Resources as the operator wants them; what is `None` is detected.
#[derive(Clone, Debug, Default)]
pub struct Declared {
    /// Processor time.
    pub cpus: Option<MilliCpu>,
    /// Memory for tasks.
    pub mem: Option<Bytes>,
    /// Room for scratch folders.
    pub disk: Option<Bytes>,
    /// Ports to give; none where none are named.
    pub ports: Ports,
    /// Named amounts, in thousandths of one.
    pub scalars: BTreeMap<String, u64>,
}

/// An address at which no master may be sought.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadMaster {
    /// It is no address.
    #[error("{got:?} is not the address of a master, like http://127.0.0.1:5050")]
    NotAnAddress {
        /// What was given.
        got: String,
    },
    /// Anybody on the way could read and change what is said.
    #[error(
        "the master {host} is not on this machine: an agent comes to it by a certificate, which it gets with `haggle agent \
         --join TOKEN` (`haggle token create --kind agent` makes the token)"
    )]
    NotLoopback {
        /// The host that was named.
        host: String,
    },
}

/// The addresses of one or several masters, in full.
///
/// # Errors
/// When one of them is none.
pub(crate) fn master_uris(text: &str) -> Result<Vec<Uri>, BadMaster> {
    text.split(',').map(|one| master_uri(one.trim())).collect()
}

/// That these masters can be spoken to in plain text.
///
/// # Errors
/// When one of them is not on loopback.
pub(crate) fn on_this_machine(masters: &[Uri]) -> Result<(), BadMaster> {
    match masters.iter().find(|master| loopback(master).is_none()) {
        Some(master) => Err(BadMaster::NotLoopback { host: master.host().unwrap_or_default().to_owned() }),
        None => Ok(()),
    }
}

/// The master's address in full: `http` (TLS is the connector's part), host and port.
///
/// # Errors
/// When it is none.
pub(crate) fn master_uri(text: &str) -> Result<Uri, BadMaster> {
    let not_an_address = || BadMaster::NotAnAddress { got: text.to_owned() };
    let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let uri: Uri = full.parse().map_err(|_| not_an_address())?;
    match uri.scheme_str() {
        Some("http" | "https") => {}
        _ => return Err(not_an_address()),
    }
    if uri.path_and_query().is_some_and(|path| path.as_str() != "/") {
        return Err(not_an_address());
    }
    let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(not_an_address)?;
    // The parser lets numbers through that are no port.
    let port = match uri.authority().and_then(|authority| authority.as_str().strip_prefix(host)) {
        Some("") => DEFAULT_PORT,
        Some(port) => port.strip_prefix(':').and_then(|port| port.parse().ok()).ok_or_else(not_an_address)?,
        None => return Err(not_an_address()),
    };
    format!("http://{host}:{port}").parse().map_err(|_| not_an_address())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Result<String, BadMaster> {
        master_uri(text).map(|uri| uri.to_string())
    }

    #[test]
    fn scheme_and_port_may_be_left_out() {
        for text in ["127.0.0.1", "127.0.0.1:5050", "http://127.0.0.1", "http://127.0.0.1:5050/"] {
            assert_eq!(uri(text).as_deref(), Ok("http://127.0.0.1:5050/"), "{text}");
        }
        assert_eq!(uri("localhost:7").as_deref(), Ok("http://localhost:7/"));
        assert_eq!(uri("http://[::1]:7").as_deref(), Ok("http://[::1]:7/"));
    }

    #[test]
    fn a_master_beyond_loopback_is_none_for_plain_text_and_the_way_to_it_is_told() {
        for text in ["10.0.0.7:5050", "http://master.example", "http://[2001:db8::1]:5050", "0.0.0.0:5050"] {
            let refused = on_this_machine(&master_uris(text).unwrap()).unwrap_err();

            assert!(matches!(refused, BadMaster::NotLoopback { .. }), "{text}: {refused}");
            assert!(refused.to_string().contains("haggle agent --join TOKEN"), "{refused}");
        }
        on_this_machine(&master_uris("127.0.0.1,localhost:7,[::1]").unwrap()).unwrap();
    }

    #[test]
    fn several_masters_have_commas_between_them() {
        let uris: Vec<_> = master_uris("127.0.0.1:1, localhost").unwrap().iter().map(Uri::to_string).collect();

        assert_eq!(uris, ["http://127.0.0.1:1/", "http://localhost:5050/"]);
        assert!(matches!(master_uris("127.0.0.1:1,"), Err(BadMaster::NotAnAddress { .. })));
    }

    #[test]
    fn a_silent_master_is_noticed_before_it_would_give_up_the_agent() {
        let noticed = (Config::SILENT_HEARTBEATS + 1) * Config::DEFAULT_HEARTBEAT;

        assert!(noticed <= Duration::from_secs(10) && Config::DEFAULT_HEARTBEAT <= Duration::from_millis(2500));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in
            ["", "http://", "a b", "ftp://127.0.0.1", "http://127.0.0.1/path", "127.0.0.1:99999", "me@127.0.0.1:5050"]
        {
            assert!(matches!(uri(text), Err(BadMaster::NotAnAddress { .. })), "{text}: {:?}", uri(text));
        }
        assert_eq!(uri("https://host").as_deref(), Ok("http://host:5050/"));
    }
}
