//! What a master remembers over restarts: an embedded store with one writer.

mod row;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use haggle_core::cluster::{Change, Recovered};
use haggle_core::{AgentId, FrameworkId, Now};
use redb::backends::InMemoryBackend;
use redb::{Database, DatabaseError, ReadableTable, StorageBackend, TableDefinition};

pub use row::BadRow;

/// The layout below. A registry of a later version is not touched.
const VERSION: u64 = 1;

/// Pages kept in memory, in bytes. A few thousand agents fit, and rows are read at start only.
const CACHE: usize = 1 << 20;

/// Numbers by name: [`VERSION_KEY`], [`LAST_AGENT`], [`LAST_FRAMEWORK`], [`CLOCK`].
const NUMBERS: TableDefinition<&str, u64> = TableDefinition::new("numbers");
/// Agents admitted and not removed, by id.
const AGENTS: TableDefinition<u64, &[u8]> = TableDefinition::new("agents");
/// Frameworks subscribed and not removed, by id.
const FRAMEWORKS: TableDefinition<u64, &[u8]> = TableDefinition::new("frameworks");

const VERSION_KEY: &str = "version";
/// The highest number ever given; ids are never used twice.
const LAST_AGENT: &str = "last-agent";
const LAST_FRAMEWORK: &str = "last-framework";
/// The cluster's time at the last write, in nanoseconds.
const CLOCK: &str = "clock";

/// Why the registry cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
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
    /// The store below fails.
    #[error("the registry {} cannot be used: {source}", file.display())]
    Store {
        /// Which file.
        file: PathBuf,
        /// Why not.
        source: Box<redb::Error>,
    },
}

/// The registry, open for writing. Nobody else can open it meanwhile.
#[derive(Debug)]
pub(crate) struct Registry {
    database: Database,
    file: PathBuf,
}

impl Registry {
    /// Opens the registry in `folder`, which is made if need be, and reads what it remembers. Without a folder
    /// it lives in memory, and remembers nothing.
    ///
    /// # Errors
    /// When the folder cannot be used, another master has it, or it is of a later version.
    pub(crate) fn open(folder: Option<&Path>) -> Result<(Self, Recovered, Now), RegistryError> {
        let registry = match folder {
            Some(folder) => Self::open_in(folder)?,
            None => Self::open_on(InMemoryBackend::new())?,
        };
        let (recovered, clock) = registry.recover()?;
        Ok((registry, recovered, clock))
    }

    /// A registry on something that is no file.
    pub(crate) fn open_on(backend: impl StorageBackend) -> Result<Self, RegistryError> {
        let file = PathBuf::from("(not in a file)");
        match Database::builder().set_cache_size(CACHE).create_with_backend(backend) {
            Ok(database) => Ok(Self { database, file }),
            Err(source) => Err(store_error(&file, source)),
        }
    }

