//! Everything that can be typed wrongly is refused in one line, and nothing is begun.

use crate::guests::HELLO;
use crate::haggle::Place;

fn place() -> Place {
    Place::with(&[("hello.wat", HELLO), ("bad.wat", "(module\n  (fnuc))"), ("text.txt", "some text"), ("one", "1")])
}

#[test]
fn help_is_given_when_asked_for() {
    let help = place().haggle("run --help");

    assert_eq!(help.code, 0);
    assert_eq!(help.stderr, "");
    for taught in ["Examples:", "Exit codes:", "134", "124", "137", "125", "HAGGLE_TASK_INDEX", "--output-limit"] {
        assert!(help.stdout.contains(taught), "{taught}");
    }
}

#[test]
fn a_command_line_that_cannot_be_read_is_refused() {
    for (words, line) in [
        ("run", "required arguments were not provided: <MODULE>"),
        ("run hello.wat --cpu 1", "unexpected argument '--cpu' found"),
        ("run hello.wat --cpus 0", "0 cpus would never run"),
        ("run hello.wat --cpus lots", "not a number of cores like 2 or 0.25"),
        ("run hello.wat --mem 0", "must be more than 0, like 64MiB"),
        ("run hello.wat --mem 64MB", "not a size like 64MiB"),
        ("run hello.wat --fuel 0", "without fuel cannot run one instruction"),
        ("run hello.wat --timeout 0s", "must be 1ms or more"),
        ("run hello.wat --output-limit 0", "must be more than 0"),
        ("run hello.wat --output-limit 1MiB:cut", "neither end nor truncate"),
        ("run hello.wat --weight 0", "no share at all"),
        ("run hello.wat --dir ../x", "cannot be a task's name for a folder"),
        ("run hello.wat --host-dir data", "not an absolute path"),
        ("run hello.wat --allow-net db", "not a host and a port"),
        ("run hello.wat --allow-http a/b", "not a host"),
        ("run hello.wat --instances 0", "0 is not in 1.."),
        ("run hello.wat --env A", "not of the form NAME=VALUE"),
        ("run hello.wat --input /a", "not of the form GUEST_PATH=HOST_PATH"),
        ("run hello.wat --input a=one", "must be absolute"),
        ("run hello.wat --role /a", "is no role"),
        ("run hello.wat --constraint =a", "no constraint like zone=a"),
        ("run hello.wat --resources cpus=1", "cpus has a flag of its own, --cpus"),
        ("run hello.wat --resources gpu=0", "0 of it is none"),
        ("agent --attribute haggle.net=allowed", "the agent says it of itself"),
        ("agent --attribute hostname=h1", "the agent says it of itself"),
        ("agent --resources mem=1GiB", "mem has a flag of its own, --mem"),
        ("roles set eng", "required arguments were not provided: --placement <PLACEMENT> --min-allocatable"),
        ("roles set eng --placement random", "none of the placements binpack and spread, nor default"),
        ("roles set a//b --placement spread", "is no role"),
        (
            "quota set eng",
            "required arguments were not provided: --guarantee <cpus=N,mem=SIZE,disk=SIZE,NAME=N> --limit",
        ),
        ("quota set eng --limit cpu=2", "\"cpu\" is none of the resources cpus, mem and disk"),
        ("quota set eng --limit cpus=2,cpus=3", "cpus is named twice"),
        ("quota set a//b --limit cpus=2", "is no role"),
        ("quota rm", "required arguments were not provided: <ROLE>"),
        ("weight eng", "required arguments were not provided: <N>"),
        ("weight eng 0", "not a whole number from 1 up"),
        ("weight eng 2 --default", "cannot be used with"),
        ("why", "required arguments were not provided: <TASK|FRAMEWORK|ROLE|JOB>"),
        ("token create", "required arguments were not provided: --kind <KIND>"),
        ("token create --kind owner", "invalid value 'owner' for '--kind <KIND>'"),
        ("token create --kind framework --role a//b", "is neither a role, like a/b"),
        ("token revoke 7", "16 hexadecimal digits"),
        ("context use", "required arguments were not provided: <NAME>"),
        ("ps --token x --context y", "cannot be used with"),
        ("kill 7", "not an id like task-3.7"),
        ("logs task-1", "not an id like task-3.7"),
        ("master --listen here", "not an address and a port"),
        ("master --weight a=0", "not a whole number from 1 up"),
        ("up --agents 0", "0 is not in 1.."),
        ("up --listen 0.0.0.0:0", "haggle up is for this machine alone"),
        ("top --json", "required arguments were not provided: --once"),
        ("completions csh", "invalid value 'csh' for '<SHELL>'"),
        ("dance", "unrecognized subcommand 'dance'"),
    ] {
        place().haggle(words).assert_refused(2, line);
    }
}

