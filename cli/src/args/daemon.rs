//! What can be typed after `up`, `master` and `agent`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use haggle_core::{Bytes, MilliCpu};
use haggle_master::{LimitSetting, Limits, PlacesSetting};

use super::artifacts::SourceArgs;
use super::etcd::EtcdArgs;
use super::otlp::OtlpArgs;
use super::tls::TlsArgs;
use super::values::{self, Amounts};

/// More agents than this on one machine show nothing that fewer do not, and each has its threads.
const AGENTS_MAX: i64 = 64;

/// Bring up a whole cluster on this machine, until Ctrl-C
///
/// One master and N agents in this process, joined over real sockets on loopback. The agents share the machine's
/// cpus and memory equally among them.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle up                                one agent with the whole machine
  haggle up --agents 3                     three agents with a third of it each
  haggle up --agents 2 --cpus 0.5 --mem 256MiB
  haggle up --listen 127.0.0.1:0           on any free port, which is printed")]
pub(crate) struct UpArgs {
    /// How many agents
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=AGENTS_MAX))]
    pub(crate) agents: u32,
    /// Where the master listens; loopback only, port 0 for any that is free
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:5050", value_parser = values::listen_on_loopback)]
    pub(crate) listen: SocketAddr,
    /// Keep the master's registry and artifacts here [default: a temporary folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// What each agent offers of cpus [default: its part of the machine]
    #[arg(long, value_name = "N", value_parser = values::cpus)]
    pub(crate) cpus: Option<MilliCpu>,
    /// What each agent offers of memory [default: its part of the machine]
    #[arg(long, value_name = "SIZE", value_parser = values::positive_size)]
    pub(crate) mem: Option<Bytes>,
    /// End when standard input does: for a program that starts a cluster of its own, and takes it along however it ends
    #[arg(long)]
    pub(crate) until_stdin_ends: bool,
    #[command(flatten)]
    pub(crate) allowed: AllowArgs,
    #[command(flatten)]
    pub(crate) unused: OversubscribeArgs,
    #[command(flatten)]
    pub(crate) modules: ModuleArgs,
    #[command(flatten)]
    pub(crate) traces: OtlpArgs,
    #[command(flatten)]
    pub(crate) sources: SourceArgs,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

/// Run a master in the foreground
///
/// SIGTERM and Ctrl-C stop it; running tasks live on, and agents wait for its return: it comes back as the master of the
/// same cluster. With --temporary it founds a new one each time, and agents and frameworks of the old one are told so.
/// When the disk below --state is full, it takes nothing new and goes on when there is room.
///
/// Anywhere but on loopback it speaks TLS: it makes an authority of its own in its state folder, and prints at its first
/// start how agents join and people log in. Who holds a token is sure of the master, whatever lies in between.
///
/// With --etcd it is one of several masters: one leads, the others stand by and say who does. The registry is in etcd
/// then, and every master keeps a copy of every artifact. Masters that others reach share one authority, which is in etcd as
/// well, sealed with a key that each of them has in a file: the first one makes it and says where it is, and every other one
/// needs a copy before it starts.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle master
  haggle master --temporary --listen 127.0.0.1:5051
  haggle master --state /var/lib/haggle --weight production=4 --weight batch=1
  haggle master --listen 0.0.0.0:5050 --advertise master.example
  haggle master --artifact-hosts registry.example,auth.registry.example

Three masters, of which any can die, with an etcd as it starts without flags (their artifacts are in three folders):
  haggle master --listen 127.0.0.1:5050 --state m0 --etcd http://127.0.0.1:2379
  haggle master --listen 127.0.0.1:5051 --state m1 --etcd http://127.0.0.1:2379
  haggle master --listen 127.0.0.1:5052 --state m2 --etcd http://127.0.0.1:2379
  haggle agent --master http://127.0.0.1:5050,http://127.0.0.1:5051,http://127.0.0.1:5052
  Kill the one that leads: within three seconds another does, and no task notices.

The same on three machines, with the seal key of the first copied to the others:
  host1$ haggle master --listen 0.0.0.0:5050 --advertise host1 --state m --etcd http://10.0.0.9:2379
  host1$ scp m/pki/seal.key host2:seal.key
  host2$ haggle master --listen 0.0.0.0:5050 --advertise host2 --state m --etcd http://10.0.0.9:2379 --ca-key-file seal.key

With an etcd of three members behind TLS, which asks for a user:
  haggle master --etcd https://etcd-0:2379,https://etcd-1:2379,https://etcd-2:2379 --etcd-ca /etc/etcd/ca.pem \
                --etcd-user haggle --etcd-password-file /etc/haggle/etcd-password --etcd-prefix /haggle/production")]
