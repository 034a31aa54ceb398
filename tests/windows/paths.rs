//! Paths as people write them on Windows, lines as they end there, and files that others have open.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use haggle_kit::{AgentFlags, Cluster, Daemon, guests, until, wasm, windows_binary};
use tempfile::TempDir;

use crate::{assert_success, haggle, text};

/// A path of this system as Wine shows it to programs: everything is on drive Z.
fn on_drive(path: &Path) -> String {
    format!("Z:{}", path.display()).replace('/', "\\")
}

#[test]
#[ignore = "needs haggle.exe and Wine: cargo xtask windows"]
fn a_file_is_found_by_drive_by_case_and_by_its_long_form() {
    let dir = TempDir::new().unwrap();
    let words = dir.path().join("Words.txt");
    fs::write(&words, "one two two\r\n").unwrap();
    let module = on_drive(&wasm("wordcount"));
    let whole = on_drive(&words);
    let others = [
        whole.clone(),
        whole.to_lowercase(),
        format!(r"\\?\{whole}"),
        whole.replace('\\', "/"),
        whole.replace("Words.txt", r".\nowhere\..\Words.txt"),
    ];
    for path in others {
        let input = format!("/in/words.txt={path}");

        let counted = haggle(&["run", &module, "--input", &input, "--", "map", "/in/words.txt"]).output().unwrap();

        assert_success(&counted);
        assert_eq!(text(&counted.stdout), "one\t1\ntwo\t2\n", "{path}");
    }
    let long = haggle(&["run", &format!(r"\\?\{module}"), "--", "map", "/in/nothing"]).output().unwrap();
    assert!(!text(&long.stderr).contains("cannot read"), "{}", text(&long.stderr));
}

#[test]
#[ignore = "needs haggle.exe and Wine: cargo xtask windows"]
fn a_folder_of_the_machine_is_given_by_its_drive() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("words.txt"), "one\n").unwrap();
    let module = on_drive(&wasm("wordcount"));
    let folder = format!("{}::/in", on_drive(dir.path()));

    for flag in ["--dir", "--host-dir"] {
        let counted = haggle(&["run", &module, flag, &folder, "--", "map", "/in/words.txt"]).output().unwrap();

        assert_success(&counted);
        assert_eq!(text(&counted.stdout), "one\t1\n", "{flag}");
    }
}

#[test]
#[ignore = "needs haggle.exe and Wine: cargo xtask windows"]
fn bytes_go_in_and_come_out_as_they_are() {
    let dir = TempDir::new().unwrap();
    let cat = dir.path().join("cat.wat");
    fs::write(&cat, guests::CAT.replace('\n', "\r\n")).unwrap();
    let bytes = b"unix\nwindows\r\nold\r\x1a after the end of a file of old\0\xff\n";
    let mut run = haggle(&["run", &cat.display().to_string(), "--stdin", "-"]);
    let mut run = run.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();

    run.stdin.take().unwrap().write_all(bytes).unwrap();
    let output = run.wait_with_output().unwrap();

    assert_success(&output);
    assert_eq!(output.stdout, bytes);
}

#[tokio::test]
#[ignore = "needs haggle.exe and Wine: cargo xtask windows"]
async fn a_work_folder_serves_one_agent_at_a_time_and_is_clean_when_its_tasks_are_done() {
    let mut cluster = Cluster::start(&[]).await;
    cluster.spawn_agent_of(windows_binary("haggle"), &AgentFlags::default());
    cluster.registered(1).await;
    let work_dir = cluster.work_dir(0);
    let folder = on_drive(&work_dir);
    let args = ["agent", "--master", &cluster.url, "--work-dir", &folder.to_lowercase()].map(str::to_owned);

    let mut second = Daemon::spawn(&windows_binary("haggle"), &args, work_dir.with_extension("second.log"));
    let exit = second.exited().await;
    let ran = cluster.haggle(&["run", &wasm("hello").display().to_string(), "--disk", "1MiB"]).await;

    assert!(!exit.success() && second.log().contains("in use by another agent"), "{}", second.log());
    assert_success(&ran);
    until("nothing is left of the task", async || {
        let empty = |folder: &Path| fs::read_dir(folder).ok().map(|mut entries| entries.next().is_none());
        let mut executors = fs::read_dir(work_dir.join("executors")).ok()?;
        executors.all(|executor| empty(&executor.unwrap().path().join("scratch")).unwrap_or(true)).then_some(())
    })
    .await;
    cluster.agents[0].terminate();
    let exit = cluster.agents[0].exited().await;
    assert!(exit.success(), "Ctrl-C drains it: {}", cluster.agents[0].log());
    let left = fs::read_dir(work_dir.join("executors")).unwrap().count();
    assert_eq!(left, 0, "the folders of its executors went with them: {}", cluster.agents[0].log());
}
