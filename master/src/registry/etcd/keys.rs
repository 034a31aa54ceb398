//! The keys that there are.

/// The names of everything that is kept, all below one prefix.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    prefix: String,
}

impl Keys {
    pub(crate) fn below(prefix: &str) -> Self {
        Self { prefix: prefix.trim_end_matches('/').to_owned() }
    }

    /// The URL of the master that leads, under its lease. Whose create revision is that of this key may write.
    pub(crate) fn leader(&self) -> String {
        self.key("leader")
    }

    /// The URLs of all masters that are up, each under its lease.
    pub(crate) fn masters(&self) -> String {
        self.key("masters/")
    }

    pub(crate) fn master(&self, lease: i64) -> String {
        self.key(&format!("masters/{lease:016x}"))
    }

    /// Where those are that are up: a line for each address, under the same leases.
    pub(crate) fn addresses(&self) -> String {
        self.key("addresses/")
    }

    pub(crate) fn addresses_of(&self, lease: i64) -> String {
        self.key(&format!("addresses/{lease:016x}"))
    }

    /// By which tokens the users come that run those masters: ids and hashes, under the same leases.
    pub(crate) fn owners(&self) -> String {
        self.key("owners/")
    }

    pub(crate) fn owner_of(&self, lease: i64) -> String {
        self.key(&format!("owners/{lease:016x}"))
    }

    /// The authorities of the cluster, sealed with a key that is not here.
    pub(super) fn authority(&self) -> String {
        self.key("authority")
    }

    /// The layout of what is below.
    pub(super) fn version(&self) -> String {
        self.key("version")
    }

    /// Which cluster this is, in 32 hexadecimal digits.
    pub(super) fn cluster(&self) -> String {
        self.key("cluster")
    }

    /// That of the master that leads or led last.
    pub(super) fn epoch(&self) -> String {
        self.key("epoch")
    }

    /// Which transaction was the last: epoch and number. Each is conditional on the one before, so that none is done
    /// twice, however often it is sent.
    pub(super) fn batch(&self) -> String {
        self.key("batch")
    }

    /// The cluster's time at the last write, in nanoseconds.
    pub(super) fn clock(&self) -> String {
        self.key("clock")
    }

    /// The highest numbers ever given.
    pub(super) fn last_agent(&self) -> String {
        self.key("last-agent")
    }

    pub(super) fn last_framework(&self) -> String {
        self.key("last-framework")
    }

    pub(super) fn last_maintenance(&self) -> String {
        self.key("last-maintenance")
    }

    pub(super) fn agents(&self) -> String {
        self.key("agents/")
    }

    pub(super) fn agent(&self, id: u64) -> String {
        self.key(&format!("agents/{id:020}"))
    }

    pub(super) fn frameworks(&self) -> String {
        self.key("frameworks/")
    }

    pub(super) fn framework(&self, id: u64) -> String {
        self.key(&format!("frameworks/{id:020}"))
    }

    pub(super) fn enrolled(&self) -> String {
        self.key("enrolled/")
    }

    pub(super) fn enrolment(&self, id: u64) -> String {
        self.key(&format!("enrolled/{id:020}"))
    }

    pub(super) fn tokens(&self) -> String {
        self.key("tokens/")
    }

    pub(super) fn token(&self, id: u64) -> String {
        self.key(&format!("tokens/{id:020}"))
    }

    pub(super) fn roles(&self) -> String {
        self.key("roles/")
    }

    pub(super) fn role(&self, path: &str) -> String {
        self.key(&format!("roles/{path}"))
    }

    pub(super) fn withdrawn(&self) -> String {
        self.key("withdrawn/")
    }

    pub(super) fn withdrawal(&self, id: u64) -> String {
        self.key(&format!("withdrawn/{id:020}"))
    }

    pub(super) fn maintenance(&self) -> String {
        self.key("maintenance/")
    }

    pub(super) fn window(&self, id: u64) -> String {
        self.key(&format!("maintenance/{id:020}"))
    }

    /// What the masters know each other by, in 64 hexadecimal digits.
    pub(super) fn secret(&self) -> String {
        self.key("secret")
    }

    fn key(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix)
    }
}
