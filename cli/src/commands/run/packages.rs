//! Packages for a Python script: what `--with` and `--requirements` stand for.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use haggle_sdk::Language;
use serde::Deserialize;
use tempfile::TempDir;

use super::inputs::{Found, InputError, Inputs, Walk};
use crate::runtime::{Pip, PipError};

/// Where a task finds its packages: each folder and each wheel in a folder with a number of its own.
const FOLDER: &str = "/packages";

/// Says where each of them is from. A task is given folders that files lie in, and no others: without a file in this one it
/// would find the packages, and not the folders that they lie in.
const ORIGINS: &str = "/packages/origins";

/// What Python calls the folders and archives in which it looks for modules, and what is between them.
pub(super) const VARIABLE: &str = "PYTHONPATH";
pub(super) const SEPARATOR: &str = ":";

/// The Python that packages are chosen for.
const PYTHON_VERSION: &str = "3.12";

const WITH: &str = "--with";
const REQUIREMENTS: &str = "--requirements";

/// Why packages cannot be given.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PackageError {
    #[error("{flag} is for Python scripts, and this is none")]
    NotPython { flag: &'static str },
    #[error("--with {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("--with {}: is neither a folder nor a wheel (.whl)", path.display())]
    Neither { path: PathBuf },
    #[error("--with {}: is not a wheel: wanted an archive that begins with PK", path.display())]
    NotAWheel { path: PathBuf },
    #[error(
        "{flag}: {} is for {platform}: it may have native code, which does not run in a sandbox; wanted pure Python \
         (py3-none-any)",
        path.display()
    )]
    NativeWheel { flag: &'static str, path: PathBuf, platform: String },
    #[error("--with: {} is native code, which does not run in a sandbox; wanted pure Python", path.display())]
    NativeFile { path: PathBuf },
    #[error("--requirements {}: {source}", path.display())]
    NoRequirements { path: PathBuf, source: io::Error },
    #[error(
        "--requirements {}: {} native code, which does not run in a sandbox; wanted pure Python (py3-none-any)",
        path.display(),
        listed(names)
    )]
    NativePackages { path: PathBuf, names: Vec<String> },
    #[error("--requirements {}: {why}", path.display())]
    Unresolved { path: PathBuf, why: PipError },
    #[error("cannot make a temporary folder: {0}")]
    TemporaryFolder(io::Error),
    #[error(transparent)]
    Input(#[from] InputError),
}

fn listed(names: &[String]) -> String {
    format!("{} {}", names.join(", "), if names.len() == 1 { "has" } else { "have" })
}

/// Packages, found on this machine.
#[derive(Default)]
pub(super) struct Packages {
    /// Where the task finds them, for [`VARIABLE`].
    pub(super) path: Vec<String>,
    /// A line for each folder and wheel that was named.
    origins: String,
    /// What pip fetched; there for as long as it may have to be read.
    _fetched: Option<TempDir>,
}

impl Packages {
    /// Looks at everything that was named, and adds it to the inputs. Fetches what the requirements list.
    ///
    /// # Errors
    /// When something is not there, has native code, or is not for this language.
    pub(super) fn of(
        language: Option<Language>,
        with: &[PathBuf],
        requirements: Option<&Path>,
        quiet: bool,
        inputs: &mut Inputs,
    ) -> Result<Self, PackageError> {
        let flag = if with.is_empty() { requirements.map(|_| REQUIREMENTS) } else { Some(WITH) };
        if let Some(flag) = flag
            && language != Some(Language::Python)
        {
            return Err(PackageError::NotPython { flag });
        }
        let mut packages = Self::default();
        for path in with {
            packages.add(WITH, path, inputs)?;
        }
        if let Some(requirements) = requirements {
            let fetched = fetch(requirements, quiet)?;
            packages.add(REQUIREMENTS, fetched.path(), inputs)?;
            packages._fetched = Some(fetched);
        }
        if !packages.path.is_empty() {
            Walk::inputs(WITH, inputs).add(ORIGINS.to_owned(), Found::Text(packages.origins.clone()))?;
        }
        Ok(packages)
    }

