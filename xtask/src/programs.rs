//! `cargo xtask languages`: programs that other people's compilers made, as tasks and under wasmtime itself, side by side.

mod interpreter;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::bench;
use crate::languages::{self, Language, Package};
use crate::process::{self, timed};
use crate::workspace::{Workspace, program};

/// Wasmtime as its makers give it to people: the command has no package, but the same library has.
const WASMTIME: Package = Package::PyPi("wasmtime", "50.0.1");

/// Compiles and runs a module by wasmtime, and says what both took.
const BESIDE: &str = include_str!("programs/beside.py");

/// Says what a command and its children took.
const SPENT: &str = include_str!("programs/spent.py");

/// The same work for each interpreter: primes below 200,000, a dictionary of 50,000 words, and a sort.
const SCRIPTS: [(&str, &str, &str); 3] = [
    ("python", "work.py", include_str!("programs/work.py")),
    ("javascript", "work.js", include_str!("programs/work.js")),
    ("ruby", "work.rb", include_str!("programs/work.rb")),
];

/// Exceptions that the program in C++ throws and catches, one for each argument that is no number.
const THROWS: usize = 2000;

/// What each of them prints.
const PRINTED: &str = "17984 50000 10";

/// For an interpreter with a heap of a MiB.
const PRIMES: &str = include_str!("programs/python/primes.py");

/// A circuit with a multiplier.
const CIRCUIT: &str = include_str!("programs/counter.v");

/// A program that is run both ways.
struct Row {
    name: &'static str,
    module: PathBuf,
    /// Folders that it reads, by their names there.
    folders: Vec<(PathBuf, &'static str)>,
    args: Vec<String>,
    stdin: Option<PathBuf>,
    /// What its output has to contain.
    prints: &'static str,
}

/// Fetches, runs and prints all of them; of what cannot be had says why.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<()> {
    bench::build(workspace)?;
    let place = workspace.target.join("languages");
    let scripts = place.join("scripts");
    fs::create_dir_all(&scripts).with_context(|| format!("cannot make {}", scripts.display()))?;
    for (_, name, text) in SCRIPTS {
        fs::write(scripts.join(name), text)?;
    }
    fs::write(scripts.join("counter.v"), CIRCUIT)?;
    fs::write(scripts.join("rows.csv"), "apples,1.5\n".repeat(90_000))?;
    let haggle = Haggle { program: workspace.release().join(program("haggle")), cache: place.join("cache") };
    let wasmtime = languages::installed(&WASMTIME)?;

    let mut missing = Vec::new();
    println!("| program | module | memory | compile, CPU | CPU, metered | wasmtime: compile, CPU | CPU | ratio |");
    println!("|---|---|---|---|---|---|---|---|");
    for made in rows(workspace, &haggle, &scripts) {
        match made.and_then(|row| Ok((haggle.measure(&row)?, beside(&wasmtime, &row)?, row))) {
            Ok((ours, theirs, row)) => println!("{}", line(&row, &ours, &theirs)?),
            Err(error) => missing.push(format!("{error:#}")),
        }
    }
    if let Err(error) = interpreter::run(&haggle, &wasmtime, &scripts) {
        missing.push(format!("five programs in Python: {error:#}"));
    }
    ensure!(missing.is_empty(), "not run\n  {}", missing.join("\n  "));
    Ok(())
}

fn rows<'a>(
    workspace: &'a Workspace,
    haggle: &'a Haggle,
    scripts: &'a Path,
) -> impl Iterator<Item = anyhow::Result<Row>> + 'a {
    let interpreters = SCRIPTS.iter().map(move |&(runtime, script, _)| {
        let flag = (runtime == "javascript").then(|| "--std".to_owned());
        Ok(Row {
            name: runtime,
            module: haggle.runtime(runtime)?,
            folders: vec![(scripts.to_owned(), "/script")],
            args: flag.into_iter().chain([format!("/script/{script}")]).collect(),
            stdin: None,
            prints: PRINTED,
        })
    });
    let yosys = std::iter::once_with(move || {
        let module = languages::build(workspace, Language::Yosys)?;
        // ABC closes the standard output, behind which nothing would be printed.
        let commands = "read_verilog /script/counter.v; synth -top counter -noabc; stat";
        Ok(Row {
            name: "yosys",
            module,
            folders: vec![(scripts.to_owned(), "/script"), (languages::yosys::share(workspace), "/share")],
            args: vec!["-p".to_owned(), commands.to_owned()],
            stdin: None,
            prints: "=== counter ===",
        })
    });
    let micropython = std::iter::once_with(move || {
        // The same work would not fit its heap, which does not grow.
        let script = "primes.py";
        fs::write(scripts.join(script), PRIMES)?;
        Ok(Row {
            name: "micropython",
            module: languages::build(workspace, Language::MicroPython)?,
            folders: vec![(scripts.to_owned(), "/script")],
            args: vec![format!("/script/{script}")],
            stdin: None,
            prints: interpreter::DONE,
        })
    });
    let built = [
        (Language::C, "C, by zig", "-"),
        (Language::Cpp, "C++ with exceptions, by zig", "sum 0"),
        (Language::Zig, "Zig", "apples"),
        (Language::OCaml, "OCaml", "apples"),
        (Language::Go, "Go", "apples"),
    ];
    let compiled = built.into_iter().map(move |(language, name, prints)| {
        let module = languages::build(workspace, language)?;
        // A program with exceptions is to throw them.
        let args = if language == Language::Cpp { vec!["two".to_owned(); THROWS] } else { Vec::new() };
        let stdin = Some(scripts.join("rows.csv"));
        Ok(Row { name, module, folders: Vec::new(), args, stdin, prints })
    });
    interpreters.chain(micropython).chain(yosys).chain(compiled)
}

