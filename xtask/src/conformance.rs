//! `cargo xtask conformance`: a checkout of WebAssembly/wasi-testsuite, each of its WASI 0.1 programs run by `haggle run`.
//!
//! A program of the suite is `NAME.wasm`, with what it is given and what it must do in `NAME.json` beside it: `args`,
//! `env` and `root` (a folder that it finds as `/`), `exit_code`, `stdout` and `stderr`. Without the file, or without a
//! word in it, it is given nothing and must end with 0. The compiled programs are on the suite's branch
//! `prod/testsuite-base`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::process::step;
use crate::workspace::{Workspace, program};

/// The programs that are for us lie in folders of this name.
const VERSION: &str = "wasm32-wasip1";

/// None takes a second; one that waits for ever shall not hold up the others.
const TIMEOUT: &str = "60s";

/// Runs the suite in `folder` with `haggle`, or with one that is built for it, and prints a table.
///
/// # Errors
/// When there is no suite, or when a program of it does not do what it must.
pub(crate) fn run(workspace: &Workspace, folder: &Path, haggle: Option<PathBuf>) -> anyhow::Result<()> {
    let mut cases = Vec::new();
    find(folder, &mut cases)?;
    cases.sort();
    if cases.is_empty() {
        bail!(
            "{} has no {VERSION}/*.wasm: name a checkout of WebAssembly/wasi-testsuite, branch prod/testsuite-base",
            folder.display()
        );
    }
    let haggle = match haggle {
        Some(haggle) => haggle.canonicalize().with_context(|| format!("cannot find {}", haggle.display()))?,
        None => {
            let what = ["build", "--quiet", "--locked", "--workspace", "--all-targets"];
            step("build", workspace.cargo().args(what))?;
            workspace.debug().join(program("haggle"))
        }
    };

    let mut failed = 0;
    for module in &cases {
        let (suite, name) = named(folder, module);
        let verdict = Case::read(module)?.run(&haggle)?;
        println!("{:4}  {suite:<14}  {name}", if verdict.is_ok() { "pass" } else { "FAIL" });
        if let Err(why) = verdict {
            failed += 1;
            for line in why.lines() {
                println!("        {line}");
            }
        }
    }
    println!("{} of {} pass", cases.len() - failed, cases.len());
    if failed > 0 {
        bail!("{failed} of {} programs do not do what they must", cases.len());
    }
    Ok(())
}

/// Every program below a folder that is for us.
fn find(folder: &Path, cases: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        let is_ours = folder.file_name().is_some_and(|name| name == VERSION);
        if path.is_dir() && !path.is_symlink() {
            find(&path, cases)?;
        } else if is_ours && path.extension().is_some_and(|extension| extension == "wasm") {
            cases.push(path);
        }
    }
    Ok(())
}

/// The language of a program, by the folder that it comes from, and its name.
fn named<'a>(folder: &Path, module: &'a Path) -> (&'a str, &'a str) {
    let text = |part: Option<&'a std::ffi::OsStr>| part.and_then(|part| part.to_str()).unwrap_or("?");
    let skipped = folder.components().count();
    let languages = ["assemblyscript", "c", "rust"];
    let parts = module.components().skip(skipped).map(|part| text(Some(part.as_os_str())));
    let language = parts.into_iter().find(|part| languages.contains(part)).unwrap_or("");
    (language, text(module.file_stem()))
}

/// One program, what it is given, and what it must do.
struct Case {
    module: PathBuf,
    args: Vec<String>,
    env: Vec<(String, String)>,
    root: Option<PathBuf>,
    exit_code: i32,
    stdout: Option<String>,
    stderr: Option<String>,
}

impl Case {
    fn read(module: &Path) -> anyhow::Result<Self> {
        let file = module.with_extension("json");
        let config: Value = if file.exists() {
            serde_json::from_slice(&fs::read(&file)?).with_context(|| format!("{} is no JSON", file.display()))?
        } else {
            Value::Null
        };
        let text = |value: &Value| value.as_str().map(ToString::to_string);
        let texts = |value: &Value| value.as_array().into_iter().flatten().filter_map(text).collect();
        let variables = config["env"].as_object().into_iter().flatten();
        Ok(Self {
            module: module.to_path_buf(),
            args: texts(&config["args"]),
            env: variables.filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect(),
            root: config["root"].as_str().map(|root| module.with_file_name(root)),
            exit_code: config["exit_code"].as_i64().map_or(Ok(0), i32::try_from)?,
            stdout: text(&config["stdout"]),
            stderr: text(&config["stderr"]),
        })
    }

    /// What it did wrong, if anything.
    fn run(&self, haggle: &Path) -> anyhow::Result<Result<(), String>> {
        let mut command = Command::new(haggle);
        command.arg("run").arg(&self.module).args(["--timeout", TIMEOUT]);
        // On a cluster of its own, whatever the user is logged in to.
        command.env_remove("HAGGLE_MASTER").env_remove("HAGGLE_TOKEN").env("XDG_CONFIG_HOME", "/dev/null");
        for (name, value) in &self.env {
            command.arg("--env").arg(format!("{name}={value}"));
        }
        if let Some(root) = &self.root {
            command.arg("--dir").arg(format!("{}::/", root.display()));
        }
        command.arg("--").args(&self.args).stdin(Stdio::null());
        let output = command.output().with_context(|| format!("cannot start {}", haggle.display()))?;
        Ok(self.judge(&output))
    }

    fn judge(&self, output: &Output) -> Result<(), String> {
        let [stdout, stderr] =
            [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let code = output.status.code();
        if code != Some(self.exit_code) {
            return Err(format!("exit code {code:?}, and must be {}\n{stdout}{stderr}", self.exit_code));
        }
        for (stream, must, is) in [("output", &self.stdout, &stdout), ("error", &self.stderr, &stderr)] {
            if must.as_ref().is_some_and(|must| must != is) {
                return Err(format!("standard {stream} is {is:?}, and must be {must:?}"));
            }
        }
        Ok(())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;

    fn case(exit_code: i32, stdout: Option<&str>) -> Case {
        let stdout = stdout.map(ToString::to_string);
        Case { module: PathBuf::new(), args: vec![], env: vec![], root: None, exit_code, stdout, stderr: None }
    }

    fn output(code: i32, stdout: &str) -> Output {
        Output { status: ExitStatus::from_raw(code << 8), stdout: stdout.into(), stderr: "said why".into() }
    }

    #[test]
    fn a_program_must_end_as_it_is_written_and_say_what_is_written() {
        assert_eq!(case(33, None).judge(&output(33, "whatever")), Ok(()));
        assert_eq!(case(0, Some("hello")).judge(&output(0, "hello")), Ok(()));
        assert!(case(0, None).judge(&output(134, "")).unwrap_err().contains("said why"));
        assert!(case(0, Some("hello")).judge(&output(0, "hello\n")).unwrap_err().contains("must be"));
    }
}
