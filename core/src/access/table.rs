//! The one table of who may do what.

use core::fmt;

use super::principal::Kind;

/// How far somebody may do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// To whatever there is.
    All,
    /// To what is its own: an agent to itself, a framework to what its principal has subscribed, uploaded or launched,
    /// a viewer to what is of its roles.
    Own,
    /// To nothing.
    No,
}

use Right::{All, No, Own};

/// The kinds, in the order of the columns.
const KINDS: [&str; 7] = ["owner", "operator", "framework", "viewer", "agent", "join token", "master"];

macro_rules! table {
    ($($name:ident $rpc:literal $what:literal $rights:expr;)*) => {
        /// One thing that can be asked of a master: a call, or something that is said on a session.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Verb { $(#[doc = concat!("To ", $what, ".")] $name,)* }

        impl Verb {
            /// Every one, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The call that it is, as `Service/Method`; `None` when it is said on a session, or is none of `haggle.v1`.
            pub const fn rpc(self) -> Option<&'static str> {
                let rpc = match self { $(Self::$name => $rpc,)* };
                if rpc.is_empty() { None } else { Some(rpc) }
            }

            /// Its name in the audit.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            const fn what(self) -> &'static str {
                match self { $(Self::$name => $what,)* }
            }

            const fn rights(self) -> [Right; KINDS.len()] {
                match self { $(Self::$name => $rights,)* }
            }
        }
    };
}

