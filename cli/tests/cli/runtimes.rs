//! `haggle runtime`, and what is refused of scripts: no registry is asked for any of it.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::guests::{ARGUMENTS, HELLO};
use crate::haggle::{Place, Ran};

/// A user whose cache is empty, with these files.
struct User(Place);

impl User {
    fn with(files: &[(&str, &str)]) -> Self {
        Self(Place::with(files))
    }

    fn command(&self, words: &str) -> Command {
        let mut command = self.0.command(words);
        command.env("XDG_CACHE_HOME", self.0.path("cache"));
        command
    }

    fn haggle(&self, words: &str) -> Ran {
        self.command(words).output().expect("haggle can be run").into()
    }

    /// What is kept of runtimes.
    fn kept(&self) -> Vec<String> {
        let folder = self.0.path("cache/haggle/runtimes");
        let names = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).filter(|name| name != "lock").collect();
        names.sort_unstable();
        names
    }
}

#[test]
fn a_runtime_of_ones_own_is_given_the_script_and_its_arguments() {
    let user = User::with(&[("echo.wat", ARGUMENTS), ("job.txt", "text")]);

    let added = user.haggle("runtime add echo=echo.wat");
    let named = user.haggle("run job.txt --runtime echo -- -a b");
    let typed = user.haggle("run -c text --runtime echo");
    let removed = user.haggle("runtime rm echo --json");

    assert!(added.stdout.starts_with("echo is sha256:"), "{added:?}");
    assert!(named.stdout.ends_with("/script/job.txt\0-a\0b\0\n"), "{named:?}");
    assert!(typed.stdout.ends_with("/script/code\0\n"), "{typed:?}");
    assert_eq!(removed.stdout, "{\"removed\":true,\"runtime\":\"echo\"}\n");
    assert_eq!(user.kept(), [""; 0]);
}

#[test]
fn a_runtime_is_listed_before_and_after_it_is_here() {
    let user = User::with(&[("echo.wat", ARGUMENTS)]);
    let listed = |ran: Ran| -> Vec<serde_json::Value> {
        ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };

    let before = listed(user.haggle("runtime ls --json"));
    user.haggle("runtime add js=echo.wat");
    let after = listed(user.haggle("runtime ls --json"));

    let names = |rows: &[serde_json::Value]| rows.iter().map(|row| row["name"].clone()).collect::<Vec<_>>();
    assert_eq!(names(&before), ["python", "javascript", "ruby"]);
    assert_eq!((&before[1]["here"], &before[1]["licence"]), (&false.into(), &"MIT".into()));
    assert_eq!(names(&after), names(&before), "js is another word for javascript");
    assert_eq!(after[1]["here"], true);
    assert_eq!(fs::read(after[1]["path"].as_str().unwrap()).unwrap()[..4], *b"\0asm");
    assert!(after[0]["path"].is_null());
    assert!(after[1]["source"].as_str().unwrap().ends_with("echo.wat"), "{}", after[1]);
    assert_eq!(before[2]["source"], "npm @ruby/3.4-wasm-wasi 2.10.1");
}

#[test]
fn what_cannot_be_a_runtime_is_refused_and_nothing_is_kept() {
    let foreign = r#"(module (import "env" "f" (func)) (func (export "_start")))"#;
    let user = User::with(&[
        ("echo.wat", ARGUMENTS),
        ("library.wat", "(module (func (export \"add\")))"),
        ("foreign.wat", foreign),
        ("text", "text"),
    ]);
    let zeros = format!("sha256:{}", "00".repeat(32));

    for (words, line) in [
        ("lua=library.wat", "it is a library"),
        ("lua=foreign.wat", "imports `f` from `env`, which no task is given"),
        ("lua=text", "is not a WebAssembly module"),
        ("lua=nosuch", "cannot read nosuch"),
        ("../lua=echo.wat", "\"../lua\" is no name of a runtime"),
        ("lua=sha256:12", "is not a digest like sha256:"),
        ("lua", "lua cannot be fetched: name a file or a digest"),
        (&*format!("lua=echo.wat --digest {zeros}"), "has the digest sha256:"),
        (&*format!("python --digest {zeros}"), "--digest says what a FILE has to be"),
    ] {
        user.haggle(&format!("runtime add {words}")).assert_refused(125, line);
    }
    user.haggle("runtime rm lua").assert_refused(125, "the runtime lua is not kept here");
    assert_eq!(user.kept(), [""; 0]);
}

#[test]
fn what_is_no_script_is_refused() {
    let user = User::with(&[("hello.wat", HELLO), ("job.sh", "#!/bin/bash\necho"), ("job", "text")]);
    fs::write(user.0.path("latin.py"), b"# ok\nprint('\xe4')").unwrap();
    fs::write(user.0.path("module"), b"\0asm\x01\0\0\0").unwrap();

    for (words, line) in [
        ("run latin.py", "latin.py is not UTF-8: the byte 0xe4 in line 2"),
        ("run job.sh", "job.sh wants \"bash\", which is no runtime"),
        ("run job --runtime lua", "there is no runtime \"lua\": there are python, javascript, ruby"),
        ("run job", "is not a WebAssembly module"),
        ("run module --runtime python", "module is a WebAssembly module, and needs no --runtime"),
        ("run . --runtime python", "--runtime runs a script, and . is none"),
        ("run -", "add --runtime NAME"),
        ("run - --runtime python --stdin -", "standard input cannot be both"),
        ("run nosuch.py", "there is no such file"),
        ("run hello.wat --with .", "--with is for Python scripts"),
        ("run job --runtime js --requirements job", "--requirements is for Python scripts"),
        ("run latin.py --runtime python --with nosuch", "not UTF-8"),
        ("inspect latin.py", "not UTF-8"),
    ] {
        user.haggle(words).assert_refused(125, line);
    }
    for (words, line) in [
        ("run -c 1", "required arguments were not provided: --runtime <NAME>"),
        ("run hello.wat -c 1", "cannot be used with"),
    ] {
        user.haggle(words).assert_refused(2, line);
    }
    assert_eq!(user.kept(), [""; 0]);
}

