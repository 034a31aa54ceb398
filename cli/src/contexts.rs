//! The clusters that this user is logged in to, in one file that nobody else can read.

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use haggle_tls::{PrivateFolder, Token, TokenError};
use tempfile::NamedTempFile;
use toml_edit::{DocumentMut, Item, Table, value};

use crate::cache;

/// A cluster, and who this user is there.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) token: Token,
    /// Where the masters are, if not where the token says.
    pub(crate) master: Option<String>,
}

/// Everything that the file holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contexts {
    pub(crate) current: Option<String>,
    pub(crate) named: BTreeMap<String, Context>,
}

/// Why contexts cannot be had or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContextError {
    #[error("there is no folder to keep contexts in: neither XDG_CONFIG_HOME nor HOME is an absolute path")]
    NoFolder,
    #[error("{path} cannot be read: {source}", path = path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{path} cannot be written: {source}", path = path.display())]
    Unwritable { path: PathBuf, source: io::Error },
    #[error("{path} is not what `haggle login` writes: {what}; mend it, or remove it and log in again", path = path.display())]
    Malformed { path: PathBuf, what: String },
    #[error("there is no context {name:?}{}", there(.known))]
    Unknown { name: String, known: Vec<String> },
    #[error("{0:?} is no name of a context: it has 1 to 64 letters, digits, dots, dashes and underscores")]
    BadName(String),
}

fn there(known: &[String]) -> String {
    match known {
        [] => "; `haggle login TOKEN` makes the first".to_owned(),
        known => format!("; there is {}", known.join(", ")),
    }
}

/// `$XDG_CONFIG_HOME/haggle/contexts.toml`, else the same in `~/.config`, or in `%APPDATA%` on Windows.
///
/// # Errors
/// For a user without a home.
pub(crate) fn file() -> Result<PathBuf, ContextError> {
    let app_data =
        || env::var_os("APPDATA").map(|all| Path::new(&all).join("haggle")).filter(|path| path.is_absolute());
    let folder = cache::user_folder("XDG_CONFIG_HOME", ".config").or_else(app_data);
    Ok(folder.ok_or(ContextError::NoFolder)?.join("contexts.toml"))
}

/// A name that a context may have.
///
/// # Errors
/// When it is none.
pub(crate) fn check_name(name: &str) -> Result<(), ContextError> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_');
    let good = (1..=64).contains(&name.len()) && name.chars().all(plain);
    if good { Ok(()) } else { Err(ContextError::BadName(name.to_owned())) }
}

