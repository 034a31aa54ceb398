//! Inputs are laid out before a task runs, elsewhere, and are gone with it.

use super::*;

#[test]
fn inputs_are_laid_out_for_a_task_and_gone_with_it() {
    let mut fixture = fixture();
    let place = fixture.dir.path().join("inputs/framework-1/task-1.1");
    fixture.run(task(1, 1, &[2]));
    let _ = fixture.fetched(1, 10);

    let _ = fixture.fetched(2, 10);

    assert_eq!(fixture.executor.take(), ["launch task-1.1"]);
    assert_eq!(fs::read(place.join("0/0.2")).unwrap(), [0; 10]);
    fixture.runner.ended(id(1));
    assert!(!place.exists());
}

/// What is to be laid out for the first task, whose artifacts are here.
fn layout(fixture: &mut Fixture) -> (TaskId, Layout) {
    fixture.run(task(1, 1, &[2]));
    let _ = fixture.fetched(1, 10);
    fs::write(fixture.runner.artifacts.path(digest(2)), "input").unwrap();
    let began = fixture.runner.fetched(digest(2), Ok(Bytes::new(5)));
    let [Work::LayOut(turn)] = &mut { began.work }[..] else { panic!("nothing is laid out") };
    turn.remove(0)
}

#[test]
fn a_task_waits_for_its_inputs_to_be_laid_out_and_says_no_more_that_it_is_prepared() {
    let mut fixture = fixture();

    let (task, layout) = layout(&mut fixture);

    assert_eq!((fixture.executor.take(), fixture.runner.prepares(task)), (vec![], false));
    let began = fixture.runner.laid_out(task, layout.make());
    assert_eq!((began, fixture.executor.take()), (Began::default(), vec!["launch task-1.1".to_owned()]));
}

#[test]
fn a_task_stopped_while_its_inputs_are_laid_out_is_never_launched_and_leaves_nothing() {
    let mut fixture = fixture();
    let place = fixture.dir.path().join("inputs/framework-1/task-1.1");
    let (task, layout) = layout(&mut fixture);

    let stopped = fixture.runner.stop(task, Stop::REQUESTED).unwrap();
    let outcome = layout.make();
    assert!(place.exists(), "it is made behind the back of whoever stopped it");

    assert_eq!(stopped.reason, Reason::KillRequested);
    assert_eq!(fixture.runner.laid_out(task, outcome), Began::default());
    assert!(!place.exists());
    assert_eq!(fixture.executor.take(), [""; 0]);
}

#[test]
fn a_task_whose_inputs_cannot_be_laid_out_never_runs() {
    let mut fixture = fixture();
    let place = fixture.dir.path().join("inputs/framework-1/task-1.1");
    let (task, layout) = layout(&mut fixture);
    fs::remove_file(fixture.runner.artifacts.path(digest(2))).unwrap();

    let began = fixture.runner.laid_out(task, layout.make());

    assert_eq!(began.never_ran[0].reason, Reason::ArtifactUnavailable, "{began:?}");
    assert!(!place.exists());
}
