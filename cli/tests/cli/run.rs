//! `haggle run` without a cluster: what a task does is what the command does.

use std::fs;

use crate::guests::{ECHO, ENVIRONMENT, EXIT_77, HELLO, HOG, SPIN, TRAP, WISHFUL};
use crate::haggle::{Place, Ran};

fn run(guest: &str, flags: &str) -> Ran {
    Place::with(&[("guest.wat", guest)]).haggle(&format!("run guest.wat {flags}"))
}

#[test]
fn its_output_is_the_commands_output() {
    let ran = run(HELLO, "");

    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (0, "hello\n", ""));
}

#[test]
fn its_exit_code_is_the_commands_exit_code() {
    let ran = run(EXIT_77, "");

    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (77, "", ""));
}

#[test]
fn every_limit_has_its_exit_code_and_says_its_numbers_in_one_line() {
    for (guest, flags, code, line) in [
        (TRAP, "", 134, "guest FAILED, TRAP: wasm trap: "),
        (SPIN, "--timeout 100ms", 124, "guest FAILED, TIME_LIMIT: ran for 0."),
        (SPIN, "--fuel 100_000", 137, "guest FAILED, FUEL_EXHAUSTED: used up 100000 fuel"),
        (HOG, "--mem 2MiB", 137, "guest FAILED, MEMORY_LIMIT: wants 2162688 B memory, is limited to 2 MiB"),
        (HELLO, "--output-limit 3", 137, "guest FAILED, OUTPUT_LIMIT: wants to write 6 B of output, is limited to 3 B"),
        (WISHFUL, "", 125, "guest cannot be a task: imports `launch_missiles` from `env`"),
    ] {
        let ran = run(guest, flags);

        assert_eq!(ran.code, code, "{ran:?}");
        assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
        assert!(ran.stderr.contains(line), "{ran:?}");
    }
}

#[test]
fn what_cannot_be_a_task_is_refused_before_anybody_is_asked() {
    let place = Place::with(&[("wishful.wat", WISHFUL), ("library.wat", r#"(module (func (export "add")))"#)]);

    // Nobody listens there.
    for (module, why) in [
        ("wishful.wat", "imports `launch_missiles` from `env`, which no task is given"),
        ("library.wat", "exports no `_start` function, as a program of WASI 0.1 does: it is a library"),
    ] {
        let ran = place.haggle(&format!("--master 127.0.0.1:1 run {module}"));

        ran.assert_refused(125, why);
    }
}

#[test]
fn quiet_says_nothing_of_its_own() {
    let ran = run(TRAP, "--quiet");

    assert_eq!((ran.code, ran.stderr.as_str()), (134, ""));
}

#[test]
fn it_reads_its_standard_input_and_writes_to_standard_error() {
    let place = Place::with(&[("guest.wat", ECHO), ("text", "some text")]);

    let from_file = place.haggle("run guest.wat --stdin text");
    let text = fs::File::open(place.path("text")).unwrap();
    let from_pipe: Ran = place.command("run guest.wat --stdin -").stdin(text).output().unwrap().into();

    assert_eq!((from_file.stdout.as_str(), from_file.stderr.as_str()), ("", "some text"));
    assert_eq!((from_pipe.stdout.as_str(), from_pipe.stderr.as_str()), ("", "some text"));
}

#[test]
fn its_environment_is_what_was_named_and_what_the_cluster_tells() {
    let ran = run(ENVIRONMENT, "--env COLOUR=green --env EMPTY=");

    let mut names: Vec<_> = ran.stdout.trim_end().split_terminator('\0').collect();
    names.sort_unstable();
    assert!(names.contains(&"COLOUR=green") && names.contains(&"EMPTY="), "{names:?}");
    let others = names.iter().filter(|name| !name.starts_with("HAGGLE_"));
    assert_eq!(others.count(), 2, "{names:?}");
}

#[test]
fn alone_and_without_a_cluster_its_environment_is_what_was_named() {
    let alone = run(ENVIRONMENT, "--env COLOUR=green");
    let one_of_one = run(ENVIRONMENT, "--env COLOUR=green --instances 1 --anonymous");

    assert_eq!(alone.stdout, "COLOUR=green\0\n");
    assert!(one_of_one.stdout.contains("COLOUR=green\0"), "{one_of_one:?}");
    assert!(!one_of_one.stdout.contains("HAGGLE_"), "{one_of_one:?}");
}

#[test]
fn json_tells_everything_in_one_object() {
    let ran = run(HOG, "--mem 1MiB --name hog --json");

    let record: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(ran.code, 137);
    assert_eq!(ran.stderr, "");
    assert_eq!(record["name"], "hog");
    assert_eq!(record["index"], 0);
    assert_eq!(record["state"], "FAILED");
    assert_eq!(record["reason"], "MEMORY_LIMIT");
    assert_eq!(record["exceeded"]["limit"], 1 << 20);
    assert_eq!(record["agent"], "agent-1");
    assert!(record["usage"]["peak_mem_bytes"].as_u64().unwrap() <= 1 << 20, "{record}");
    for field in ["cpu_seconds", "wall_seconds", "fuel", "peak_disk_bytes", "output_bytes", "net_bytes"] {
        assert!(record["usage"][field].is_number(), "{field}");
    }
}

#[test]
fn a_task_that_no_agent_could_ever_run_is_refused_with_the_largest_agents_size() {
    run(HELLO, "--cpus 100000").assert_refused(125, "the largest, agent-1, has ");
    run(HELLO, "--mem 1000TiB").assert_refused(125, "wants 1.000 cpu, 1000 TiB mem");
}

#[test]
fn a_digest_that_the_master_does_not_have_is_refused() {
    let digest = format!("run sha256:{}", "ab".repeat(32));

    Place::with(&[]).haggle(&digest).assert_refused(125, "the master does not have the module sha256:abab");
}

#[test]
#[cfg(target_os = "linux")]
fn output_that_cannot_be_written_is_a_fault() {
    let place = Place::with(&[("guest.wat", HELLO)]);
    let full = fs::File::options().write(true).open("/dev/full").unwrap();

    let output = place.command("run guest.wat").stdout(full).output().unwrap();

    assert_eq!(output.status.code(), Some(125));
}

#[test]
fn nothing_is_left_behind() {
    let place = Place::with(&[("guest.wat", HELLO)]);
    let temporary = place.path("tmp");
    fs::create_dir(&temporary).unwrap();

    let output = place.command("run guest.wat").env("TMPDIR", &temporary).output().unwrap();

    assert!(output.status.success());
    assert_eq!(fs::read_dir(temporary).unwrap().count(), 0);
}
