//! How much is looked at for gangs that wait: what changed, and not what stands idle beside it.

use alloc::string::ToString;
use alloc::vec::Vec;

use super::{World, size, want};
use crate::attributes::HOSTNAME;
use crate::demand::{Constraint, Test, Want};
use crate::id::AgentId;
use crate::resources::Resources;

/// Many enough that whoever looks at all of them is found out.
const IDLE: u64 = 200;

fn gang(number: u32, resources: Resources, tasks: u32) -> Want {
    Want { gang: number, ..want(resources, tasks, 0) }
}

/// So many tasks of one core each that run on the last agent alone.
fn on_the_last(tasks: u32) -> Want {
    let name = AgentId(IDLE + 1).to_string();
    let there = Constraint { attribute: HOSTNAME.to_string(), test: Test::Equals(name) };
    Want { constraints: [there].into(), ..want(size(1, 128), tasks, 0) }
}

/// As many agents as that with one core each, of which nobody wants anything but the gangs of framework 1; and one more agent,
/// with two tasks of framework 2, which wants nothing else.
fn with_idle_agents(gangs: &[Want]) -> World {
    let mut world = World::default();
    world.framework(1, "a");
    world.wants(1, []);
    world.framework(2, "b");
    world.wants(2, [on_the_last(2)]);
    world.agent(IDLE + 1, size(2, 256));
    world.allocate();
    world.launch_one_by_one(2, IDLE + 1);
    (1..=IDLE).for_each(|id| world.agent(id, size(1, 128)));
    world.allocate();
    world.wants(1, gangs);
    assert_eq!(world.offered(), []);
    world
}

impl World {
    /// Both tasks of the framework on that agent, launched on one offer.
    fn launch_one_by_one(&mut self, id: u64, agent: u64) {
        let offer = self.open(id)[0];
        let promise = self.allocator.close(offer).expect("it is open");
        assert_eq!(promise.agent.0, agent);
        let task = size(1, 128);
        let tasks = [(&task, Vec::new()), (&task, Vec::new())];
        self.allocator.launched(promise.framework, &promise.role, promise.agent, tasks, false);
        self.allocate();
    }

    /// A task of framework 2 ends and begins anew, so often; how many agents are looked at meanwhile.
    fn churn(&mut self, times: u32) -> usize {
        let mut examined = 0;
        for _ in 0..times {
            self.end(2, IDLE + 1, &size(1, 128));
            examined += self.allocate().examined;
            self.wants(2, [on_the_last(1)]);
            self.allocate();
            let offer = self.open(2)[0];
            let promise = self.allocator.close(offer).expect("it is open");
            self.allocator.launched(
                promise.framework,
                &promise.role,
                promise.agent,
                [(&size(1, 128), Vec::new())],
                false,
            );
            examined += self.allocate().examined;
        }
        examined
    }
}

#[test]
fn a_gang_that_is_short_of_room_costs_a_look_at_what_changed() {
    let mut world = with_idle_agents(&[gang(1, size(1, 128), IDLE as u32 + 2)]);

    let examined = world.churn(20);

    assert!(examined < 20 * 8, "{examined} looks at agents for 20 tasks that ended");
}

#[test]
fn many_gangs_that_wait_are_looked_for_together() {
    let gangs: Vec<Want> = (1..=8).map(|number| gang(number, size(1, 120 + u64::from(number)), 500)).collect();
    let mut world = with_idle_agents(&[]);

    world.wants(1, gangs);

    let examined = world.allocate().examined as u64;
    assert!(examined < IDLE * 12, "{examined} looks at {IDLE} agents for 8 gangs");
    let examined = world.churn(20);
    assert!(examined < 20 * 8, "{examined} looks at agents for 20 tasks that ended");
}

#[test]
fn a_gang_that_is_short_of_one_place_is_offered_all_of_it_when_that_is_free() {
    let mut world = with_idle_agents(&[gang(1, size(1, 128), IDLE as u32 + 1)]);

    world.end(2, IDLE + 1, &size(1, 128));

    assert_eq!(world.offered().len() as u64, IDLE + 1);
}

/// For each of its wants there are places enough, and not for both: that is found out by a look at all agents, of which there is one now and
/// then, however much changes.
#[test]
fn a_gang_whose_tasks_are_in_each_others_way_is_looked_for_now_and_then() {
    let half = IDLE as u32 / 2;
    let mut world = with_idle_agents(&[gang(1, size(1, 128), half + 1), gang(1, size(1, 127), half)]);

    let examined = world.churn(20);

    assert!(examined < 20 * 8, "{examined} looks at agents for 20 tasks that ended");
    world.end(2, IDLE + 1, &size(1, 128));
    world.allocate();
    let due = world.allocator.next_deadline().expect("it is to be looked for again");
    world.pass(due.since(world.now).as_millis() as u64);
    assert_eq!(world.offered().len() as u64, IDLE + 1);
}

#[test]
fn a_framework_that_launches_other_tasks_meanwhile_has_its_gang_not_looked_for_with_each() {
    let waits = gang(1, size(1, 128), IDLE as u32 + 2);
    let mut world = with_idle_agents(&[]);
    world.wants(1, [waits, want(size(1, 128), 20, 0)]);
    assert_eq!(world.offered().len(), 20);

    let mut examined = 0;
    for offer in world.open(1) {
        let promise = world.allocator.close(offer).expect("it is open");
        let task = &promise.portion.resources;
        world.allocator.launched(promise.framework, &promise.role, promise.agent, [(task, Vec::new())], false);
        examined += world.allocate().examined;
    }

    assert!(examined < 20 * 8, "{examined} looks at agents for 20 tasks that were launched");
}