    fn add(&mut self, flag: &'static str, path: &Path, inputs: &mut Inputs) -> Result<(), PackageError> {
        let unreadable = |source| PackageError::Unreadable { path: path.into(), source };
        let guest = format!("{FOLDER}/{}", self.path.len());
        self.origins += &format!("{guest} {flag} {}\n", path.display());
        let metadata = fs::metadata(path).map_err(unreadable)?;
        if metadata.is_file() {
            if !is_wheel(path) {
                return Err(PackageError::Neither { path: path.into() });
            }
            check_wheel(flag, path)?;
            let guest = format!("{guest}/{}", path.file_name().unwrap_or_default().to_string_lossy());
            self.path.push(guest.clone());
            return Ok(Walk::inputs(flag, inputs).visit(guest, path, 0)?);
        }
        if !metadata.is_dir() {
            return Err(PackageError::Neither { path: path.into() });
        }
        let mut wheels = Vec::new();
        for entry in fs::read_dir(path).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if is_wheel(&path) {
                check_wheel(flag, &path)?;
                wheels.push(format!("{guest}/{}", path.file_name().unwrap_or_default().to_string_lossy()));
            }
        }
        wheels.sort_unstable();
        self.path.push(guest.clone());
        self.path.append(&mut wheels);
        // A package itself is found by its name, which is that of its folder.
        let is_package = path.join("__init__.py").is_file();
        let name = path.canonicalize().ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
        let below = name.filter(|_| is_package).map_or_else(|| guest.clone(), |name| format!("{guest}/{name}"));
        let mut native = None;
        let mut walk = Walk::inputs(flag, inputs);
        let mut judge = |path: &Path| {
            if is_native(path) {
                native.get_or_insert_with(|| path.to_owned());
            }
            path.file_name().is_none_or(|name| name != "__pycache__")
        };
        walk.judge = Some(&mut judge);
        walk.visit(below, path, 0)?;
        native.map_or(Ok(()), |path| Err(PackageError::NativeFile { path }))
    }
}

fn has_extension(path: &Path, wanted: &[&str]) -> bool {
    path.extension().is_some_and(|extension| wanted.iter().any(|wanted| extension.eq_ignore_ascii_case(wanted)))
}

fn is_wheel(path: &Path) -> bool {
    has_extension(path, &["whl"])
}

fn is_native(path: &Path) -> bool {
    has_extension(path, &["so", "pyd", "dylib", "dll"])
}

/// Whether a wheel says that it runs everywhere: its name ends with `-py3-none-any`.
fn check_wheel(flag: &'static str, path: &Path) -> Result<(), PackageError> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let mut tags = stem.rsplitn(4, '-');
    let (platform, abi, python) = (tags.next(), tags.next(), tags.next());
    let runs_on_3 = python.is_some_and(|python| python.split('.').any(|python| python.starts_with("py3")));
    if platform != Some("any") || abi != Some("none") || !runs_on_3 {
        let platform = match (python, abi, platform) {
            (Some(python), Some(abi), Some(platform)) => format!("{python}-{abi}-{platform}"),
            _ => "who knows what".to_owned(),
        };
        return Err(PackageError::NativeWheel { flag, path: path.into(), platform });
    }
    let unreadable = |source| PackageError::Unreadable { path: path.into(), source };
    let mut head = Vec::new();
    File::open(path).map_err(unreadable)?.take(2).read_to_end(&mut head).map_err(unreadable)?;
    if head == b"PK" { Ok(()) } else { Err(PackageError::NotAWheel { path: path.into() }) }
}

/// The wheels that a requirements file comes to, in a folder of their own.
fn fetch(requirements: &Path, quiet: bool) -> Result<TempDir, PackageError> {
    let path = || requirements.to_path_buf();
    File::open(requirements).map_err(|source| PackageError::NoRequirements { path: path(), source })?;
    let unresolved = |why| PackageError::Unresolved { path: path(), why };
    let pip = Pip::find().map_err(unresolved)?;
    let folder =
        tempfile::Builder::new().prefix("haggle-packages-").tempdir().map_err(PackageError::TemporaryFolder)?;
    let file = requirements.to_string_lossy();
    let to = folder.path().to_string_lossy();
    let of = ["--requirement", &file, "--only-binary=:all:", "--python-version", PYTHON_VERSION];
    let pure = ["--platform", "any", "--implementation", "py", "--abi", "none"];
    if let Err(why) = pip.run(["download", "--dest", &to].into_iter().chain(of).chain(pure), !quiet) {
        // For whatever machine this is, pip may know more: then what is not for every machine is in the way.
        let report = ["install", "--dry-run", "--quiet", "--report", "-", "--target", &to];
        let names = pip.run(report.into_iter().chain(of), false).map(|report| native_packages(&report));
        return Err(match names {
            Ok(names) if !names.is_empty() => PackageError::NativePackages { path: path(), names },
            _ => unresolved(why),
        });
    }
    Ok(folder)
}