table! {
    // Agents                                                      owner oper. fram. view. agent join  master
    AgentSession   "Agents/Session"      "open an agent's session"      [All, No,  No,  No,  Own, No,  No];
    Register       ""                    "register as an agent"         [All, No,  No,  No,  Own, No,  No];
    Report         ""                    "tell how tasks stand"         [All, No,  No,  No,  Own, No,  No];
    Drain          ""                    "have an agent drain"          [All, No,  No,  No,  Own, No,  No];
    Leave          ""                    "have an agent leave"          [All, No,  No,  No,  Own, No,  No];
    // Frameworks
    FrameworkSession "Frameworks/Session" "open a framework's session"  [All, All, Own, No,  No,  No,  No];
    SchedulerCall  ""                    "call as a scheduler of Mesos" [All, All, Own, No,  No,  No,  No];
    Subscribe      ""                    "subscribe as a framework"     [All, All, Own, No,  No,  No,  No];
    Launch         ""                    "launch tasks"                 [All, All, Own, No,  No,  No,  No];
    Decline        ""                    "decline offers"               [All, All, Own, No,  No,  No,  No];
    Revive         ""                    "ask for offers again"         [All, All, Own, No,  No,  No,  No];
    Suppress       ""                    "ask for no offers"            [All, All, Own, No,  No,  No,  No];
    Demand         ""                    "say what it wants"            [All, All, Own, No,  No,  No,  No];
    ReserveOffered ""                    "reserve what it is offered"   [All, All, Own, No,  No,  No,  No];
    UnreserveOffered ""                  "unreserve what it is offered" [All, All, Own, No,  No,  No,  No];
    CreateOffered  ""                    "make volumes of what it is offered" [All, All, Own, No, No, No, No];
    DestroyOffered ""                    "destroy volumes that it is offered" [All, All, Own, No, No, No, No];
    ShareOffered   ""                    "share volumes that it is offered" [All, All, Own, No, No,  No,  No];
    AnswerInverse  ""                    "answer inverse offers"        [All, All, Own, No,  No,  No,  No];
    Kill           ""                    "kill as a framework"          [All, All, Own, No,  No,  No,  No];
    Acknowledge    ""                    "acknowledge updates"          [All, All, Own, No,  No,  No,  No];
    Reconcile      ""                    "ask where tasks stand"        [All, All, Own, No,  No,  No,  No];
    UpdateFramework ""                   "change what a framework is"   [All, All, Own, No,  No,  No,  No];
    Teardown       ""                    "tear a framework down"        [All, All, Own, No,  No,  No,  No];
    // Artifacts. What an agent's tasks name is not known to the master after a failover, so an agent shows what it was
    // given with the launch.
    Upload         "Artifacts/Upload"    "upload artifacts"             [All, All, Own, No,  No,  No,  No];
    Download       "Artifacts/Download"  "download artifacts"           [All, All, Own, No,  Own, No,  No];
    Stat           "Artifacts/Stat"      "ask for artifacts"            [All, All, Own, No,  Own, No,  No];
    Pull           "Artifacts/Pull"      "have artifacts fetched"       [All, All, Own, No,  No,  No,  No];
    ListKept       "Artifacts/ListKept"  "list what artifacts are kept" [All, All, Own, No,  No,  No,  No];
    RemoveArtifact "Artifacts/Remove"    "remove artifacts"             [All, All, No,  No,  No,  No,  No];
    Collect        "Artifacts/Collect"   "collect unused artifacts"     [All, All, No,  No,  No,  No,  No];
    // Operators
    GetMaster      "Operator/GetMaster"  "ask what the master is"       [All, All, All, All, All, No,  No];
    WhoAmI         "Operator/WhoAmI"     "ask who it is"                [All, All, All, All, All, No,  No];
    ListAgents     "Operator/ListAgents" "list agents"                  [All, All, Own, Own, No,  No,  No];
    ListFrameworks "Operator/ListFrameworks" "list frameworks"          [All, All, Own, Own, No,  No,  No];
    ListRoles      "Operator/ListRoles"  "list roles"                   [All, All, Own, Own, No,  No,  No];
    ListOffers     "Operator/ListOffers" "list offers"                  [All, All, Own, Own, No,  No,  No];
    ListVolumes    "Operator/ListVolumes" "list volumes"                [All, All, Own, Own, No,  No,  No];
    ListTasks      "Operator/ListTasks"  "list tasks"                   [All, All, Own, Own, No,  No,  No];
    Watch          "Operator/Watch"      "watch what happens"           [All, All, Own, Own, No,  No,  No];
    ReadLog        "Operator/ReadLog"    "read the output of tasks"     [All, All, Own, Own, No,  No,  No];
    ListLimits     "Operator/ListLimits" "list limits"                  [All, All, Own, Own, Own, No,  No];
    Why            "Operator/Why"        "ask why something waits"      [All, All, Own, Own, No,  No,  No];
    ReadMetrics    ""                    "read metrics"                 [All, All, No,  Own, No,  No,  No];
    ReadAudit      ""                    "read the audit"               [All, All, No,  No,  No,  No,  No];
    SetWeight      "Operator/SetWeight"  "set weights of roles"         [All, All, No,  No,  No,  No,  No];
    SetQuota       "Operator/SetQuota"   "set quotas of roles"          [All, All, No,  No,  No,  No,  No];
    Reserve        "Operator/Reserve"    "reserve for roles"            [All, All, No,  No,  No,  No,  No];
    Unreserve      "Operator/Unreserve"  "end reservations"             [All, All, No,  No,  No,  No,  No];
    CreateVolume   "Operator/CreateVolume" "make volumes"               [All, All, No,  No,  No,  No,  No];
    DestroyVolume  "Operator/DestroyVolume" "destroy volumes"           [All, All, No,  No,  No,  No,  No];
    ShareVolume    "Operator/ShareVolume" "share volumes"               [All, All, No,  No,  No,  No,  No];
    SetPlacement   "Operator/SetPlacement" "choose how agents are chosen for roles" [All, All, No, No, No, No, No];
    SetMinAllocatable "Operator/SetMinAllocatable" "set the least that roles are offered" [All, All, No, No, No, No, No];
    KillTask       "Operator/KillTask"   "kill tasks"                   [All, All, Own, No,  No,  No,  No];
    RunAgain       "Operator/RunAgain"   "run tasks again"              [All, All, Own, No,  No,  No,  No];
    MarkAgentGone  "Operator/MarkAgentGone" "declare agents gone"       [All, All, No,  No,  No,  No,  No];
    RemoveAgent    "Operator/RemoveAgent" "remove agents"               [All, All, No,  No,  No,  No,  No];
    DeactivateAgent "Operator/DeactivateAgent" "deactivate agents"      [All, All, No,  No,  No,  No,  No];
    DrainAgent     "Operator/DrainAgent" "drain agents"                 [All, All, No,  No,  No,  No,  No];
    ReactivateAgent "Operator/ReactivateAgent" "reactivate agents"      [All, All, No,  No,  No,  No,  No];
    Schedule       "Operator/ScheduleMaintenance" "schedule maintenance" [All, All, No, No,  No,  No,  No];
    CancelMaintenance "Operator/CancelMaintenance" "cancel maintenance" [All, All, No,  No,  No,  No,  No];
    ListMaintenance "Operator/ListMaintenance" "list maintenance"       [All, All, No,  No,  No,  No,  No];
    CreateToken    "Operator/CreateToken" "create tokens"               [All, All, No,  No,  No,  No,  No];
    ListTokens     "Operator/ListTokens" "list tokens"                  [All, All, No,  No,  No,  No,  No];
    RevokeToken    "Operator/RevokeToken" "revoke tokens"               [All, All, No,  No,  No,  No,  No];
    // The authority by which masters and agents know each other. Whoever comes by a token says which one it believes.
    ShowAuthority  "Operator/ShowAuthority" "see the authority"         [All, All, No,  No,  No,  No,  No];
    RotateAuthority "Operator/RotateAuthority" "change the authority"   [All, All, No,  No,  No,  No,  No];
    FinishRotation "Operator/FinishRotation" "end the former authority" [All, All, No,  No,  No,  No,  No];
    FollowAuthority "Operator/FollowAuthority" "follow the authority"   [No,  Own, Own, Own, No,  No,  No];
    // Joining. A renewal is signed by the key of the certificate that it renews, and needs nothing else.
    Enroll         "Join/Enroll"         "join as a new agent"          [No,  No,  No,  No,  No,  Own, No];
    Renew          "Join/Renew"          "renew a certificate"          [All, All, All, All, All, All, All];
    // Between masters
    Keep           "Masters/Keep"        "have artifacts kept"          [No,  No,  No,  No,  No,  No,  All];
    Fetch          "Masters/Fetch"       "fetch artifacts"              [No,  No,  No,  No,  No,  No,  All];
    ListArtifacts  "Masters/ListArtifacts" "list artifacts"             [No,  No,  No,  No,  No,  No,  All];
    Forget         "Masters/Forget"      "have artifacts forgotten"     [No,  No,  No,  No,  No,  No,  All];
}