    /// Makes `changes`, and the time `now`, durable in one transaction.
    ///
    /// # Errors
    /// When the disk fails or is full. Nothing was changed then.
    pub(crate) fn write<'a>(
        &self,
        now: Now,
        changes: impl IntoIterator<Item = &'a Change>,
    ) -> Result<(), RegistryError> {
        self.try_write(now, &mut changes.into_iter()).map_err(|source| store_error(&self.file, source))
    }

    fn open_in(folder: &Path) -> Result<Self, RegistryError> {
        let unusable = |source| RegistryError::Folder { folder: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(unusable)?;
        let file = folder.join("registry.redb");
        match Database::builder().set_cache_size(CACHE).create(&file) {
            Ok(database) => Ok(Self { database, file }),
            Err(DatabaseError::DatabaseAlreadyOpen) => Err(RegistryError::Locked(folder.to_owned())),
            Err(DatabaseError::Storage(redb::StorageError::Io(source)))
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                Err(unusable(source))
            }
            Err(source) => Err(store_error(&file, source)),
        }
    }

    fn recover(&self) -> Result<(Recovered, Now), RegistryError> {
        let rows = self.read_all().map_err(|source| store_error(&self.file, source))?;
        if rows.version > VERSION {
            return Err(RegistryError::Newer { file: self.file.clone(), found: rows.version });
        }
        let bad =
            |whose: String| move |source| RegistryError::Row { file: self.file.clone(), whose: whose.clone(), source };
        let agents = rows.agents.iter().map(|(id, row)| {
            let id = AgentId(*id);
            row::read_agent(row).map(|info| (id, info)).map_err(bad(id.to_string()))
        });
        let frameworks = rows.frameworks.iter().map(|(id, row)| {
            let id = FrameworkId(*id);
            row::read_framework(row).map(|info| (id, info)).map_err(bad(id.to_string()))
        });
        let recovered = Recovered {
            agents: agents.collect::<Result<_, _>>()?,
            frameworks: frameworks.collect::<Result<_, _>>()?,
            last_agent: rows.last_agent,
            last_framework: rows.last_framework,
        };
        Ok((recovered, Now::from_nanos(rows.clock)))
    }

    fn read_all(&self) -> Result<Rows, redb::Error> {
        let transaction = self.database.begin_write()?;
        let rows = {
            let mut numbers = transaction.open_table(NUMBERS)?;
            let number = |name| -> Result<u64, redb::Error> { Ok(numbers.get(name)?.map_or(0, |value| value.value())) };
            let (version, clock) = (number(VERSION_KEY)?, number(CLOCK)?);
            let (last_agent, last_framework) = (number(LAST_AGENT)?, number(LAST_FRAMEWORK)?);
            if version > VERSION {
                return Ok(Rows { version, ..Rows::default() });
            }
            numbers.insert(VERSION_KEY, VERSION)?;
            let agents = copy_rows(&transaction.open_table(AGENTS)?)?;
            let frameworks = copy_rows(&transaction.open_table(FRAMEWORKS)?)?;
            Rows { version, clock, last_agent, last_framework, agents, frameworks }
        };
        transaction.commit()?;
        Ok(rows)
    }

    fn try_write(&self, now: Now, changes: &mut dyn Iterator<Item = &Change>) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        {
            let mut numbers = transaction.open_table(NUMBERS)?;
            let mut agents = transaction.open_table(AGENTS)?;
            let mut frameworks = transaction.open_table(FRAMEWORKS)?;
            numbers.insert(CLOCK, now.as_nanos())?;
            for change in changes {
                match change {
                    Change::AgentAdmitted(id, info) => {
                        agents.insert(id.0, row::write_agent(info).as_slice())?;
                        raise(&mut numbers, LAST_AGENT, id.0)?;
                    }
                    Change::AgentRemoved(id) => {
                        agents.remove(id.0)?;
                    }
                    Change::FrameworkSubscribed(id, info) => {
                        frameworks.insert(id.0, row::write_framework(info).as_slice())?;
                        raise(&mut numbers, LAST_FRAMEWORK, id.0)?;
                    }
                    Change::FrameworkRemoved(id) => {
                        frameworks.remove(id.0)?;
                    }
                }
            }
        }
        transaction.commit()?;
        Ok(())
    }
}

#[derive(Default)]
struct Rows {
    version: u64,
    clock: u64,
    last_agent: u64,
    last_framework: u64,
    agents: Vec<(u64, Vec<u8>)>,
    frameworks: Vec<(u64, Vec<u8>)>,
}

fn copy_rows(table: &impl ReadableTable<u64, &'static [u8]>) -> Result<Vec<(u64, Vec<u8>)>, redb::Error> {
    table
        .iter()?
        .map(|row| {
            let (id, bytes) = row?;
            Ok((id.value(), bytes.value().to_vec()))
        })
        .collect()
}

fn raise(numbers: &mut redb::Table<'_, &'static str, u64>, name: &'static str, to: u64) -> Result<(), redb::Error> {
    let before = numbers.get(name)?.map_or(0, |value| value.value());
    numbers.insert(name, before.max(to))?;
    Ok(())
}

fn store_error(file: &Path, source: impl Into<redb::Error>) -> RegistryError {
    RegistryError::Store { file: file.to_owned(), source: Box::new(source.into()) }
}

#[cfg(test)]
mod tests;
