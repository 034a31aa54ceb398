//! Who has which module compiled, and until when they want it.

use haggle_executor::Wanted;

use super::*;

/// What is asked of the compiler for tasks of module 7 that hold nothing.
fn compile(framework: FrameworkId, path: PathBuf, meter: Meter) -> Work {
    Work::Compile(Wanted { framework, module: digest(7), path, meter, share: MilliCpu::ZERO })
}

#[test]
fn one_compilation_serves_every_task_that_waits_for_it() {
    let mut fixture = fixture();
    fixture.knows_nothing();
    let _ = fixture.run(task(1, 7, &[]));
    let _ = fixture.run(task(2, 7, &[8]));
    fs::write(fixture.runner.artifacts.path(digest(7)), "wasm").unwrap();

    let began = fixture.runner.fetched(digest(7), Ok(Bytes::new(4)));

    let path = fixture.runner.artifacts.path(digest(7));
    assert_eq!(began.work, [compile(FrameworkId(1), path, Meter::Epochs)]);
    assert_eq!(fixture.executor.take(), [""; 0]);
    let file = fixture.file.clone();
    assert_eq!(fixture.compiled(7, Meter::Epochs, &Ok(file)), []);
    assert_eq!(fixture.executor.take(), ["launch task-1.1"]);
    assert_eq!(fixture.fetched(8, 10), []);
    assert_eq!(fixture.executor.take(), ["launch task-1.2"]);
}

#[test]
fn each_framework_asks_for_the_modules_of_its_own_tasks() {
    let mut fixture = fixture();
    fixture.knows_nothing();
    let _ = fixture.run(task(1, 7, &[]));
    let _ = fixture.fetched(7, 10);
    let mut spec = TaskSpec::clone(&task(2, 7, &[]));
    spec.id.framework = FrameworkId(2);

    let began = fixture.runner.run(Arc::new(spec));

    let (module, path, meter) = (digest(7), fixture.runner.artifacts.path(digest(7)), Meter::Epochs);
    assert_eq!(began.work, [compile(FrameworkId(2), path, meter)]);
    let file = fixture.file.clone();
    let began = fixture.runner.compiled(FrameworkId(2), module, meter, &Ok(file.clone()));
    let task = TaskId { framework: FrameworkId(2), number: 2 };
    assert_eq!(began, Began { compiled: vec![task], ..Began::default() });
    assert_eq!(fixture.executor.take(), ["launch task-2.2"]);
    assert_eq!(fixture.compiled(7, meter, &Ok(file)), []);
    assert_eq!(fixture.executor.take(), ["launch task-1.1"]);
}

#[test]
fn a_task_with_a_fuel_limit_has_a_module_that_counts_it() {
    let mut fixture = fixture();
    let _ = fixture.run(task(1, 7, &[]));
    let _ = fixture.fetched(7, 10);
    fixture.knows_nothing();
    let mut spec = TaskSpec::clone(&task(2, 7, &[]));
    spec.limits.fuel = Some(Fuel::new(1));

    let began = fixture.runner.run(Arc::new(spec));

    let path = fixture.runner.artifacts.path(digest(7));
    assert_eq!(began.work, [compile(FrameworkId(1), path, Meter::Fuel)]);
}

#[test]
fn a_module_is_compiled_by_the_share_of_the_task_that_asks_for_it() {
    let mut fixture = fixture();
    fixture.knows_nothing();
    let mut spec = TaskSpec::clone(&task(1, 7, &[]));
    spec.resources.cpus = MilliCpu::new(500);
    let _ = fixture.run(Arc::new(spec));
    fs::write(fixture.runner.artifacts.path(digest(7)), "wasm").unwrap();

    let began = fixture.runner.fetched(digest(7), Ok(Bytes::new(4)));

    let [Work::Compile(wanted)] = &began.work[..] else { panic!("{began:?}") };
    assert_eq!(wanted.share, MilliCpu::new(500));
}

#[test]
fn a_module_is_unwanted_once_the_last_task_is_gone_that_waits_for_it() {
    let mut fixture = fixture();
    fixture.knows_nothing();
    let _ = fixture.run(task(1, 7, &[]));
    let _ = fixture.run(task(2, 7, &[]));
    let _ = fixture.fetched(7, 10);
    let stop = |fixture: &mut Fixture, number| {
        assert!(fixture.runner.stop(id(number), Stop::REQUESTED).is_some());
        std::mem::take(&mut *fixture.unwanted.lock().unwrap())
    };

    assert_eq!(stop(&mut fixture, 1), []);
    assert_eq!(stop(&mut fixture, 2), [(FrameworkId(1), digest(7), Meter::Epochs)]);

    let _ = fixture.run(task(3, 7, &[]));
    let file = fixture.file.clone();
    assert_eq!(fixture.compiled(7, Meter::Epochs, &Ok(file)), []);
    assert_eq!(fixture.executor.take(), ["launch task-1.3"]);
    fixture.runner.ended(id(3));
    assert_eq!(*fixture.unwanted.lock().unwrap(), [], "what is compiled is nobody's wish any more");
}