/// What a run took.
struct Figures {
    compile_s: f64,
    cpu_s: f64,
    memory_mib: f64,
}

/// A run of a task, as its command tells.
struct Ended {
    cpu_s: f64,
    memory_mib: f64,
    /// CPU time of the task, the command and its compiler.
    all_s: f64,
}

/// Runs whose median is told, behind one that compiles.
const RUNS: usize = 3;

/// The release build, with a cache of its own.
struct Haggle {
    program: PathBuf,
    cache: PathBuf,
}

impl Haggle {
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(words).env("XDG_CACHE_HOME", &self.cache).env("LOCALAPPDATA", &self.cache);
        command
    }

    /// The module of a runtime, fetched when it is not here.
    fn runtime(&self, name: &str) -> anyhow::Result<PathBuf> {
        timed(&format!("fetch {name}"), || process::run(&mut self.command(&["runtime", "add", name])))?;
        let listed = process::output(&mut self.command(&["runtime", "ls", "--json"]))?;
        let rows = listed.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
        let row = rows.iter().find(|row| row["name"] == name).context("a runtime that was added is listed")?;
        let digest = row["digest"].as_str().context("a runtime has a digest")?.trim_start_matches("sha256:");
        Ok(self.cache.join("haggle/runtimes").join(digest).join("module.wasm"))
    }

    /// The first run compiles, the second finds it compiled.
    fn measure(&self, row: &Row) -> anyhow::Result<Figures> {
        let module = row.module.to_str().context("the module's path is text")?;
        let mut words = vec!["run", "--json", "--mem", "1GiB"];
        let folders: Vec<String> =
            row.folders.iter().map(|(host, guest)| format!("{guest}={}", host.display())).collect();
        folders.iter().for_each(|folder| words.extend(["--input", folder]));
        let stdin = row.stdin.as_ref().map(|path| path.display().to_string());
        stdin.iter().for_each(|path| words.extend(["--stdin", path]));
        words.extend([module, "--"]);
        words.extend(row.args.iter().map(String::as_str));
        let first = self.ended(&words).with_context(|| row.name)?;
        let mut others = (0..RUNS).map(|_| self.ended(&words)).collect::<anyhow::Result<Vec<_>>>()?;
        others.sort_by(|one, other| one.cpu_s.total_cmp(&other.cpu_s));
        let median = others.swap_remove(RUNS / 2);
        words[1] = "--quiet";
        let printed = process::output(&mut self.command(&words)).with_context(|| row.name)?;
        ensure!(printed.contains(row.prints), "{} printed {printed:?}, and not {:?}", row.name, row.prints);
        let beside_the_task = |ended: &Ended| ended.all_s - ended.cpu_s;
        Ok(Figures {
            compile_s: beside_the_task(&first) - beside_the_task(&median),
            cpu_s: median.cpu_s,
            memory_mib: median.memory_mib,
        })
    }

    fn ended(&self, words: &[&str]) -> anyhow::Result<Ended> {
        let (said, all_s) = spent(&self.command(words))?;
        let ended: Value = serde_json::from_str(said.lines().last().unwrap_or_default())?;
        let number = |name: &str| ended["usage"][name].as_f64().with_context(|| format!("no {name} in {ended}"));
        let (cpu_s, memory) = (number("cpu_seconds")?, number("peak_mem_bytes")?);
        Ok(Ended { cpu_s, memory_mib: memory / f64::from(1 << 20), all_s })
    }
}

/// What a command prints, and the CPU seconds of it and of all processes that it waited for.
fn spent(command: &Command) -> anyhow::Result<(String, f64)> {
    let mut python = Command::new(languages::python()?);
    python.args(["-c", SPENT]).arg(command.get_program()).args(command.get_args());
    let set = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let said = process::output(python.envs(set))?;
    let (said, last) = said.trim_end().rsplit_once('\n').unwrap_or(("", &said));
    let spent: Value = serde_json::from_str(last)?;
    let spent = spent["spent"].as_f64().with_context(|| format!("no time in {spent}"))?;
    Ok((said.to_owned(), spent))
}

fn beside(wasmtime: &Path, row: &Row) -> anyhow::Result<Figures> {
    let mut python = Command::new(languages::python()?);
    python.env("PYTHONPATH", wasmtime).args(["-c", BESIDE]).arg(&row.module);
    python.arg(row.stdin.as_deref().unwrap_or(Path::new(""))).arg(row.folders.len().to_string());
    for (host, guest) in &row.folders {
        python.arg(host).arg(guest);
    }
    let said = process::output(python.args(&row.args)).with_context(|| format!("{} under wasmtime", row.name))?;
    let took: Value = serde_json::from_str(said.lines().last().unwrap_or_default())?;
    let number = |name: &str| took[name].as_f64().with_context(|| format!("no {name} in {took}"));
    Ok(Figures { compile_s: number("compile")?, cpu_s: number("run")?, memory_mib: 0.0 })
}

fn line(row: &Row, ours: &Figures, theirs: &Figures) -> anyhow::Result<String> {
    let size = fs::metadata(&row.module)?.len() as f64 / 1e6;
    let Figures { compile_s, cpu_s, memory_mib } = ours;
    Ok(format!(
        "| {} | {size:.1} MB | {memory_mib:.1} MiB | {compile_s:.1} s | {cpu_s:.3} s | {:.1} s | {:.3} s | {:.2} |",
        row.name,
        theirs.compile_s,
        theirs.cpu_s,
        cpu_s / theirs.cpu_s
    ))
}