/// How far somebody of a kind may do something.
pub const fn right(kind: &Kind, verb: Verb) -> Right {
    let column = match kind {
        Kind::Owner => 0,
        Kind::Operator => 1,
        Kind::Framework(_) => 2,
        Kind::Viewer(_) => 3,
        Kind::Agent(_) => 4,
        Kind::Joiner => 5,
        Kind::Master => 6,
    };
    verb.rights()[column]
}

impl Verb {
    /// Where metrics are read.
    pub const METRICS: &str = "/metrics";

    /// Which verb a call is, by its path: `/haggle.v1.Service/Method`.
    pub fn of_path(path: &str) -> Option<Self> {
        let rpc = path.strip_prefix("/haggle.v1.")?;
        Self::ALL.iter().copied().find(|verb| verb.rpc() == Some(rpc))
    }

    /// Whether it needs no principal at all.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Renew)
    }

    /// Whether it changes something: every one of these is in the audit. What is said on a session is told there once,
    /// when the session begins.
    pub const fn changes(self) -> bool {
        matches!(
            self,
            Self::AgentSession
                | Self::FrameworkSession
                | Self::Upload
                | Self::Pull
                | Self::RemoveArtifact
                | Self::Collect
                | Self::KillTask
                | Self::RunAgain
                | Self::MarkAgentGone
                | Self::RemoveAgent
                | Self::DeactivateAgent
                | Self::DrainAgent
                | Self::ReactivateAgent
                | Self::Schedule
                | Self::CancelMaintenance
                | Self::SetWeight
                | Self::SetQuota
                | Self::Reserve
                | Self::Unreserve
                | Self::CreateVolume
                | Self::DestroyVolume
                | Self::ShareVolume
                | Self::SetPlacement
                | Self::SetMinAllocatable
                | Self::CreateToken
                | Self::RevokeToken
                | Self::RotateAuthority
                | Self::FinishRotation
                | Self::FollowAuthority
                | Self::Enroll
                | Self::Renew
                | Self::Keep
                | Self::Forget
        )
    }

    /// The kinds that may do it, be it to their own alone.
    pub fn who_may(self) -> impl Iterator<Item = &'static str> {
        KINDS.into_iter().zip(self.rights()).filter(|(_, right)| *right != No).map(|(kind, _)| kind)
    }

    /// The table as text, one verb a line, as the documents show it.
    pub fn print_table(out: &mut impl fmt::Write) -> fmt::Result {
        write!(out, "{:<18}", "")?;
        for kind in KINDS {
            write!(out, "{kind:<11}")?;
        }
        writeln!(out, "may")?;
        for verb in Self::ALL {
            write!(out, "{:<18}", verb.name())?;
            for right in verb.rights() {
                let word = match right {
                    All => "all",
                    Own => "own",
                    No => "-",
                };
                write!(out, "{word:<11}")?;
            }
            writeln!(out, "{verb}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what())
    }
}
