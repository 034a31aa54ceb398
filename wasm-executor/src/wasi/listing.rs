//! What the host holds for a list of the names in a folder.

use std::fs::File;
use std::io;

#[cfg(unix)]
use rustix::fs::{Mode, OFlags};

/// Names of one list. More take the host longer than it may be away from a guest's limits: some 20 ms.
const NAMES_MAX: u64 = 1 << 14;

/// What a name costs beside its bytes.
const NAME: u64 = 128;

/// Bytes that the list of this folder takes.
///
/// # Errors
/// When the folder cannot be read, or has too many names.
#[cfg(unix)]
pub(super) fn bytes_of(folder: &File) -> io::Result<u64> {
    let (mut names, mut bytes) = (0, 0);
    // The folder itself may be open as a mere path, from which nothing can be read.
    let opened = rustix::fs::openat(folder, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    for entry in rustix::fs::Dir::new(opened)? {
        names += 1;
        bytes += NAME + entry?.file_name().count_bytes() as u64;
        if names > NAMES_MAX + 2 {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
    }
    Ok(bytes)
}

/// Elsewhere nothing tells but the list itself: it counts as that of a large folder.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "it can fail on other systems")]
pub(super) fn bytes_of(_: &File) -> io::Result<u64> {
    Ok(NAMES_MAX / 16 * NAME)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_list_takes_its_names_and_a_folder_may_have_too_many() {
        let folder = tempfile::tempdir().unwrap();
        let opened = File::open(folder.path()).unwrap();
        let empty = bytes_of(&opened).unwrap();
        for number in 0..10 {
            File::create(folder.path().join(format!("file-{number}"))).unwrap();
        }

        assert_eq!(bytes_of(&opened).unwrap(), empty + 10 * (NAME + 6));

        for number in 0..NAMES_MAX {
            File::create(folder.path().join(format!("{number}"))).unwrap();
        }
        assert!(bytes_of(&opened).is_err());
    }
}
