//! What `--input` and `--dir` stand for: which files of this machine the task gets, and where.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use haggle_core::grants::SCRATCH;
use haggle_core::spec::INPUTS_MAX;
use haggle_sources::{NotASource, Source};

use crate::args::Contradiction;
use crate::args::values::OpenFolder;

/// Folders within folders. Deeper is a loop of links, or nothing that a person made.
const DEPTH_MAX: usize = 64;

/// Why the inputs cannot be given.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    #[error("{flag} {}: {source}", path.display())]
    Unreadable { flag: &'static str, path: PathBuf, source: io::Error },
    #[error("{flag} {}: is neither a file nor a folder", path.display())]
    Neither { flag: &'static str, path: PathBuf },
    #[error("--dir {}: is not a folder; --input gives a file", path.display())]
    NoFolder { path: PathBuf },
    #[error("--input {}: has no file in it", path.display())]
    Empty { path: PathBuf },
    #[error("{flag} {}: its name is not UTF-8, which guest paths are", path.display())]
    Name { flag: &'static str, path: PathBuf },
    #[error("{flag} {}: more than {DEPTH_MAX} folders within each other", path.display())]
    Deep { flag: &'static str, path: PathBuf },
    #[error("{flag}: a task is given {INPUTS_MAX} files and empty folders at most; give an archive, or fewer")]
    Many { flag: &'static str },
    #[error(transparent)]
    Contradiction(#[from] Contradiction),
    #[error("--input: {0}")]
    Source(#[from] NotASource),
}

/// What the task finds at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The content of this file.
    File(PathBuf),
    /// This text.
    Text(String),
    /// What is there, which is fetched by the master.
    Remote(Source),
    /// A folder with nothing in it.
    EmptyFolder,
}

/// What the task gets, by the path under which it finds it.
#[derive(Default)]
pub(crate) struct Inputs {
    pub(crate) found: BTreeMap<String, Found>,
    /// What the folders of `--dir` are called, and where in the scratch folder their copies are.
    pub(crate) copies: Vec<(String, String)>,
    /// What the files of the copies take.
    pub(crate) copied: u64,
}

impl Inputs {
    /// Looks at everything that was named. A folder stands for every file below it, and a folder of `--dir` for the
    /// empty folders below it as well.
    ///
    /// # Errors
    /// When one is not there or not readable, or when two cannot both be there for the guest.
    pub(crate) fn of(inputs: &[(String, PathBuf)], dirs: &[OpenFolder]) -> Result<Self, InputError> {
        let mut all = Self::default();
        for (guest, host) in inputs {
            let before = all.found.len();
            if let Some(text) = host.to_str().filter(|text| Source::is_meant(text)) {
                Walk::inputs("--input", &mut all).add(guest.clone(), Found::Remote(text.parse()?))?;
                continue;
            }
            Walk::inputs("--input", &mut all).visit(guest.clone(), host, 0)?;
            if all.found.len() == before {
                return Err(InputError::Empty { path: host.clone() });
            }
        }
        for (number, dir) in dirs.iter().enumerate() {
            // A name that no input of the task's own takes by accident.
            let name = format!("dir-{number}");
            let unreadable = |source| InputError::Unreadable { flag: "--dir", path: dir.host.clone(), source };
            if !fs::metadata(&dir.host).map_err(unreadable)?.is_dir() {
                return Err(InputError::NoFolder { path: dir.host.clone() });
            }
            let mut walk = Walk { flag: "--dir", keeps_empty: true, judge: None, into: &mut all };
            walk.visit(format!("{SCRATCH}/{name}"), &dir.host, 0)?;
            all.copies.push((dir.guest.clone(), name));
        }
        Ok(all)
    }

    /// Whether everything can be there at once, beside a script of this path.
    ///
    /// # Errors
    /// When two exclude each other.
    pub(crate) fn check(&self, script: Option<&str>) -> Result<(), InputError> {
        if let Some(script) = script.filter(|script| self.found.contains_key(*script)) {
            return Err(Contradiction::ScriptTwice(script.to_owned()).into());
        }
        for below in self.found.keys().map(String::as_str).chain(script) {
            for (at, _) in below.match_indices('/').skip(1) {
                let file = &below[..at];
                if self.found.contains_key(file) || script == Some(file) {
                    return Err(Contradiction::FileAndFolder { file: file.to_owned(), below: below.to_owned() }.into());
                }
            }
        }
        Ok(())
    }
}

/// A way through the folders that one flag names.
pub(super) struct Walk<'a> {
    flag: &'static str,
    keeps_empty: bool,
    /// Says which files and folders are taken. Without it, all are.
    pub(super) judge: Option<&'a mut dyn FnMut(&Path) -> bool>,
    into: &'a mut Inputs,
}

impl<'a> Walk<'a> {
    /// For files that a task reads.
    pub(super) fn inputs(flag: &'static str, into: &'a mut Inputs) -> Self {
        Self { flag, keeps_empty: false, judge: None, into }
    }

    /// # Errors
    /// When something is there that cannot be given, or is given already.
    pub(super) fn visit(&mut self, guest: String, host: &Path, depth: usize) -> Result<(), InputError> {
        let flag = self.flag;
        let unreadable = |source| InputError::Unreadable { flag, path: host.into(), source };
        if self.judge.as_mut().is_some_and(|judge| !judge(host)) {
            return Ok(());
        }
        if depth > DEPTH_MAX {
            return Err(InputError::Deep { flag, path: host.into() });
        }
        let metadata = fs::metadata(host).map_err(unreadable)?;
        if metadata.is_dir() {
            let mut is_empty = true;
            for entry in fs::read_dir(host).map_err(unreadable)? {
                is_empty = false;
                let path = entry.map_err(unreadable)?.path();
                let name = path.file_name().and_then(|name| name.to_str());
                let name = name.ok_or_else(|| InputError::Name { flag, path: path.clone() })?;
                self.visit(format!("{guest}/{name}"), &path, depth + 1)?;
            }
            return if is_empty && self.keeps_empty { self.add(guest, Found::EmptyFolder) } else { Ok(()) };
        }
        if !metadata.is_file() {
            return Err(InputError::Neither { flag, path: host.into() });
        }
        // Found out now rather than after the module was built and the cluster is up.
        fs::File::open(host).map_err(unreadable)?;
        self.into.copied += if self.keeps_empty { metadata.len() } else { 0 };
        self.add(guest, Found::File(host.into()))
    }

    /// # Errors
    /// When there are too many, or something is there already.
    pub(super) fn add(&mut self, guest: String, found: Found) -> Result<(), InputError> {
        if self.into.found.len() == INPUTS_MAX {
            return Err(InputError::Many { flag: self.flag });
        }
        match self.into.found.insert(guest.clone(), found) {
            Some(_) => Err(Contradiction::Twice { flag: self.flag.into(), name: guest }.into()),
            None => Ok(()),
        }
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

    fn inputs(inputs: &[(&str, &Path)]) -> Result<Inputs, InputError> {
        let named: Vec<_> = inputs.iter().map(|&(guest, host)| (guest.to_string(), host.to_path_buf())).collect();
        let inputs = Inputs::of(&named, &[])?;
        inputs.check(None).map(|()| inputs)
    }

    fn dir(host: &Path, guest: &str) -> OpenFolder {
        OpenFolder { host: host.into(), guest: guest.into() }
    }

    #[test]
    fn a_folder_is_every_file_below_it() {
        let texts = folder(&["one", "deep/er/two"]);

        let inputs = inputs(&[("/data", texts.path())]).unwrap();

        let guest: Vec<_> = inputs.found.keys().collect();
        assert_eq!(guest, ["/data/deep/er/two", "/data/one"]);
        assert_eq!(inputs.found["/data/one"], Found::File(texts.path().join("one")));
    }

    #[test]
    fn a_guest_path_is_given_once() {
        let texts = folder(&["one"]);
        let one = texts.path().join("one");

        let error = inputs(&[("/data", texts.path()), ("/data/one", &one)]).map(drop).unwrap_err();

        assert_eq!(error.to_string(), "--input names \"/data/one\" twice; once is wanted");
    }

    #[test]
    fn nothing_lies_below_a_file() {
        let texts = folder(&["one"]);
        let one = texts.path().join("one");

        let error = inputs(&[("/data", &one), ("/data/one", &one)]).map(drop).unwrap_err();

        assert!(error.to_string().starts_with("the inputs /data and /data/one exclude each other"), "{error}");
    }

    #[test]
    fn a_script_has_its_place_for_itself() {
        let texts = folder(&["one"]);
        let inputs = inputs(&[("/script", texts.path())]).unwrap();
        let beside = |script| inputs.check(Some(script)).map_err(|error| error.to_string());

        assert_eq!(beside("/script/job.py"), Ok(()));
        assert!(beside("/script/one").unwrap_err().contains("is the script"));
        assert!(beside("/script/one/job.py").unwrap_err().contains("exclude each other"));
        assert!(beside("/script").unwrap_err().contains("exclude each other"));
    }

    #[test]
    fn an_input_that_is_not_there_or_empty_is_refused() {
        let empty = folder(&[]);

        assert!(matches!(inputs(&[("/a", Path::new("no/such"))]), Err(InputError::Unreadable { .. })));
        assert!(matches!(inputs(&[("/a", empty.path())]), Err(InputError::Empty { .. })));
    }

    #[test]
    fn a_folder_to_work_on_is_copied_into_the_scratch_folder_with_its_empty_folders() {
        let work = folder(&["one", "deep/two"]);
        fs::create_dir_all(work.path().join("empty/er")).unwrap();
        let empty = folder(&[]);

        let inputs = Inputs::of(&[], &[dir(work.path(), "/"), dir(empty.path(), "out")]).unwrap();

        let guest: Vec<_> =
            inputs.found.iter().map(|(path, found)| (path.as_str(), *found == Found::EmptyFolder)).collect();
        assert_eq!(
            guest,
            [
                ("/scratch/dir-0/deep/two", false),
                ("/scratch/dir-0/empty/er", true),
                ("/scratch/dir-0/one", false),
                ("/scratch/dir-1", true),
            ]
        );
        assert_eq!(inputs.copied, "one".len() as u64 + "deep/two".len() as u64);
        assert_eq!(inputs.copies, [("/".into(), "dir-0".into()), ("out".into(), "dir-1".into())]);
    }

    #[test]
    fn what_is_to_be_worked_on_is_a_folder() {
        let texts = folder(&["one"]);
        let of = |path: &Path| Inputs::of(&[], &[dir(path, "/")]).map(drop).unwrap_err();

        assert!(matches!(of(&texts.path().join("one")), InputError::NoFolder { .. }));
        assert!(of(&texts.path().join("nosuch")).to_string().starts_with("--dir "));
    }
}
