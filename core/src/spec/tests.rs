use alloc::string::{String, ToString};
use alloc::vec;
use core::time::Duration;

use crate::grants::{Folder, FolderSource, Grants};
use crate::id::{Digest, FrameworkId, TaskId};
use crate::invalid::InvalidSpec;
use crate::quantity::{Bytes, Fuel, MilliCpu};
use crate::resources::Resources;
use crate::task::{Input, Limits, Sharing, TaskSpec};

fn good() -> TaskSpec {
    TaskSpec {
        id: TaskId { framework: FrameworkId(1), number: 1 },
        name: "good".to_string(),
        role: String::new(),
        module: Digest([7; 32]),
        args: vec!["-v".to_string()],
        env: vec![("LANG".to_string(), "C".to_string())],
        stdin: vec![],
        resources: Resources::new(MilliCpu::new(100), Bytes::from_mib(16), Bytes::ZERO),
        sharing: Sharing::default(),
        limits: Limits::default(),
        inputs: vec![],
        grants: Grants::default(),
        group: None,
        waited: None,
        trace: None,
    }
}

/// What is wrong with a good spec after `spoil`.
fn fault(spoil: impl FnOnce(&mut TaskSpec)) -> String {
    let mut spec = good();
    spoil(&mut spec);
    spec.check().map_or_else(|invalid| invalid.to_string(), |()| "nothing".to_string())
}

fn inputs(paths: &[&str]) -> String {
    fault(|spec| {
        let input = |path: &&str| Input { guest_path: path.to_string(), content: Digest([1; 32]) };
        spec.inputs = paths.iter().map(input).collect();
    })
}

#[test]
fn a_good_spec_passes() {
    assert_eq!(fault(|_| {}), "nothing");
    assert_eq!(inputs(&["/data/a.txt", "/data/b.txt", "/data.txt"]), "nothing");
}

#[test]
fn a_task_needs_some_processor_and_some_memory() {
    assert_eq!(fault(|spec| spec.resources.cpus = MilliCpu::ZERO), "a task needs some cpus, and wants none");
    assert_eq!(fault(|spec| spec.resources.mem = Bytes::ZERO), "a task needs some mem, and wants none");
}

#[test]
fn a_limit_of_zero_is_a_mistake() {
    let fuel = fault(|spec| spec.limits.fuel = Some(Fuel::ZERO));
    let time = fault(|spec| spec.limits.time = Some(Duration::ZERO));

    assert_eq!(fuel, "a fuel limit of zero lets nothing run: leave it out for no limit");
    assert_eq!(time, "a time limit of zero lets nothing run: leave it out for no limit");
}

#[test]
fn an_input_has_an_absolute_path_without_detours() {
    for path in ["", "/", "data", "/a/../b", "/a/./b", "/a//b", "/a/", "/a\0", "/a\\b"] {
        assert!(inputs(&[path]).starts_with("input path "), "{path:?} passes");
    }
    assert_eq!(inputs(&["a"]), "input path \"a\" is not absolute, or has an empty, . or .. part or a backslash");
}

#[test]
fn a_folder_with_nothing_in_it_can_lie_in_the_scratch_folder_only() {
    let with_disk = |path: &str| {
        fault(|spec| {
            spec.resources.disk = Bytes::from_mib(1);
            spec.inputs = vec![Input { guest_path: path.to_string(), content: Digest([1; 32]) }];
        })
    };

    assert_eq!(with_disk("/scratch/a/"), "nothing");
    for path in ["/a/", "/scratch/", "/scratch//", "/scratch/a//"] {
        assert!(with_disk(path).starts_with("input path "), "{path:?} passes");
    }
}

#[test]
fn two_inputs_do_not_share_a_place() {
    assert_eq!(inputs(&["/a", "/b", "/a"]), "input path \"/a\" is used twice, or lies below another input");
    assert_eq!(inputs(&["/a/b/c", "/a-", "/a"]), "input path \"/a/b/c\" is used twice, or lies below another input");
}

#[test]
fn texts_are_bounded_and_printable_to_a_program() {
    assert_eq!(
        fault(|spec| spec.stdin = vec![0; (1 << 20) + 1]),
        "the bytes of standard input take 1.0 MiB, and may take 1 MiB"
    );
    assert!(fault(|spec| spec.args.push("x".repeat(1 << 20))).contains("may take 1 MiB"));
    assert_eq!(fault(|spec| spec.args.push("a\0b".to_string())), "argument \"a\\0b\" contains a NUL byte");
    assert!(fault(|spec| spec.env.push(("A=B".to_string(), String::new()))).starts_with("\"A=B\" is no name"));
    assert!(fault(|spec| spec.env.push((String::new(), String::new()))).starts_with("\"\" is no name"));
}

#[test]
fn a_task_without_cpus_may_live_from_what_others_leave() {
    let mut task = good();
    task.resources.cpus = MilliCpu::ZERO;
    assert_eq!(task.check(), Err(InvalidSpec::NoQuota("cpus")));

    task.sharing.burst = MilliCpu::from_cores(1);

    assert_eq!(task.check(), Ok(()));
}

#[test]
fn a_weight_says_something() {
    for (weight, verdict) in [(0, false), (1, true), (1_000_000, true), (1_000_001, false)] {
        let mut task = good();
        task.sharing.weight = Some(MilliCpu::new(weight));

        assert_eq!(task.check().is_ok(), verdict, "{weight}");
    }
}

#[test]
fn folders_stay_below_where_they_are() {
    let scratch =
        |guest: &str, path: &str| Folder { guest_path: guest.into(), source: FolderSource::Scratch(path.into()) };
    let host = |guest: &str, path: &str| Folder { guest_path: guest.into(), source: FolderSource::Host(path.into()) };
    let verdict = |folders: &[Folder]| {
        let mut task = good();
        task.resources.disk = Bytes::from_mib(1);
        task.grants.folders = folders.to_vec();
        task.check()
    };

    assert_eq!(verdict(&[scratch("work.dir", "work.dir"), host("/data", "/srv/data")]), Ok(()));
    assert_eq!(verdict(&[scratch("/", "a"), scratch(".", "b")]), Ok(()));
    for wrong in [scratch("", "a"), scratch("../a", "a"), scratch("/a", "../b"), scratch("a//b", "b")] {
        assert!(matches!(verdict(core::slice::from_ref(&wrong)), Err(InvalidSpec::FolderPath(_))), "{wrong:?}");
    }
    for wrong in [host("/a", "srv"), host("/a", "/srv/../etc")] {
        assert!(matches!(verdict(core::slice::from_ref(&wrong)), Err(InvalidSpec::HostFolder(_))), "{wrong:?}");
    }
    assert!(matches!(verdict(&[host("/a", "/x"), host("/a", "/y")]), Err(InvalidSpec::FolderPath(_))));
}

#[test]
fn what_lies_in_scratch_needs_some_disk() {
    let mut task = good();
    task.inputs = vec![Input { guest_path: "/scratch/a".to_string(), content: Digest([1; 32]) }];
    assert!(matches!(task.check(), Err(InvalidSpec::InputWithoutScratch(_))));

    task.resources.disk = Bytes::from_mib(1);

    assert_eq!(task.check(), Ok(()));
}
