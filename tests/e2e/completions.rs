//! What shells complete a line with, by the scripts that `haggle completions` prints; no terminal is needed for that.

use std::fs;
use std::path::Path;
use std::process::Command;

use haggle_kit::{AgentFlags, Cluster, Home, binary, until, wasm};
use haggle_sdk::{Runner, Task, TaskState};
use tempfile::TempDir;

/// What bash would put in the place of the last of these words.
fn completed(home: &Home, folder: &Path, line: &[&str]) -> Vec<String> {
    const SCRIPT: &str = r#"
        source <("$HAGGLE" completions bash) || exit 1
        function=$(complete -p haggle | sed 's/.*-F \([^ ]*\).*/\1/')
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_TYPE=9
        "$function" haggle "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let mut bash = Command::new("bash");
    home.take_in(&mut bash);
    bash.args(["--norc", "-c", SCRIPT, "bash"]).args(line).env("HAGGLE", binary("haggle")).current_dir(folder);
    let output = bash.output().expect("bash can be run");
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// What another shell would offer for the last of these words: how it is asked, or that it is not there.
fn offered(shell: &str, home: &Home, line: &[&str]) -> Option<Vec<String>> {
    /// What zsh's own functions are, as far as the script needs them.
    const ZSH: &str = r#"
        compdef() { :; }
        _describe() { local -a shown; shown=("${(@P)${@[-1]}}"); print -l -- "${shown[@]%%:*}"; }
        source <("$HAGGLE" completions zsh)
        words=("$@") CURRENT=$#
        _clap_dynamic_completer_haggle
    "#;
    const FISH: &str = r#"
        $HAGGLE completions fish | source
        complete -C "$argv" | string split --fields 1 \t
    "#;
    let mut command = Command::new(shell);
    home.take_in(&mut command);
    match shell {
        "zsh" => command.args(["-f", "-c", ZSH, "zsh"]).args(line),
        _ => command.args(["--no-config", "-c", FISH]).arg(line.join(" ")),
    };
    let Ok(output) = command.env("HAGGLE", binary("haggle")).output() else {
        eprintln!("left out: there is no {shell}; `cargo xtask test` installs it on Debian and Ubuntu");
        return None;
    };
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect())
}

#[tokio::test]
async fn zsh_and_fish_complete_commands_flags_and_names_of_the_cluster() {
    let cluster = Cluster::start(&[AgentFlags::default()]).await;
    cluster.registered(1).await;
    for shell in ["zsh", "fish"] {
        let offered = async |line: &[&str]| {
            let (home, line) = (cluster.home(), line.iter().map(|&word| word.to_owned()).collect::<Vec<_>>());
            let ask = move || offered(shell, &home, &line.iter().map(String::as_str).collect::<Vec<_>>());
            tokio::task::spawn_blocking(ask).await.unwrap()
        };
        let Some(commands) = offered(&["haggle", "comp"]).await else { continue };

        assert_eq!(commands, ["completions"], "{shell}");
        assert_eq!(offered(&["haggle", "run", "--output-l"]).await.unwrap(), ["--output-limit"], "{shell}");
        let agents = offered(&["haggle", "--master", &cluster.url, "drain", "ag"]).await.unwrap();
        assert_eq!(agents, ["agent-1"], "{shell}");
    }
}

