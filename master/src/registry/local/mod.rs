//! The registry of one master alone: an embedded store in its state folder, with one writer.

mod disk;
#[cfg(test)]
pub(crate) mod tests;

use std::convert::identity;
use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use haggle_core::access::TokenId;
use haggle_core::cluster::{Change, Recovered};
use haggle_core::{AgentId, ClusterId, Epoch, FrameworkId, MaintenanceId, Now};
use haggle_tls::PrivateFolder;
use redb::backends::FileBackend;
use redb::{Database, DatabaseError, ReadableTable, StorageBackend, TableDefinition, WriteTransaction};

use super::{BadRow, Registry, RegistryError, row};
use disk::Disk;

/// The layout below. A registry of a later version is not touched. In version 1 there were no keys of agents, no
/// cluster and no epochs; before version 3 nobody had a principal, a token or a certificate; before version 4 no role had
/// a quota; before version 5 none had a placement or a least offer, no agent was drained and none in maintenance; before version 6
/// no framework had several roles and nothing was reserved, which an older master would not keep. They are read, and become
/// version 6.
const VERSION: u64 = 6;

/// Pages kept in memory, in bytes. A few thousand agents fit, and rows are read at start only.
const CACHE: usize = 1 << 20;

/// Numbers by name: [`VERSION_KEY`], [`LAST_AGENT`], [`LAST_FRAMEWORK`],
/// [`LAST_MAINTENANCE`], [`CLOCK`], [`EPOCH`].
const NUMBERS: TableDefinition<&str, u64> = TableDefinition::new("numbers");
/// The one cluster that this is the registry of, under the key 0.
const CLUSTER: TableDefinition<u64, u128> = TableDefinition::new("cluster");
/// Agents admitted and not removed, by id.
const AGENTS: TableDefinition<u64, &[u8]> = TableDefinition::new("agents");
/// Frameworks subscribed and not removed, by id.
const FRAMEWORKS: TableDefinition<u64, &[u8]> = TableDefinition::new("frameworks");

/// Agents' ids that are kept for whoever holds their certificates, by id.
const ENROLLED: TableDefinition<u64, &[u8]> = TableDefinition::new("enrolled");
/// Tokens, by id.
const TOKENS: TableDefinition<u64, &[u8]> = TableDefinition::new("tokens");
/// What operators have decided of roles, by path.
const ROLES: TableDefinition<&str, &[u8]> = TableDefinition::new("roles");

/// Agents that take no tasks, by id.
const WITHDRAWN: TableDefinition<u64, &[u8]> = TableDefinition::new("withdrawn");
/// Maintenance windows that are under way or to come, by number.
const MAINTENANCE: TableDefinition<u64, &[u8]> = TableDefinition::new("maintenance");

const VERSION_KEY: &str = "version";
/// The highest number ever given; ids are never used twice.
const LAST_AGENT: &str = "last-agent";
const LAST_FRAMEWORK: &str = "last-framework";
const LAST_MAINTENANCE: &str = "last-maintenance";
/// The cluster's time at the last write, in nanoseconds.
const CLOCK: &str = "clock";
/// Of the last master that led.
const EPOCH: &str = "epoch";

/// Why the registry cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The folder cannot be made or written.
    #[error("cannot keep the registry in {}: {source}", folder.display())]
    Folder {
        /// Which folder.
        folder: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another master has it.
    #[error("{} belongs to another running master; stop that one, or use another folder", .0.display())]
    Locked(PathBuf),
    /// Another master had it while this one waited for room.
    #[error("another master led with {} meanwhile, as {found}; this one is {own}", file.display())]
    Superseded {
        /// Which file.
        file: PathBuf,
        /// The other's.
        found: Epoch,
        /// This one's.
        own: Epoch,
    },
    /// It was written by a later version.
    #[error("{} is a registry of version {found}, this master knows {VERSION}: run a newer one", file.display())]
    Newer {
        /// Which file.
        file: PathBuf,
        /// Its version.
        found: u64,
    },
    /// A row of it cannot be read.
    #[error("{}: the row of {whose} cannot be read: {source}", file.display())]
    Row {
        /// Which file.
        file: PathBuf,
        /// Whose row.
        whose: String,
        /// Why not.
        source: BadRow,
    },
    /// The system gives no random bits for the cluster's id.
    #[error("cannot draw an id for the cluster: {0}")]
    Random(getrandom::Error),
    /// The store below fails.
    #[error("the registry {} cannot be used: {source}", file.display())]
    Store {
        /// Which file.
        file: PathBuf,
        /// Why not.
        source: Box<redb::Error>,
    },
}

