//! What a decision does not look at.

use haggle_core::TaskState;

use crate::kit::*;

/// An agent that everybody has passed over is not looked at again because another one changed.
#[test]
fn an_event_on_one_agent_looks_at_no_other() {
    let mut world = World::new();
    let framework = world.framework("role");
    let agent = world.agent(2, 1024);
    let task = world.launch_and_run(agent, framework, 1);
    for _ in 0..100 {
        world.agent(2, 1024);
    }
    let all = world.open_offers(framework);
    world.decline(framework, &all, AN_HOUR);

    let effects = world.update(agent, task, 2, TaskState::Finished);

    let made = offers(&effects, framework);
    assert_eq!(made.iter().map(|offer| offer.agent).collect::<Vec<_>>(), [agent.id]);
}