impl Contexts {
    /// What is in the file; nothing when there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn read(path: &Path) -> Result<Self, ContextError> {
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&text).map_err(|what| ContextError::Malformed { path: path.to_owned(), what }),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(Self::default()),
            Err(source) => Err(ContextError::Unreadable { path: path.to_owned(), source }),
        }
    }

    /// Changes the file. Two commands that do so at once do it one after the other; who reads meanwhile finds the file as
    /// it was or as it is.
    ///
    /// # Errors
    /// When it cannot be read or written, or `change` fails: then it stays as it was.
    pub(crate) fn change<T>(
        path: &Path,
        change: impl FnOnce(&mut Self) -> Result<T, ContextError>,
    ) -> Result<T, ContextError> {
        let unwritable = |source| ContextError::Unwritable { path: path.to_owned(), source };
        let folder = path.parent().unwrap_or(Path::new("."));
        PrivateFolder::make(folder).map_err(unwritable)?;
        let lock = File::create(folder.join("contexts.lock")).map_err(unwritable)?;
        lock.lock().map_err(unwritable)?;
        let mut contexts = Self::read(path)?;
        let changed = change(&mut contexts)?;
        contexts.write(path, folder).map_err(unwritable)?;
        Ok(changed)
    }

    /// # Errors
    /// When there is none of this name.
    pub(crate) fn get(&self, name: &str) -> Result<&Context, ContextError> {
        self.named.get(name).ok_or_else(|| self.unknown(name))
    }

    /// The one that is used when nothing else is said, with its name.
    ///
    /// # Errors
    /// When the file names one that it does not hold.
    pub(crate) fn current(&self) -> Result<Option<(&str, &Context)>, ContextError> {
        self.current.as_deref().map(|name| Ok((name, self.get(name)?))).transpose()
    }

    /// Uses this one when nothing else is said.
    ///
    /// # Errors
    /// When there is none of this name.
    pub(crate) fn choose(&mut self, name: &str) -> Result<(), ContextError> {
        self.get(name)?;
        self.current = Some(name.to_owned());
        Ok(())
    }

    /// Forgets one.
    ///
    /// # Errors
    /// When there is none of this name.
    pub(crate) fn remove(&mut self, name: &str) -> Result<(), ContextError> {
        if self.named.remove(name).is_none() {
            return Err(self.unknown(name));
        }
        self.current.take_if(|current| current == name);
        Ok(())
    }

    /// A name for a cluster whose first master is at `host`: the same as before for a cluster that is known, and never
    /// that of another one.
    pub(crate) fn name_for(&self, host: &str, token: &Token) -> String {
        let plain = |letter: char| if letter.is_ascii_alphanumeric() || letter == '.' { letter } else { '-' };
        let base: String = host.chars().take(48).map(plain).collect();
        // With a dash in front it would be taken for a flag.
        let base = base.trim_matches('-');
        let base = if base.is_empty() { "cluster".to_owned() } else { base.to_owned() };
        let is_free = |name: &String| self.named.get(name).is_none_or(|other| other.token.cluster == token.cluster);
        let numbered = (2_u64..).map(|number| format!("{base}-{number}"));
        std::iter::once(base.clone()).chain(numbered).find(is_free).expect("numbers have no end")
    }

    fn unknown(&self, name: &str) -> ContextError {
        ContextError::Unknown { name: name.to_owned(), known: self.named.keys().cloned().collect() }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| error.message().to_owned())?;
        let current = document.get("current").map(|current| string("current", current)).transpose()?;
        let mut named = BTreeMap::new();
        if let Some(contexts) = document.get("contexts") {
            for (name, context) in contexts.as_table_like().ok_or("contexts is no table")?.iter() {
                let field = |field: &str| {
                    let of = format!("{field} of context {name}");
                    context.get(field).map(|item| string(&of, item)).transpose()
                };
                let token = field("token")?.ok_or_else(|| format!("context {name} has no token"))?;
                let token = token.parse().map_err(|error: TokenError| format!("context {name}: {error}"))?;
                named.insert(name.to_owned(), Context { token, master: field("master")? });
            }
        }
        Ok(Self { current, named })
    }

    fn write(&self, path: &Path, folder: &Path) -> io::Result<()> {
        // Only its owner can read a temporary file, and it keeps that when it is renamed.
        let mut file = NamedTempFile::with_prefix_in("contexts-", folder)?;
        file.write_all(self.to_string().as_bytes())?;
        file.as_file().sync_all()?;
        haggle_tls::replace_file(file, path)?;
        sync_folder(folder)
    }
}

/// As the file has it, secrets and all.
impl fmt::Display for Contexts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut document = DocumentMut::new();
        if let Some(current) = &self.current {
            document["current"] = value(current);
        }
        let mut contexts = Table::new();
        contexts.set_implicit(true);
        for (name, context) in &self.named {
            let mut table = Table::new();
            table["token"] = value(context.token.text().as_str());
            if let Some(master) = &context.master {
                table["master"] = value(master);
            }
            contexts.insert(name, Item::Table(table));
        }
        document["contexts"] = Item::Table(contexts);
        write!(f, "# Written by `haggle login` and `haggle context`. The tokens in it are secrets.\n{document}")
    }
}

fn string(field: &str, item: &Item) -> Result<String, String> {
    item.as_str().map(str::to_owned).ok_or_else(|| format!("{field} is not a string"))
}