impl LocalError {
    /// Whether it lacks room, and nothing else.
    pub(super) fn is_full(&self) -> bool {
        let full =
            |error: &io::Error| matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        match self {
            Self::Folder { source, .. } => full(source),
            Self::Store { source, .. } => matches!(source.as_ref(), redb::Error::Io(error) if full(error)),
            _ => false,
        }
    }
}

/// Opens the store; more than once, for it must be opened again after a write that failed.
type Open = Box<dyn Fn() -> Result<Database, LocalError> + Send>;

/// The registry, open for writing. Nobody else can open it meanwhile.
pub(crate) struct LocalRegistry {
    open: Open,
    /// For messages.
    file: PathBuf,
    /// `None` before the first use and after a write that failed.
    database: Option<Database>,
    /// Of this master; [`Epoch`] 0 before it leads.
    epoch: Epoch,
}

impl LocalRegistry {
    /// The registry in `folder`, which is made if need be.
    pub(crate) fn new(folder: &Path) -> Self {
        let folder = folder.to_owned();
        let file = folder.join("registry.redb");
        let open = {
            let file = file.clone();
            move || open_file(&folder, &file)
        };
        Self { open: Box::new(open), file, database: None, epoch: Epoch::default() }
    }

    /// The open store. When it was closed while this master led, nobody else may have led meanwhile.
    fn database(&mut self) -> Result<&Database, LocalError> {
        if self.database.is_none() {
            let database = (self.open)()?;
            if self.epoch != Epoch::default() {
                let found = read_epoch(&database).map_err(|source| store_error(&self.file, source))?;
                if found != self.epoch {
                    return Err(LocalError::Superseded { file: self.file.clone(), found, own: self.epoch });
                }
            }
            self.database = Some(database);
        }
        Ok(self.database.as_ref().expect("it was opened above"))
    }

    /// After a failure the store takes nothing until it is opened again.
    fn closed_on_failure<T>(&mut self, outcome: Result<T, LocalError>) -> Result<T, RegistryError> {
        if outcome.is_err() {
            self.database = None;
        }
        Ok(outcome?)
    }

    fn try_recover(&mut self) -> Result<(Recovered, Now), LocalError> {
        let file = self.file.clone();
        let database = self.database()?;
        let rows = lead(database, &file)?;
        let recovered = Recovered {
            cluster: rows.cluster,
            epoch: rows.epoch,
            agents: read_rows(&rows.agents, AgentId, row::read_agent, &file)?,
            frameworks: read_rows(&rows.frameworks, FrameworkId, row::read_framework, &file)?,
            enrolled: read_rows(&rows.enrolled, AgentId, row::read_enrolment, &file)?,
            tokens: read_rows(&rows.tokens, TokenId, row::read_token, &file)?,
            roles: read_rows(&rows.roles, identity, row::read_role, &file)?,
            withdrawn: read_rows(&rows.withdrawn, AgentId, row::read_withdrawal, &file)?,
            maintenance: read_rows(&rows.maintenance, MaintenanceId, row::read_maintenance, &file)?,
            last_agent: rows.last_agent,
            last_framework: rows.last_framework,
            last_maintenance: rows.last_maintenance,
        };
        self.epoch = recovered.epoch;
        Ok((recovered, Now::from_nanos(rows.clock)))
    }

    fn try_write(&mut self, now: Now, changes: &[&Change]) -> Result<(), LocalError> {
        let file = self.file.clone();
        write(self.database()?, now, changes).map_err(|source| store_error(&file, source))
    }
}

impl Registry for LocalRegistry {
    fn recover(&mut self) -> Result<(Recovered, Now), RegistryError> {
        let outcome = self.try_recover();
        self.closed_on_failure(outcome)
    }

    fn write(&mut self, now: Now, changes: &[&Change]) -> Result<(), RegistryError> {
        let outcome = self.try_write(now, changes);
        self.closed_on_failure(outcome)
    }
}

fn open_file(folder: &Path, file: &Path) -> Result<Database, LocalError> {
    let unusable = |source| LocalError::Folder { folder: folder.to_owned(), source };
    PrivateFolder::make(folder).map_err(unusable)?;
    let opened = private(file).map_err(unusable)?;
    let open = || open_on(FileBackend::new(opened)?);
    open().map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => LocalError::Locked(folder.to_owned()),
        source => store_error(file, source),
    })
}

