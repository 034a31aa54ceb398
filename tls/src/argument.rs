//! Secrets on a command line: the flag names a file or standard input, so that no list of processes shows them.

use std::fs::File;
use std::io::{self, Read, stdin};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Above every token. A file that is longer is another one.
const SECRET_MAX: u64 = 64 << 10;

/// The secret that a flag or a variable of the environment gives: `@FILE` is what that file holds, `-` what standard
/// input holds, anything else itself. Without the blanks around it.
///
/// # Errors
/// When the file or standard input cannot be read, is empty, or holds more than 64 KiB.
pub fn secret_argument(given: &str) -> Result<Zeroizing<String>, ArgumentError> {
    let secret = if let Some(path) = given.strip_prefix('@') {
        let path = Path::new(path);
        let of_file = |source| ArgumentError::File { path: path.to_owned(), source };
        let file = File::open(path).map_err(of_file)?;
        warn_when_shared(path, &file);
        read(file).map_err(of_file)?
    } else if given == "-" {
        read(stdin().lock()).map_err(ArgumentError::Stdin)?
    } else {
        Zeroizing::new(given.to_owned())
    };
    match secret.trim() {
        "" => Err(ArgumentError::Empty),
        trimmed => Ok(Zeroizing::new(trimmed.to_owned())),
    }
}

fn read(from: impl Read) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    let length = from.take(SECRET_MAX + 1).read_to_string(&mut text)?;
    if length as u64 > SECRET_MAX {
        return Err(io::Error::other("it holds more than 64 KiB, which no token does"));
    }
    Ok(text)
}

#[cfg(unix)]
fn warn_when_shared(path: &Path, file: &File) {
    use std::os::unix::fs::PermissionsExt;
    if let Ok(metadata) = file.metadata()
        && metadata.is_file()
        && metadata.permissions().mode() & 0o077 != 0
    {
        let path = path.display();
        tracing::warn!("{path} holds a secret, and others on this machine may read it: chmod 600 {path}");
    }
}

#[cfg(not(unix))]
fn warn_when_shared(_: &Path, _: &File) {}

/// Why a flag gives no secret.
#[derive(Debug, thiserror::Error)]
pub enum ArgumentError {
    /// The file is not there, or cannot be read.
    #[error("cannot read the secret in {}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Standard input cannot be read.
    #[error("cannot read the secret from standard input: {0}")]
    Stdin(io::Error),
    /// There is nothing in it.
    #[error("the secret is empty")]
    Empty,
}

#[cfg(test)]
mod tests {
    use std::fs::write;

    use super::*;

    #[test]
    fn a_secret_is_given_itself_or_by_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        write(&path, "  hgl1.abc\n").unwrap();

        let named = secret_argument(&format!("@{}", path.display())).unwrap();

        assert_eq!(*named, "hgl1.abc");
        assert_eq!(*secret_argument("hgl1.abc").unwrap(), "hgl1.abc");
    }

    #[test]
    fn an_empty_file_or_one_that_is_too_long_gives_none() {
        let folder = tempfile::tempdir().unwrap();
        let (empty, long) = (folder.path().join("empty"), folder.path().join("long"));
        write(&empty, "\n").unwrap();
        write(&long, vec![b'a'; 70_000]).unwrap();

        assert!(matches!(secret_argument(&format!("@{}", empty.display())), Err(ArgumentError::Empty)));
        assert!(matches!(secret_argument(&format!("@{}", long.display())), Err(ArgumentError::File { .. })));
    }
}
