use super::*;

fn task() -> Task {
    Task::new(Digest([7; 32])).name("t")
}

fn why(task: &Task) -> String {
    task.check().expect_err("the task is wrong").to_string()
}

#[test]
fn a_script_is_an_input_of_its_interpreter() {
    let (runtime, script) = (Digest([1; 32]), Digest([2; 32]));

    let python = Task::script(Language::Python, runtime, "job.py", script).args(["-v", "x"]).spec(NOBODY);
    let javascript = Task::script(Language::JavaScript, runtime, "job.js", script).spec(NOBODY);

    assert_eq!((python.module, python.name.as_str()), (runtime, "job.py"));
    assert_eq!(python.args, ["/script/job.py", "-v", "x"]);
    assert_eq!(python.inputs, [Input { guest_path: "/script/job.py".into(), content: script }]);
    assert_eq!(javascript.args, ["--std", "/script/job.js"]);
}

#[test]
fn everything_that_was_said_ends_up_in_the_spec() {
    let id = TaskId { framework: FrameworkId(3), number: 7 };

    let spec = task()
        .args(["a", "b"])
        .arg("c")
        .env("K", "old")
        .env("K", "new")
        .stdin("in")
        .cpus("0.25")
        .mem("16MiB")
        .disk(Bytes::from_mib(2))
        .fuel(Fuel::new(9))
        .timeout(Duration::from_secs(1))
        .output_limit("4KiB")
        .input("/data/x", Digest([1; 32]))
        .weight("2")
        .burst("0.5")
        .truncate_output()
        .folder("work", "a/b")
        .host_folder("/srv", "/srv/data")
        .allow_net("db.example:5432")
        .allow_http("api.example")
        .anonymous()
        .spec(id);

    assert_eq!(spec.id, id);
    assert_eq!(spec.args, ["a", "b", "c"]);
    assert_eq!(spec.env, [("K".to_owned(), "new".to_owned())]);
    assert_eq!(spec.stdin, b"in");
    assert_eq!(spec.resources, Resources::new(MilliCpu::new(250), Bytes::from_mib(16), Bytes::from_mib(2)));
    assert_eq!(
        spec.limits,
        Limits {
            fuel: Some(Fuel::new(9)),
            time: Some(Duration::from_secs(1)),
            output: Bytes::from_kib(4),
            output_overrun: OutputOverrun::Truncate,
        }
    );
    assert_eq!(spec.sharing, Sharing { weight: Some(MilliCpu::new(2000)), burst: MilliCpu::new(500) });
    assert_eq!(
        spec.grants,
        Grants {
            folders: vec![
                Folder { guest_path: "work".to_owned(), source: FolderSource::Scratch("a/b".to_owned()) },
                Folder { guest_path: "/srv".to_owned(), source: FolderSource::Host("/srv/data".to_owned()) },
            ],
            net: vec![Endpoint { host: "db.example".to_owned(), port: 5432 }],
            http: vec![HttpHost { host: "api.example".to_owned(), port: None }],
            anonymous: true,
        }
    );
    assert_eq!(spec.inputs, [Input { guest_path: "/data/x".to_owned(), content: Digest([1; 32]) }]);
}

#[test]
fn a_text_that_is_no_amount_is_told_of_by_check() {
    assert_eq!(
        why(&task().cpus("half")),
        r#"task "t": "half" is not a number of cores like 2 or 0.25, in thousandths at the finest"#
    );
}

#[test]
fn a_text_that_is_no_host_is_told_of_by_check() {
    assert!(why(&task().allow_net("db.example")).contains(r#""db.example" is not a host and a port"#));
    assert!(why(&task().allow_http("a b")).contains(r#""a b" is not a host"#));
}

#[test]
fn it_needs_an_agent_that_is_as_was_said_and_allows_what_it_is_granted() {
    let need = task()
        .scalar("gpu", 1500)
        .constraint("zone=a")
        .constraint("!slow")
        .host_folder("/srv", "/srv/data")
        .allow_http("api.example")
        .need();

    let said: Vec<String> = need.constraints.iter().map(ToString::to_string).collect();
    assert_eq!(said, ["zone = a", "has no slow", "has haggle.net", "has haggle.dir:/srv/data"]);
    assert_eq!(need.resources.scalar("gpu"), 1500);
    assert_eq!(task().constraint("zone").suits(&AgentInfo::default()), Err("zone".parse().unwrap()));
    assert_eq!(task().constraint("!zone").suits(&AgentInfo::default()), Ok(()));
    assert!(why(&task().constraint("a b")).contains(r#""a b" is no constraint like zone=a"#));
    let many = (0..=Want::CONSTRAINTS_MAX).fold(task(), |task, at| task.constraint(format!("a{at}").as_str()));
    assert!(why(&many).contains("17 constraints, at most 16 are taken"));
}

#[test]
fn what_no_master_would_take_is_refused_here() {
    assert!(why(&task().cpus("0")).starts_with("task \"t\": a task needs some cpus"));
    assert!(why(&task().mem("0")).contains("some mem"));
    assert!(why(&task().timeout(Duration::ZERO)).contains("time limit of zero"));
    assert!(why(&task().input("data", Digest([0; 32]))).contains("not absolute"));
}
