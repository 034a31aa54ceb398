//! The agent's side of a compilation, before children that do what a test says. What real children do is asked in
//! `tests/hostile`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use haggle_core::{Bytes, Digest, FrameworkId, MilliCpu, Reason};
use haggle_executor::{CompileLimits, Compiler, CompilerConfig, Exhausted, Meter, ModuleError, Wanted, compile_here};
use tempfile::TempDir;

use crate::kit::{Form, guest};

const MODULE: Digest = Digest([7; 32]);

/// Longer than any test takes on a machine that is busy with others.
const PATIENCE: Duration = Duration::from_secs(60);

struct Bench {
    dir: TempDir,
    limits: CompileLimits,
    /// Of the task that waits.
    share: MilliCpu,
}

type Verdict = Result<PathBuf, ModuleError>;

impl Bench {
    /// With a child that does this, in the language of the shell. `$compiled` is a compiled module.
    fn with(does: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let noop = guest(Form::Core, r#"(memory (export "memory") 1) (func (export "_start"))"#);
        fs::write(dir.path().join("compiled"), compile_here(&noop, Meter::Fuel).unwrap()).unwrap();
        fs::write(dir.path().join("module"), noop).unwrap();
        // Linked and not written: a program that anybody has open for writing cannot be started.
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/executor/played-compiler.sh");
        symlink(program, dir.path().join("program")).unwrap();
        let bench = Self { dir, limits: CompileLimits::default(), share: MilliCpu::ZERO };
        bench.child_does(does);
        bench
    }

    fn child_does(&self, does: &str) {
        let here = self.dir.path().display();
        fs::write(self.dir.path().join("program.does"), format!("PATH=/bin:/usr/bin\ncd {here}\n{does}\n")).unwrap();
    }

    fn compiler(&self) -> Compiler {
        let config = CompilerConfig {
            limits: self.limits,
            ..CompilerConfig::new(self.dir.path().join("program"), self.dir.path().join("cache"))
        };
        Compiler::start(config).unwrap()
    }

    fn ask(&self, compiler: &Compiler) -> Receiver<Verdict> {
        self.ask_for(compiler, FrameworkId(1), MODULE)
    }

    fn ask_for(&self, compiler: &Compiler, framework: FrameworkId, module: Digest) -> Receiver<Verdict> {
        let (sender, verdict) = channel();
        let path = self.dir.path().join("module");
        let wanted = Wanted { framework, module, path, meter: Meter::Fuel, share: self.share };
        compiler.compile(wanted, move |compiled| {
            // Whoever asked may be gone.
            let _ = sender.send(compiled);
        });
        verdict
    }

    fn compile(&self, compiler: &Compiler) -> Verdict {
        self.ask(compiler).recv_timeout(PATIENCE).unwrap()
    }

    /// Waits until a child has made this file.
    fn wait_for(&self, file: &str) {
        while !self.dir.path().join(file).exists() {
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Names of what is in the cache.
    fn cached(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path().join("cache")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

#[test]
fn one_compilation_serves_all_who_ask() {
    let bench = Bench::with("touch running; while [ ! -e go ]; do sleep 0.01; done; cat compiled");
    let compiler = bench.compiler();
    let first = bench.ask(&compiler);
    bench.wait_for("running");
    let second = bench.ask(&compiler);
    assert_eq!(compiler.known(MODULE, Meter::Fuel), None);

    fs::write(bench.dir.path().join("go"), "").unwrap();

    let path = first.recv_timeout(PATIENCE).unwrap().unwrap();
    assert_eq!(second.recv_timeout(PATIENCE).unwrap(), Ok(path.clone()));
    assert_eq!(compiler.known(MODULE, Meter::Fuel), Some(Ok(path.clone())));
    assert_eq!(bench.compile(&compiler), Ok(path.clone()));
    assert_eq!(fs::read(path).unwrap(), fs::read(bench.dir.path().join("compiled")).unwrap());
    assert_eq!(compiler.compilations(), 1);
}

#[test]
fn modules_of_one_framework_that_never_get_done_do_not_hold_up_those_of_another() {
    // The first two to come have a child each and stay; whoever comes later is done at once.
    let bench = Bench::with("mkdir first 2>&- || mkdir second 2>&- || exec cat compiled; exec sleep 1000");
    let compiler = bench.compiler();
    let _endless = [0, 1, 2, 3].map(|number| bench.ask_for(&compiler, FrameworkId(1), Digest([number; 32])));
    bench.wait_for("second");

    let other = bench.ask_for(&compiler, FrameworkId(2), MODULE);

    assert!(other.recv_timeout(PATIENCE).unwrap().is_ok());
    assert_eq!(compiler.compilations(), 3);
}

#[test]
fn a_module_that_two_frameworks_want_is_compiled_in_the_turn_that_comes_first() {
    let bench = Bench::with("mkdir first 2>&- || mkdir second 2>&- || exec cat compiled; exec sleep 1000");
    let compiler = bench.compiler();
    let _endless = [0, 1].map(|number| bench.ask_for(&compiler, FrameworkId(1), Digest([number; 32])));
    bench.wait_for("second");
    let first = bench.ask_for(&compiler, FrameworkId(1), MODULE);

    let second = bench.ask_for(&compiler, FrameworkId(2), MODULE);

    let compiled = second.recv_timeout(PATIENCE).unwrap().unwrap();
    assert_eq!(first.recv_timeout(PATIENCE).unwrap(), Ok(compiled));
    assert_eq!(compiler.compilations(), 3);
}

#[test]
fn the_next_compiler_finds_what_was_compiled() {
    let bench = Bench::with("cat compiled");
    let path = bench.compile(&bench.compiler());
    let next = bench.compiler();

    assert_eq!(bench.compile(&next), path);

    assert_eq!(next.compilations(), 0);
}

#[test]
fn what_is_damaged_on_disk_is_compiled_anew() {
    let bench = Bench::with("cat compiled");
    let path = bench.compile(&bench.compiler()).unwrap();
    fs::write(&path, b"not machine code").unwrap();
    let next = bench.compiler();

    assert_eq!(bench.compile(&next), Ok(path));

    assert_eq!(next.compilations(), 1);
}

#[test]
fn what_is_said_of_a_module_is_told_and_not_asked_again() {
    let bench = Bench::with("echo 'not a valid module: no' >&2; exit 3");
    let compiler = bench.compiler();

    let refused = bench.compile(&compiler);

    assert_eq!(refused, Err(ModuleError::Invalid("not a valid module: no".to_owned())));
    assert_eq!(bench.compile(&compiler), refused);
    assert_eq!(compiler.compilations(), 1);
    assert_eq!(bench.cached(), [""; 0], "nothing half done is left");
}

#[test]
fn a_crash_of_the_compiler_is_the_modules_fault_and_told() {
    for (does, told) in [("echo oops >&2; exit 101", "oops"), ("kill -SEGV $$", "signal: 11")] {
        let bench = Bench::with(does);

        let crashed = bench.compile(&bench.compiler()).unwrap_err();

        assert!(matches!(&crashed, ModuleError::Crashed(why) if why.contains(told)), "{crashed}");
        assert_eq!(crashed.reason(), Reason::ModuleInvalid);
    }
}

#[test]
fn limits_are_told_by_how_the_child_ends() {
    let mut bench = Bench::with("");
    bench.limits.code = Bytes::new(10_000);
    let (cpu, mem) = (Duration::from_secs(5), Bytes::from_mib(9));
    (bench.limits.cpu, bench.limits.mem) = (Some(cpu), Some(mem));
    let code = bench.limits.code;
    for (does, exhausted) in [
        ("kill -XCPU $$", Exhausted::Cpu(cpu)),
        ("kill -XFSZ $$", Exhausted::Code(code)),
        ("head -c 10001 /dev/zero", Exhausted::Code(code)),
        ("exit 4", Exhausted::Memory(Some(mem))),
        ("echo 'memory allocation of 5 bytes failed' >&2; kill -ABRT $$", Exhausted::Memory(Some(mem))),
        ("printf '\\nthread 7 has overflowed its stack\\nfatal' >&2; kill -ABRT $$", Exhausted::Stack),
    ] {
        bench.child_does(does);

        assert_eq!(bench.compile(&bench.compiler()), Err(ModuleError::CompileLimit(exhausted)), "{does}");
    }
}

#[test]
fn a_child_that_neither_speaks_nor_ends_is_killed() {
    for does in ["sleep 1000", "exec 2>&-; sleep 1000"] {
        let mut bench = Bench::with(does);
        let cpu = Duration::from_millis(10);
        bench.limits.cpu = Some(cpu);

        let ended = bench.compile(&bench.compiler());

        assert_eq!(ended, Err(ModuleError::CompileLimit(Exhausted::Wall(cpu * 10))), "{does}");
    }
}

#[test]
fn who_was_killed_by_somebody_else_is_tried_again() {
    let bench = Bench::with("kill -KILL $$");
    let compiler = bench.compiler();

    let killed = bench.compile(&compiler).unwrap_err();

    assert_eq!(killed.reason(), Reason::ExecutorTerminated, "{killed}");
    bench.child_does("cat compiled");
    bench.compile(&compiler).unwrap();
}

#[test]
fn a_module_that_cannot_be_read_is_no_fault_of_the_module() {
    let bench = Bench::with("cat compiled");
    fs::remove_file(bench.dir.path().join("module")).unwrap();

    let unreadable = bench.compile(&bench.compiler()).unwrap_err();

    assert_eq!(unreadable.reason(), Reason::ArtifactUnavailable, "{unreadable}");
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let bench = Bench::with("");
    fs::remove_file(bench.dir.path().join("program")).unwrap();

    let missing = bench.compile(&bench.compiler()).unwrap_err();

    assert!(missing.to_string().contains("cannot start the compiler"), "{missing}");
    assert_eq!(missing.reason(), Reason::ExecutorTerminated);
}

#[test]
fn the_end_of_a_compiler_ends_its_children_and_is_told() {
    let bench = Bench::with("touch running; exec sleep 1000");
    let compiler = bench.compiler();
    let asked = bench.ask(&compiler);
    bench.wait_for("running");

    drop(compiler);

    let told = asked.recv_timeout(PATIENCE).unwrap().unwrap_err();
    assert_eq!(told.reason(), Reason::ExecutorTerminated, "{told}");
}

#[test]
fn nobody_else_can_look_into_the_cache() {
    let bench = Bench::with("");
    let _compiler = bench.compiler();

    let mode = fs::metadata(bench.dir.path().join("cache")).unwrap().permissions().mode();

    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn a_compilation_has_the_share_of_the_task_that_waits_for_it() {
    let mut bench = Bench::with(r#"echo "$8" > niceness; cat compiled"#);
    let mut niceness = |share| {
        bench.share = share;
        let compiler = bench.compiler();
        bench.compile(&compiler).unwrap();
        fs::remove_dir_all(bench.dir.path().join("cache")).unwrap();
        fs::read_to_string(bench.dir.path().join("niceness")).unwrap().trim().parse::<u8>().unwrap()
    };

    assert_eq!(niceness(MilliCpu::MAX), 0);
    assert_eq!(niceness(MilliCpu::ZERO), 10);
}

#[cfg(target_os = "linux")]
#[test]
fn a_compilation_that_nobody_waits_for_any_more_gives_way() {
    let mut bench = Bench::with("echo $$ > id; mv id running; while [ ! -e go ]; do sleep 0.01; done; cat compiled");
    bench.share = MilliCpu::MAX;
    let compiler = bench.compiler();
    let asked = [1, 2].map(|framework| bench.ask_for(&compiler, FrameworkId(framework), MODULE));
    bench.wait_for("running");
    let id = fs::read_to_string(bench.dir.path().join("running")).unwrap();
    // The 19th field, and the 17th behind the program's name.
    let niceness = |of: &str| {
        let stat = fs::read_to_string(format!("/proc/{}/stat", of.trim())).unwrap();
        stat.rsplit(") ").next().unwrap().split(' ').nth(16).unwrap().parse::<i32>().unwrap()
    };
    let own = niceness("self");

    compiler.unwanted(FrameworkId(1), MODULE, Meter::Fuel);
    assert_eq!(niceness(&id), own, "another framework waits");
    compiler.unwanted(FrameworkId(2), MODULE, Meter::Fuel);

    let behind = (own + 10).min(19);
    let begin = std::time::Instant::now();
    while niceness(&id) != behind {
        assert!(begin.elapsed() < PATIENCE, "its niceness is {}, and not {behind}", niceness(&id));
        std::thread::sleep(Duration::from_millis(2));
    }
    fs::write(bench.dir.path().join("go"), "").unwrap();
    assert!(asked.iter().all(|asked| asked.recv_timeout(PATIENCE).unwrap().is_ok()));
}