#[test]
fn packages_that_are_not_there_or_not_for_every_machine_are_refused() {
    let user = User::with(&[("job.py", ""), ("text", "text"), ("n-1-cp312-cp312-linux_x86_64.whl", "PK")]);
    fs::create_dir(user.0.path("native")).unwrap();
    fs::write(user.0.path("native/fast.so"), "").unwrap();

    for (words, line) in [
        ("--with nosuch", "--with nosuch: "),
        ("--with text", "is neither a folder nor a wheel"),
        ("--with n-1-cp312-cp312-linux_x86_64.whl", "is for cp312-cp312-linux_x86_64"),
        ("--with native", "fast.so is native code"),
        ("--requirements nosuch", "--requirements nosuch: "),
        ("--input /script/job.py=text", "/script/job.py is the script, and cannot be an --input as well"),
    ] {
        user.haggle(&format!("run job.py {words}")).assert_refused(125, line);
    }
}

#[test]
fn a_runtime_that_cannot_be_fetched_says_what_to_do() {
    let user = User::with(&[("job.py", "print(1)"), ("requirements.txt", "idna")]);
    // What a user may have set for pip counts: here a registry that nobody is at.
    let offline = |words: &str| {
        let mut command = user.command(words);
        command.env("PIP_INDEX_URL", "http://127.0.0.1:1/simple").env("PIP_NO_CACHE_DIR", "1");
        command.env_remove("PIP_FIND_LINKS").env_remove("PIP_EXTRA_INDEX_URL");
        Ran::from(command.output().unwrap())
    };
    let without_pip = |words: &str| Ran::from(user.command(words).env("PATH", "").output().unwrap());

    if has_pip() {
        offline("run job.py --quiet").assert_refused(125, "pip cannot reach the registry");
        offline("run job.py --quiet").assert_refused(125, "Without it: `haggle runtime add python=FILE`");
        offline("run job.py --quiet --requirements requirements.txt").assert_refused(125, "cannot reach the registry");
    }
    without_pip("run job.py").assert_refused(125, "there is no pip here: wanted python3 with pip, or pip3");
    without_pip("runtime add python").assert_refused(125, "there is no pip here");
    assert_eq!(user.kept(), [""; 0]);
}

#[test]
fn a_runtime_of_npm_that_cannot_be_fetched_says_what_to_do() {
    let user = User::with(&[("job.rb", "puts 1")]);
    let mut offline = user.command("run job.rb --quiet");
    offline.env("npm_config_registry", "http://127.0.0.1:1").env("npm_config_cache", user.0.path("npm"));
    offline.env("npm_config_fetch_retry_mintimeout", "10").env("npm_config_fetch_retry_maxtimeout", "10");

    if Command::new("npm").arg("--version").output().is_ok_and(|output| output.status.success()) {
        let ran = Ran::from(offline.output().unwrap());
        ran.assert_refused(125, "npm cannot reach the registry that it is set up for");
        ran.assert_refused(125, "Without it: `haggle runtime add ruby=FILE`");
    }
    let without = user.command("run job.rb").env("PATH", "").output().unwrap();
    Ran::from(without).assert_refused(125, "there is no npm here: wanted Node.js with npm");
    assert_eq!(user.kept(), [""; 0]);
}

#[test]
fn a_script_is_described_before_its_runtime_is_here() {
    let user = User::with(&[("job", "#!/usr/bin/env python3\nprint(1)")]);

    let sheet = user.haggle("inspect job");
    let record: serde_json::Value = serde_json::from_str(&user.haggle("inspect job --json").stdout).unwrap();

    for line in ["kind     script; a task finds it as /script/job", "python: CPython 3.12.0, fetched when it is run"] {
        assert!(sheet.stdout.contains(line), "{sheet:?}");
    }
    assert_eq!((&record["kind"], &record["runtime"]["here"]), (&"script".into(), &false.into()));
    assert!(record["runtime"]["digest"].as_str().unwrap().starts_with("sha256:e5dc5a39"), "{record}");
}

#[test]
fn a_runtime_that_was_changed_is_not_run() {
    let user = User::with(&[("echo.wat", ARGUMENTS), ("job.txt", "text")]);
    user.haggle("runtime add echo=echo.wat");
    let name = user.kept().into_iter().find(|name| !name.ends_with(".json")).unwrap();
    fs::write(user.0.path("cache/haggle/runtimes").join(Path::new(&name)).join("module.wasm"), b"\0asm\x01\0\0\0")
        .unwrap();

    user.haggle("run job.txt --runtime echo").assert_refused(125, "is not what was kept there");
}

fn has_pip() -> bool {
    let asked = Command::new("python3").args(["-m", "pip", "--version"]).output();
    asked.is_ok_and(|output| output.status.success())
}