pub(crate) struct MasterArgs {
    /// Where to listen: on loopback in plain text, elsewhere in TLS; port 0 for any that is free
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:5050", value_parser = values::listen)]
    pub(crate) listen: SocketAddr,
    /// Keep the registry, the authority and the artifacts here, with --etcd the artifacts and the seal key [default:
    /// haggle/master in $XDG_STATE_HOME or ~/.local/state; with --etcd a temporary folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Keep nothing after the end
    #[arg(long, conflicts_with = "state", conflicts_with = "urls")]
    pub(crate) temporary: bool,
    /// The weight of a role against the others, 1 where none is given; repeatable
    #[arg(long = "weight", value_name = "ROLE=N", value_parser = values::weight)]
    pub(crate) weights: Vec<(String, NonZeroU32)>,
    /// How long a framework may hold on to an offer
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = values::duration)]
    pub(crate) offer_timeout: Duration,
    /// How long an agent may be silent before its tasks are UNREACHABLE; they run on, and come back with it. With more than 2,500
    /// agents it is longer, 40s at most
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = values::duration)]
    pub(crate) agent_timeout: Duration,
    /// How long an agent may be unreachable before its tasks are GONE for good; `haggle agents gone` says so at once
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = values::duration)]
    pub(crate) agent_gone_after: Duration,
    /// How much one principal may have and do: a limit's NAME and a number, a size for bytes, or none; repeatable
    #[arg(long = "limit", value_name = "NAME=VALUE", long_help = limits())]
    pub(crate) limits: Vec<LimitSetting>,
    /// How many of a KIND may be connected: agents, frameworks or operators, who are all others; repeatable [default:
    /// agents=8192, frameworks=4096, operators=1024]
    #[arg(long, value_name = "KIND=N")]
    pub(crate) places: Vec<PlacesSetting>,
    /// Write down here who did or was refused what, a line of JSON each; never a secret
    #[arg(long, value_name = "FILE")]
    pub(crate) audit: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) tls: TlsArgs,
    #[command(flatten)]
    pub(crate) etcd: EtcdArgs,
    #[command(flatten)]
    pub(crate) traces: OtlpArgs,
    #[command(flatten)]
    pub(crate) sources: SourceArgs,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

/// What is said of the limits.
fn limits() -> String {
    let mut table = String::new();
    Limits::default().print_table(&mut table).expect("writing to a String cannot fail");
    format!(
        "How much one principal may have and do: a limit's NAME and a number, a size for bytes, or none; repeatable. Whoever \
         wants more is refused with the limit's name, and nobody else notices. The user that runs the master is not limited.\n\n{table}"
    )
}

/// Run an agent in the foreground
///
/// SIGTERM and Ctrl-C drain it: it takes no more tasks, ends those it has, reports them, and leaves. A second
/// Ctrl-C ends it and its tasks at once. SIGHUP ends it and leaves its tasks running, unless nohup started it: they, and
/// those of an agent that was killed, go on with the next agent in the same work folder, or end after 15 minutes without
/// one. The folder also holds the agent's identity: an agent that comes back in it is the same to its master.
///
/// With several masters, name all of them: --master a,b,c. The agent finds the one that leads.
///
/// On another machine than the master's, --join lets it in: it makes a key, which never leaves its work folder, has the
/// master sign a certificate for it, and renews that by itself. So --join is needed once.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  haggle agent                             of your own master on this machine
  haggle agent --join hgl1.…               what `haggle token create --kind agent` printed; once
  haggle agent --join @/run/secrets/join   the same, and no list of processes shows it
  haggle agent --master http://127.0.0.1:5050
  haggle agent --master 127.0.0.1:5050,127.0.0.1:5051,127.0.0.1:5052
  haggle agent --name small --cpus 0.5 --mem 256MiB --attribute rack=b7
  haggle agent --resources gpu=2 --attribute zone=a --allow-folder /srv/data
  haggle agent --reserve eng/batch:cpus=2,mem=1GiB
  haggle agent --oversubscribe             for tasks that run on what others leave unused")]