#[test]
fn what_is_not_there_or_contradicts_itself_is_refused() {
    for (words, line) in [
        ("run nosuch.wasm", "there is no such file"),
        ("run text.txt", "found \"some tex\""),
        ("run bad.wat", "(line 2, column 4)"),
        ("run .", "it has no Cargo.toml"),
        ("run sha256:123", "is not a digest like sha256:"),
        ("run hello.wat --env A=1 --env A=2", "--env names \"A\" twice"),
        ("run hello.wat --env HAGGLE_TASK_INDEX=1", "each task is told its own"),
        ("run hello.wat --input /a=nosuch", "--input nosuch: "),
        ("run hello.wat --input /a=one --input /a=one", "--input names \"/a\" twice"),
        ("run hello.wat --input /a=one --input /a/b=one", "exclude each other"),
        ("run hello.wat --dir nosuch", "--dir nosuch: "),
        ("run hello.wat --dir one", "is not a folder"),
        ("run hello.wat --dir .::/a --host-dir /a", "--dir names \"/a\" twice"),
        ("run hello.wat --stdin nosuch", "--stdin nosuch: "),
        ("build nosuch", "there is no such folder"),
        ("build .", "it has no Cargo.toml"),
        ("build one", "it is not a folder"),
        ("inspect text.txt", "is not a WebAssembly module"),
        ("master --listen 0.0.0.0:0 --etcd http://127.0.0.1:1", "--ca-key-file FILE, or with --state DIR"),
        (
            "master --listen 127.0.0.1:0 --temporary --log-level error --tls-cert nosuch --tls-key nosuch",
            "cannot use the certificate nosuch",
        ),
        ("master --weight a=1 --weight a=2", "--weight names \"a\" twice"),
        ("agent --master 10.0.0.1:5050", "`haggle agent --join TOKEN`"),
        ("agent --join hgl1.", "--join: the token is cut short"),
        ("agent --join hello", "--join: this is no token of Haggle"),
        ("agent --join @nosuch", "--join: cannot read the secret in nosuch"),
        ("agent --token hgl1.x", "--token has no meaning for this command"),
        ("ps --token hello", "--token: this is no token of Haggle"),
        ("ps --context nosuch", "there is no context \"nosuch\"; `haggle login TOKEN` makes the first"),
        ("login hgl2.x", "TOKEN: the token is of a later version (hgl2)"),
        ("login --name a/b hgl1.x", "is no name of a context"),
        ("context use nosuch", "there is no context \"nosuch\""),
        ("context rm nosuch", "there is no context \"nosuch\""),
        ("token create --kind viewer --uses 2", "--uses is for a token that lets agents join"),
        ("token create --kind agent --role a", "--role is for a token of kind framework or viewer"),
        ("agent --attribute a=1 --attribute a=2", "--attribute names \"a\" twice"),
        ("--master ftp://127.0.0.1 ps", "not a master's address"),
    ] {
        place().haggle(words).assert_refused(125, line);
    }
}

#[test]
fn a_master_that_is_not_there_is_named() {
    place().haggle("--master 127.0.0.1:1 ps").assert_refused(125, "no master answers at http://127.0.0.1:1");
}

#[test]
fn a_package_without_a_toolchain_for_it_says_how_to_get_one() {
    let place = place();
    std::fs::write(place.path("Cargo.toml"), "[package]\nname = \"x\"\n").unwrap();

    // With a path on which there is no rustc, and caches in which there is no toolchain.
    let ran = place.command("build .").env("PATH", "").env("XDG_CACHE_HOME", place.path("cache")).output().unwrap();

    crate::haggle::Ran::from(ran).assert_refused(125, "rustup target add wasm32-wasip1");
}

#[test]
fn a_daemon_that_logs_to_a_file_says_there_why_it_ended() {
    let place = place();

    let ran = place.haggle("master --state one --log-file logs/log");

    assert_eq!(ran.code, 125, "{ran:?}");
    let why = ran.stderr.strip_prefix("haggle: ").unwrap().trim();
    let log = std::fs::read_to_string(place.path("logs/log")).unwrap();
    assert!(log.contains("ERROR") && log.contains(why), "{log}: {why}");
}