/// A file that nobody but this user can read, whoever made it.
fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
        let file = options.mode(0o600).open(path)?;
        if file.metadata()?.permissions().mode() & 0o077 != 0 {
            file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        }
        Ok(file)
    }
    #[cfg(not(unix))]
    options.open(path)
}

fn open_on(backend: impl StorageBackend) -> Result<Database, DatabaseError> {
    Database::builder().set_cache_size(CACHE).create_with_backend(Disk(backend))
}

fn read_epoch(database: &Database) -> Result<Epoch, redb::Error> {
    read_number(&database.begin_write()?, EPOCH).map(Epoch)
}

/// Everything that is remembered, under the next epoch: read and counted up in one transaction.
fn lead(database: &Database, file: &Path) -> Result<Rows, LocalError> {
    let failed = |source: redb::Error| store_error(file, source);
    let transaction = database.begin_write().map_err(|source| store_error(file, source))?;
    let found = read_number(&transaction, VERSION_KEY).map_err(failed)?;
    if found > VERSION {
        return Err(LocalError::Newer { file: file.to_owned(), found });
    }
    let rows = read_all(&transaction).map_err(failed)?;
    let cluster = if rows.cluster == ClusterId::default() { draw_cluster()? } else { rows.cluster };
    let rows = Rows { cluster, epoch: Epoch(rows.epoch.0 + 1), ..rows };
    let remember = || -> Result<(), redb::Error> {
        {
            let mut numbers = transaction.open_table(NUMBERS)?;
            numbers.insert(VERSION_KEY, VERSION)?;
            numbers.insert(EPOCH, rows.epoch.0)?;
            transaction.open_table(CLUSTER)?.insert(0, cluster.0)?;
        }
        Ok(transaction.commit()?)
    };
    remember().map_err(failed)?;
    Ok(rows)
}

/// An id for a cluster that is new.
pub(super) fn draw_cluster() -> Result<ClusterId, LocalError> {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits).map_err(LocalError::Random)?;
    Ok(ClusterId(u128::from_be_bytes(bits)))
}

struct Rows {
    cluster: ClusterId,
    epoch: Epoch,
    clock: u64,
    last_agent: u64,
    last_framework: u64,
    last_maintenance: u64,
    agents: Vec<(u64, Vec<u8>)>,
    frameworks: Vec<(u64, Vec<u8>)>,
    enrolled: Vec<(u64, Vec<u8>)>,
    tokens: Vec<(u64, Vec<u8>)>,
    roles: Vec<(String, Vec<u8>)>,
    withdrawn: Vec<(u64, Vec<u8>)>,
    maintenance: Vec<(u64, Vec<u8>)>,
}

fn read_all(transaction: &WriteTransaction) -> Result<Rows, redb::Error> {
    let numbers = transaction.open_table(NUMBERS)?;
    let cluster = transaction.open_table(CLUSTER)?.get(0)?.map_or(0, |id| id.value());
    Ok(Rows {
        cluster: ClusterId(cluster),
        epoch: Epoch(number(&numbers, EPOCH)?),
        clock: number(&numbers, CLOCK)?,
        last_agent: number(&numbers, LAST_AGENT)?,
        last_framework: number(&numbers, LAST_FRAMEWORK)?,
        last_maintenance: number(&numbers, LAST_MAINTENANCE)?,
        agents: copy_rows(&transaction.open_table(AGENTS)?, identity)?,
        frameworks: copy_rows(&transaction.open_table(FRAMEWORKS)?, identity)?,
        enrolled: copy_rows(&transaction.open_table(ENROLLED)?, identity)?,
        tokens: copy_rows(&transaction.open_table(TOKENS)?, identity)?,
        roles: copy_rows(&transaction.open_table(ROLES)?, str::to_owned)?,
        withdrawn: copy_rows(&transaction.open_table(WITHDRAWN)?, identity)?,
        maintenance: copy_rows(&transaction.open_table(MAINTENANCE)?, identity)?,
    })
}