pub(crate) struct AgentArgs {
    /// Join a cluster by a token of `haggle token create --kind agent`: itself, @FILE, or - for standard input [env:
    /// HAGGLE_JOIN]
    ///
    /// Whoever lists processes sees the words of a command line; a file, standard input or the variable are seen by
    /// nobody else. An agent whose work folder has joined that cluster before needs no token.
    #[arg(long, value_name = "TOKEN|@FILE|-")]
    pub(crate) join: Option<String>,
    /// A name for people [default: the machine's]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// What it offers of cpus [default: what the machine or container has]
    #[arg(long, value_name = "N", value_parser = values::cpus)]
    pub(crate) cpus: Option<MilliCpu>,
    /// What it offers of memory [default: what the machine or container has]
    #[arg(long, value_name = "SIZE", value_parser = values::positive_size)]
    pub(crate) mem: Option<Bytes>,
    /// What it offers of disk for scratch folders [default: what is free below the work folder]
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    pub(crate) disk: Option<Bytes>,
    /// What it offers of resources of your own making, like gpu=2,licence=0.5: tasks ask for them, and hold them alone
    #[arg(long, value_name = "NAME=N", value_parser = values::scalars)]
    pub(crate) resources: Option<BTreeMap<String, u64>>,
    /// Something frameworks may choose agents by; repeatable
    ///
    /// Beside these it says by itself what it is and allows: haggle.os, haggle.arch, haggle.runtime.NAME, haggle.net with
    /// --allow-network, and haggle.dir:DIR for each --allow-folder. Tasks that are granted a network or a folder go to agents
    /// that say so.
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = values::attribute)]
    pub(crate) attributes: Vec<(String, String)>,
    /// Keep this much of it for a role and those below; repeatable
    ///
    /// Nobody else is offered it, used or not. What is kept so no operator and no framework can end, only refine for roles
    /// below: the agent is started with other flags. `haggle reserve` reserves what an agent has without a restart.
    #[arg(long = "reserve", value_name = "ROLE:cpus=N,mem=SIZE,disk=SIZE", value_parser = values::kept_for_role)]
    pub(crate) reserved: Vec<(String, Amounts)>,
    /// Keep executors, logs and the agent's identity here [default: haggle/agent in $XDG_STATE_HOME or ~/.local/state;
    /// where another agent is in it, agent-2, agent-3, … beside it]
    #[arg(long, value_name = "DIR")]
    pub(crate) work_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) allowed: AllowArgs,
    #[command(flatten)]
    pub(crate) unused: OversubscribeArgs,
    #[command(flatten)]
    pub(crate) modules: ModuleArgs,
    #[command(flatten)]
    pub(crate) traces: OtlpArgs,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

/// What an agent's operator lets tasks ask for.
#[derive(Args, Debug)]
pub(crate) struct AllowArgs {
    /// Give tasks the network that they are granted (--allow-net, --allow-http); else such tasks are refused
    #[arg(long = "allow-network")]
    pub(crate) network: bool,
    /// A folder of this machine that tasks may ask to read, with all that is in it; repeatable
    #[arg(long = "allow-folder", value_name = "DIR")]
    pub(crate) folders: Vec<PathBuf>,
}

/// What an agent does with what its tasks leave unused.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct OversubscribeArgs {
    /// Offer again, as revocable, what tasks hold of cpus and left unused in the last TIME [default TIME: 10s]
    ///
    /// It is offered to whoever asks for it (`haggle run --revocable`), runs while nothing else wants the processor, and is ended as
    /// PREEMPTED when tasks use what they hold. Memory is never offered twice.
    #[arg(
        long,
        value_name = "TIME",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "10s",
        value_parser = values::duration
    )]
    pub(crate) oversubscribe: Option<Duration>,
}

/// How an agent's modules are compiled.
#[derive(Args, Clone, Debug)]
pub(crate) struct ModuleArgs {
    /// CPU time that the compilation of one module may take, in whole seconds; more is a MODULE_INVALID [default: 5s for each MiB
    /// of it, but 120s at least and 600s at most]
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    compile_cpu: Option<Duration>,
    /// Memory that the compilation of one module may take; more is a MODULE_INVALID (on Linux and Windows) [default: 64 times its
    /// size, but 2GiB at least and 4GiB at most]
    #[arg(long, value_name = "SIZE", value_parser = values::positive_size)]
    compile_mem: Option<Bytes>,
    /// Size of a module without its custom sections, like names; more is a MODULE_INVALID. Its file may be four times as large
    #[arg(long, value_name = "SIZE", default_value = "128MiB", value_parser = values::positive_size)]
    module_size: Bytes,
    /// Count the fuel of those tasks only that have a fuel limit; the others run a little faster
    #[arg(long = "no-metering")]
    unmetered: bool,
}

impl ModuleArgs {
    /// As an agent is told.
    pub(crate) fn enter(&self, config: &mut haggle_agent::Config) {
        config.compile.cpu = self.compile_cpu;
        config.compile.mem = self.compile_mem;
        config.compile.module = self.module_size;
        config.metering = !self.unmetered;
    }
}

/// How much is said, where, and in what form.
#[derive(Args, Debug)]
pub(crate) struct LogArgs {
    /// The form of log lines
    #[arg(long, value_name = "FORM", value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
    /// What to log, as in RUST_LOG: `warn`, `info`, `haggle_master=debug` [default: RUST_LOG, else info; warn for `up`]
    #[arg(long, value_name = "FILTER")]
    pub(crate) log_level: Option<String>,
    /// Log to this file instead of standard error; beyond 10 MiB it becomes FILE.1 and begins anew
    #[arg(long, value_name = "FILE")]
    pub(crate) log_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// One JSON object per line
    Json,
}
