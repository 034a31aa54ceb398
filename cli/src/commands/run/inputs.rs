//! What `--input` stands for: which files of this machine the task reads, and where.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::args::Contradiction;

/// Files that one task may be given. Each is named in the launch, which has room for a few times as many.
const FILES_MAX: usize = 10_000;

/// Folders within folders. Deeper is a loop of links, or nothing that a person made.
const DEPTH_MAX: usize = 64;

/// Why the inputs cannot be given.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    #[error("--input {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("--input {}: is neither a file nor a folder", path.display())]
    Neither { path: PathBuf },
    #[error("--input {}: has no file in it", path.display())]
    Empty { path: PathBuf },
    #[error("--input {}: its name is not UTF-8, which guest paths are", path.display())]
    Name { path: PathBuf },
    #[error("--input {}: more than {DEPTH_MAX} folders within each other", path.display())]
    Deep { path: PathBuf },
    #[error("--input: more than {FILES_MAX} files; give an archive, or fewer")]
    Many,
    #[error(transparent)]
    Contradiction(#[from] Contradiction),
}

/// The files by the path under which the guest sees them. A folder stands for every file below it.
///
/// # Errors
/// When one is not there or not readable, or when two cannot both be there for the guest.
pub(crate) fn expand(inputs: &[(String, PathBuf)]) -> Result<BTreeMap<String, PathBuf>, InputError> {
    let mut files = BTreeMap::new();
    for (guest, host) in inputs {
        let before = files.len();
        walk(guest.clone(), host, 0, &mut files)?;
        if files.len() == before {
            return Err(InputError::Empty { path: host.clone() });
        }
    }
    for below in files.keys() {
        for (at, _) in below.match_indices('/').skip(1) {
            if files.contains_key(&below[..at]) {
                let file = below[..at].to_string();
                return Err(Contradiction::FileAndFolder { file, below: below.clone() }.into());
            }
        }
    }
    Ok(files)
}

fn walk(guest: String, host: &Path, depth: usize, files: &mut BTreeMap<String, PathBuf>) -> Result<(), InputError> {
    let unreadable = |source| InputError::Unreadable { path: host.into(), source };
    if depth > DEPTH_MAX {
        return Err(InputError::Deep { path: host.into() });
    }
    let metadata = fs::metadata(host).map_err(unreadable)?;
    if metadata.is_dir() {
        for entry in fs::read_dir(host).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let name = name.ok_or_else(|| InputError::Name { path: path.clone() })?;
            walk(format!("{guest}/{name}"), &path, depth + 1, files)?;
        }
        return Ok(());
    }
    if !metadata.is_file() {
        return Err(InputError::Neither { path: host.into() });
    }
    // Found out now rather than after the module was built and the cluster is up.
    fs::File::open(host).map_err(unreadable)?;
    if files.len() == FILES_MAX {
        return Err(InputError::Many);
    }
    match files.insert(guest.clone(), host.into()) {
        Some(_) => Err(Contradiction::Twice { flag: "--input".into(), name: guest }.into()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        folder
    }

    #[test]
    fn a_folder_is_every_file_below_it() {
        let texts = folder(&["one", "deep/er/two"]);

        let files = expand(&[("/data".into(), texts.path().into())]).unwrap();

        let guest: Vec<_> = files.keys().collect();
        assert_eq!(guest, ["/data/deep/er/two", "/data/one"]);
        assert_eq!(fs::read(&files["/data/one"]).unwrap(), b"one");
    }

    #[test]
    fn a_guest_path_is_given_once() {
        let texts = folder(&["one"]);
        let one = texts.path().join("one");

        let error = expand(&[("/data".into(), texts.path().into()), ("/data/one".into(), one)]).unwrap_err();

        assert_eq!(error.to_string(), "--input names \"/data/one\" twice; once is wanted");
    }

    #[test]
    fn nothing_lies_below_a_file() {
        let texts = folder(&["one"]);
        let one = texts.path().join("one");

        let error = expand(&[("/data".into(), one.clone()), ("/data/one".into(), one)]).unwrap_err();

        assert!(error.to_string().starts_with("the inputs /data and /data/one exclude each other"), "{error}");
    }

    #[test]
    fn an_input_that_is_not_there_or_empty_is_refused() {
        let empty = folder(&[]);

        assert!(matches!(expand(&[("/a".into(), "no/such".into())]), Err(InputError::Unreadable { .. })));
        assert!(matches!(expand(&[("/a".into(), empty.path().into())]), Err(InputError::Empty { .. })));
    }
}