/// Rows with their ids.
fn read_rows<Key: Clone, Id: Display, Row>(
    rows: &[(Key, Vec<u8>)],
    id: fn(Key) -> Id,
    read: fn(&[u8]) -> Result<Row, BadRow>,
    file: &Path,
) -> Result<Vec<(Id, Row)>, LocalError> {
    let one = |(key, row): &(Key, Vec<u8>)| {
        let id = id(key.clone());
        match read(row) {
            Ok(row) => Ok((id, row)),
            Err(source) => Err(LocalError::Row { file: file.to_owned(), whose: id.to_string(), source }),
        }
    };
    rows.iter().map(one).collect()
}

fn write(database: &Database, now: Now, changes: &[&Change]) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut numbers = transaction.open_table(NUMBERS)?;
        let mut agents = transaction.open_table(AGENTS)?;
        let mut frameworks = transaction.open_table(FRAMEWORKS)?;
        let mut enrolled = transaction.open_table(ENROLLED)?;
        let mut tokens = transaction.open_table(TOKENS)?;
        let mut roles = transaction.open_table(ROLES)?;
        let mut withdrawn = transaction.open_table(WITHDRAWN)?;
        let mut maintenance = transaction.open_table(MAINTENANCE)?;
        numbers.insert(CLOCK, now.as_nanos())?;
        for change in changes {
            match change {
                Change::AgentRecorded(id, agent) => {
                    agents.insert(id.0, row::write_agent(agent).as_slice())?;
                    raise(&mut numbers, LAST_AGENT, id.0)?;
                }
                Change::AgentRemoved(id) => {
                    agents.remove(id.0)?;
                }
                Change::FrameworkSubscribed(id, framework) => {
                    frameworks.insert(id.0, row::write_framework(framework).as_slice())?;
                    raise(&mut numbers, LAST_FRAMEWORK, id.0)?;
                }
                Change::FrameworkRemoved(id) => {
                    frameworks.remove(id.0)?;
                }
                Change::AgentEnrolled(id, enrolment) => {
                    enrolled.insert(id.0, row::write_enrolment(enrolment).as_slice())?;
                    raise(&mut numbers, LAST_AGENT, id.0)?;
                }
                Change::EnrolmentEnded(id) => {
                    enrolled.remove(id.0)?;
                }
                Change::TokenRecorded(id, token) => {
                    tokens.insert(id.0, row::write_token(token).as_slice())?;
                }
                Change::TokenRemoved(id) => {
                    tokens.remove(id.0)?;
                }
                Change::RoleRecorded(role, record) if record.is_default() => {
                    roles.remove(role.as_str())?;
                }
                Change::RoleRecorded(role, record) => {
                    roles.insert(role.as_str(), row::write_role(record).as_slice())?;
                }
                Change::AgentWithdrawn(id, withdrawal) => {
                    withdrawn.insert(id.0, row::write_withdrawal(withdrawal).as_slice())?;
                }
                Change::AgentReactivated(id) => {
                    withdrawn.remove(id.0)?;
                }
                Change::MaintenanceRecorded(id, window) => {
                    maintenance.insert(id.0, row::write_maintenance(window).as_slice())?;
                    raise(&mut numbers, LAST_MAINTENANCE, id.0)?;
                }
                Change::MaintenanceEnded(id) => {
                    maintenance.remove(id.0)?;
                }
            }
        }
    }
    transaction.commit()?;
    Ok(())
}

fn read_number(transaction: &WriteTransaction, name: &str) -> Result<u64, redb::Error> {
    number(&transaction.open_table(NUMBERS)?, name)
}

fn number(numbers: &impl ReadableTable<&'static str, u64>, name: &str) -> Result<u64, redb::Error> {
    Ok(numbers.get(name)?.map_or(0, |value| value.value()))
}

fn copy_rows<K: redb::Key + 'static, Own>(
    table: &impl ReadableTable<K, &'static [u8]>,
    own: impl for<'a> Fn(K::SelfType<'a>) -> Own,
) -> Result<Vec<(Own, Vec<u8>)>, redb::Error> {
    table
        .iter()?
        .map(|row| {
            let (key, bytes) = row?;
            Ok((own(key.value()), bytes.value().to_vec()))
        })
        .collect()
}

fn raise(numbers: &mut redb::Table<'_, &'static str, u64>, name: &'static str, to: u64) -> Result<(), redb::Error> {
    let before = number(numbers, name)?;
    numbers.insert(name, before.max(to))?;
    Ok(())
}

fn store_error(file: &Path, source: impl Into<redb::Error>) -> LocalError {
    LocalError::Store { file: file.to_owned(), source: Box::new(source.into()) }
}