/// A file's name is safe only once its folder is.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// This system writes names down by itself.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::{Duration, SystemTime};

    use haggle_core::ClusterId;
    use haggle_tls::{Fingerprint, Secret, TokenId, TokenKind};

    use super::*;

    pub(crate) fn token(cluster: u128, host: &str) -> Token {
        Token {
            kind: TokenKind::Operator,
            cluster: ClusterId(cluster),
            addresses: vec![format!("{host}:5050")],
            authority: Some(Fingerprint([7; 32])),
            id: TokenId([1; 8]),
            secret: Secret::random(),
            expires: SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 32),
        }
    }

    pub(crate) fn contexts(names: &[&str]) -> Contexts {
        let context = |name: &&str| ((*name).to_owned(), Context { token: token(1, name), master: None });
        Contexts { current: None, named: names.iter().map(context).collect() }
    }

    fn place() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("haggle/contexts.toml");
        (dir, path)
    }

    #[test]
    fn what_is_written_is_read() {
        let (_dir, path) = place();
        let mut wanted = contexts(&["one", "two.example"]);
        wanted.named.get_mut("one").unwrap().master = Some("10.0.0.1:5050".to_owned());

        Contexts::change(&path, |contexts| {
            contexts.named = wanted.named.clone();
            contexts.choose("one")
        })
        .unwrap();

        let read = Contexts::read(&path).unwrap();
        assert_eq!(read.current.as_deref(), Some("one"));
        for (name, context) in &wanted.named {
            assert_eq!((&read.named[name].token, &read.named[name].master), (&context.token, &context.master));
        }
    }

    #[test]
    fn without_a_file_there_are_no_contexts() {
        let (_dir, path) = place();

        let contexts = Contexts::read(&path).unwrap();

        assert!(contexts.named.is_empty() && contexts.current().unwrap().is_none());
        assert_eq!(
            contexts.get("a").unwrap_err().to_string(),
            "there is no context \"a\"; `haggle login TOKEN` makes the first"
        );
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_read_the_file() {
        use std::os::unix::fs::PermissionsExt;
        let (_dir, path) = place();

        Contexts::change(&path, |_| Ok(())).unwrap();

        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    }

    #[test]
    fn a_change_that_fails_leaves_the_file_as_it_was() {
        let (_dir, path) = place();
        Contexts::change(&path, |contexts| {
            contexts.named = self::contexts(&["one"]).named;
            Ok(())
        })
        .unwrap();
        let before = fs::read(&path).unwrap();

        Contexts::change(&path, |contexts| {
            contexts.named.clear();
            contexts.choose("two")
        })
        .unwrap_err();

        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[test]
    fn the_current_one_is_no_longer_that_when_it_is_removed() {
        let mut contexts = contexts(&["one", "two"]);
        contexts.choose("one").unwrap();

        contexts.remove("one").unwrap();

        assert!(contexts.current().unwrap().is_none());
        assert_eq!(contexts.remove("one").unwrap_err().to_string(), "there is no context \"one\"; there is two");
    }

    #[test]
    fn a_context_is_named_after_its_host_and_never_takes_the_place_of_another_cluster() {
        let mut contexts = contexts(&["host"]);

        assert_eq!(contexts.name_for("host", &token(1, "x")), "host");
        assert_eq!(contexts.name_for("host", &token(2, "x")), "host-2");
        contexts.named.insert("host-2".to_owned(), Context { token: token(3, "x"), master: None });
        assert_eq!(contexts.name_for("host", &token(2, "x")), "host-3");
        assert_eq!(contexts.name_for("[fd00::1]", &token(2, "x")), "fd00--1");
    }

    #[test]
    fn a_file_of_somebody_elses_is_named_with_what_is_wrong() {
        let (_dir, path) = place();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        for (text, wrong) in [
            ("current = 3", "current is not a string"),
            ("contexts = 3", "contexts is no table"),
            ("[contexts.a]", "context a has no token"),
            ("[contexts.a]\ntoken = \"x\"", "context a: this is no token"),
            ("[contexts", "is not what `haggle login` writes"),
        ] {
            fs::write(&path, text).unwrap();
            let said = Contexts::read(&path).unwrap_err().to_string();
            assert!(said.contains(wrong) && said.contains("contexts.toml"), "{said}");
        }
    }

    #[test]
    fn names_are_plain() {
        for good in ["a", "host.example", "10.0.0.1", "a_b-c"] {
            check_name(good).unwrap();
        }
        for bad in ["", "a b", "a/b", "\u{1b}[2J", &"x".repeat(65)] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }
}