/// What PowerShell's own part of its script would hand to the shell. There is no PowerShell that these tests could have: it is asked as
/// the script asks.
async fn handed_to_powershell(cluster: &Cluster, line: &[&str]) -> Vec<String> {
    let mut command = cluster.command(&["--"]);
    command.args(line).env_remove("HAGGLE_MASTER").env("HAGGLE_COMPLETE", "powershell");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn powershell_is_handed_commands_flags_and_names_of_the_cluster() {
    let cluster = Cluster::start(&[AgentFlags::default()]).await;

    let script = String::from_utf8(cluster.haggle(&["completions", "powershell"]).await.stdout).unwrap();
    assert!(script.contains("Register-ArgumentCompleter -Native -CommandName haggle"), "{script}");
    assert!(script.contains("$env:HAGGLE_COMPLETE = \"powershell\"") && script.contains("haggle -- $args"), "{script}");

    assert_eq!(handed_to_powershell(&cluster, &["haggle", "comp"]).await, ["completions"]);
    assert_eq!(handed_to_powershell(&cluster, &["haggle", "run", "--output-l"]).await, ["--output-limit"]);
    let agents = handed_to_powershell(&cluster, &["haggle", "--master", &cluster.url, "drain", "ag"]).await;
    assert_eq!(agents, ["agent-1"]);
}

#[test]
fn bash_completes_commands_flags_values_and_files() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("hello.wat"), "").unwrap();
    let completed = |line: &[&str]| completed(&Home::below(folder.path()), folder.path(), line);

    assert_eq!(completed(&["haggle", "comp"]), ["completions"]);
    assert_eq!(completed(&["haggle", "agents", "dea"]), ["deactivate"]);
    assert_eq!(completed(&["haggle", "run", "--output-l"]), ["--output-limit"]);
    assert_eq!(completed(&["haggle", "service", "install", "ag"]), ["agent"]);
    assert_eq!(completed(&["haggle", "run", "hel"]), ["hello.wat"]);
}

#[test]
fn where_no_cluster_answers_there_are_no_names_and_no_errors() {
    let folder = TempDir::new().unwrap();
    let completed = |line: &[&str]| completed(&Home::below(folder.path()), folder.path(), line);

    assert_eq!(completed(&["haggle", "--master", "127.0.0.1:1", "kill", "task"]), [""]);
    assert_eq!(completed(&["haggle", "--token", "-", "kill", "task"]), [""]);
    assert_eq!(completed(&["haggle", "--context", "x"]), [""]);
}

#[tokio::test]
async fn names_come_from_the_cluster_that_the_line_is_for() {
    let cluster = Cluster::start(&[AgentFlags::default()]).await;
    let client = cluster.client().await;
    let session = Runner::new(&client).name("night").role("eng/batch").start().await.unwrap();
    let odd = Runner::new(&client).name("$(reboot)").role("eng/$(reboot)").start().await.unwrap();
    let spinner = client.upload(wasm("spinner")).await.unwrap();
    let task = session.submit(Task::new(spinner).cpus("0.5").mem("32MiB")).await.unwrap();
    let running = until("the task runs", async || {
        let tasks = client.tasks(false).await.ok()?;
        tasks.into_iter().find(|task| task.status.state == TaskState::Running)
    })
    .await;
    let id = running.id.to_string();
    let completed = async |line: &[&str]| {
        let line: Vec<String> =
            ["haggle", "--master", &cluster.url].iter().chain(line).map(|&word| word.into()).collect();
        let home = cluster.home();
        let complete = move || completed(&home, Path::new("/"), &line.iter().map(String::as_str).collect::<Vec<_>>());
        tokio::task::spawn_blocking(complete).await.unwrap()
    };

    assert_eq!(completed(&["kill", "task-"]).await, [id.as_str()]);
    assert_eq!(completed(&["logs", &id[..id.len() - 1]]).await, [id.as_str()]);
    assert_eq!(completed(&["drain", "ag"]).await, ["agent-1"]);
    assert_eq!(completed(&["why", "nig"]).await, ["night"]);
    assert_eq!(completed(&["quota", "set", "eng/"]).await, ["eng/batch"], "and none that a shell would run");

    client.kill(running.id).await.unwrap();
    assert_eq!(task.ended().await.unwrap().state, TaskState::Killed);
    assert_eq!(completed(&["kill", "task-"]).await, [""]);
    assert_eq!(completed(&["logs", "task-"]).await, [id.as_str()]);
    session.close().await;
    odd.close().await;
}
