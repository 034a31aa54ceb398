//! Which tasks waited for what.

use super::*;

#[test]
fn a_task_that_waited_is_told_of_when_all_of_it_has_come_and_when_its_module_is_compiled() {
    let mut fixture = fixture();
    fixture.knows_nothing();
    fixture.run(task(1, 7, &[8]));
    for number in [7, 8] {
        fs::write(fixture.runner.artifacts.path(digest(number)), [0; 10]).unwrap();
    }

    let module = fixture.runner.fetched(digest(7), Ok(Bytes::new(10)));
    let input = fixture.runner.fetched(digest(8), Ok(Bytes::new(10)));
    let compiled = fixture.runner.compiled(FrameworkId(1), digest(7), Meter::Epochs, &Ok(fixture.file.clone()));

    assert_eq!((module.fetched, module.compiled), (vec![], vec![]));
    assert_eq!((input.fetched, input.compiled), (vec![id(1)], vec![]));
    assert_eq!((compiled.fetched, compiled.compiled), (vec![], vec![id(1)]));
}

#[test]
fn of_a_module_that_cannot_be_compiled_and_of_tasks_in_queues_nothing_is_told() {
    let mut fixture = fixture();
    let _ = fixture.runner.enqueue(id(1), batch(10, 4, 7));
    fs::write(fixture.runner.artifacts.path(digest(7)), [0; 10]).unwrap();
    let queued = fixture.runner.fetched(digest(7), Ok(Bytes::new(10)));
    fixture.knows_nothing();
    let _ = fixture.runner.run(task(2, 7, &[]));

    let broken = Err(ModuleError::Invalid("no module".to_owned()));
    let compiled = fixture.runner.compiled(FrameworkId(1), digest(7), Meter::Epochs, &broken);

    assert_eq!(queued.fetched, []);
    assert_eq!((compiled.compiled, compiled.never_ran.len()), (vec![], 1));
}