/// As far as it matters here, what pip reports that it would install.
#[derive(Deserialize)]
struct Report {
    install: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    download_info: Download,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Download {
    url: String,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
}

fn native_packages(report: &[u8]) -> Vec<String> {
    let Ok(report) = serde_json::from_slice::<Report>(report) else { return Vec::new() };
    let is_native = |item: &Item| !item.download_info.url.ends_with("-none-any.whl");
    let mut names: Vec<_> = report.install.into_iter().filter(is_native).map(|item| item.metadata.name).collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (file, content) in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        folder
    }

    fn with(path: &Path) -> Result<(Vec<String>, Vec<String>), PackageError> {
        let mut inputs = Inputs::default();
        let packages = Packages::of(Some(Language::Python), &[path.into()], None, true, &mut inputs)?;
        Ok((packages.path, inputs.found.into_keys().collect()))
    }

    #[test]
    fn a_folder_is_on_the_path_and_so_is_each_wheel_in_it() {
        let folder = folder(&[
            ("one.py", ""),
            ("pack/__init__.py", ""),
            ("pack/__pycache__/one.cpython-311.pyc", ""),
            ("b-1.0-py3-none-any.whl", "PK"),
            ("a-1.0-py2.py3-none-any.whl", "PK"),
        ]);

        let (path, found) = with(folder.path()).unwrap();

        let (a, b) = ("/packages/0/a-1.0-py2.py3-none-any.whl", "/packages/0/b-1.0-py3-none-any.whl");
        assert_eq!(path, ["/packages/0", a, b]);
        assert_eq!(found, [a, b, "/packages/0/one.py", "/packages/0/pack/__init__.py", ORIGINS]);
    }

    #[test]
    fn a_folder_that_is_a_package_is_found_by_its_name() {
        let folder = folder(&[("pack/__init__.py", ""), ("pack/deep/one.py", "")]);

        let (path, found) = with(&folder.path().join("pack")).unwrap();

        assert_eq!(path, ["/packages/0"]);
        assert_eq!(found, ["/packages/0/pack/__init__.py", "/packages/0/pack/deep/one.py", ORIGINS]);
    }

    #[test]
    fn native_code_is_refused_by_its_name() {
        let folder = folder(&[
            ("native/pack/_speedups.cpython-312-x86_64-linux-gnu.so", ""),
            ("numpy-2.1.0-cp312-cp312-manylinux_2_17_x86_64.whl", "PK"),
            ("old-1.0-py2-none-any.whl", "PK"),
            ("no.whl", "PK"),
            ("text-1.0-py3-none-any.whl", "text"),
            ("text", ""),
        ]);
        let refused = |name: &str| with(&folder.path().join(name)).unwrap_err().to_string();

        assert!(refused("native").contains("linux-gnu.so is native code"));
        let numpy = refused("numpy-2.1.0-cp312-cp312-manylinux_2_17_x86_64.whl");
        assert!(numpy.contains("is for cp312-cp312-manylinux_2_17_x86_64: it may have native code"), "{numpy}");
        assert!(refused("old-1.0-py2-none-any.whl").contains("is for py2-none-any"));
        assert!(refused("no.whl").contains("who knows what"));
        assert!(refused("text-1.0-py3-none-any.whl").contains("is not a wheel"));
        assert!(refused("text").contains("is neither a folder nor a wheel"));
        assert!(refused("nosuch").starts_with("--with "));
    }

    #[test]
    fn what_pip_would_install_tells_which_packages_are_native() {
        let report = br#"{"version": "1", "install": [
            {"download_info": {"url": "https://x/numpy-2.1.0-cp312-cp312-manylinux_2_17_x86_64.whl"}, "metadata": {"name": "numpy"}},
            {"download_info": {"url": "https://x/idna-3.20-py3-none-any.whl"}, "metadata": {"name": "idna"}}
        ]}"#;

        assert_eq!(native_packages(report), ["numpy"]);
        assert_eq!(native_packages(b"no"), <[String; 0]>::default());
    }
}
