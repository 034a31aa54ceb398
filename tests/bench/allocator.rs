//! Who is offered what, at the size of large clusters: the first rows are Mesos's own benchmarks of its allocator
//! (`HierarchicalAllocator_BENCHMARK_Test`), re-created on ours.

use std::sync::Arc;
use std::time::{Duration, Instant};

use haggle_core::allocator::Allocator;
use haggle_core::{
    AgentId, AgentInfo, Bytes, Ceiling, FrameworkId, MilliCpu, Now, OfferId, Placement, Portion, Quota, Resources,
    RoleRecord, Want,
};

use crate::Effort;
use crate::figure::{Figure, Goal};

const AN_HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn measure(effort: Effort) -> Vec<Figure> {
    let runs = effort.of(7, 1);
    let sample = |run: fn() -> Vec<f64>| -> Vec<f64> { (0..runs).flat_map(|_| run()).collect() };
    let mut figures = vec![
        Figure::new(
            "first offers of 20,000 agents to 2,000 frameworks, role trees and quotas in force",
            "ms",
            Goal::Below(60.0),
            sample(first_cycle),
        ),
        Figure::new(
            "10,000 agents x 3,000 frameworks: one round in which all offers are declined",
            "ms",
            Goal::Below(70.0),
            sample(decline_round),
        ),
        Figure::new(
            "1,000 agents x 2,000 frameworks that refused everything: all agents looked at again",
            "ms",
            Goal::Below(20.0),
            sample(all_refused),
        ),
        Figure::new(
            "an agent leaves while 2,000,000 refusals are in place",
            "ms",
            Goal::Below(1.0),
            sample(agent_leaves),
        ),
        Figure::new(
            "an allocation in which nothing moved, 3,000 agents, 3,000 roles with quotas",
            "ms",
            Goal::Below(1.0),
            sample(nothing_moved),
        ),
        Figure::new(
            "a task ends among 50,000 agents and 2,000 frameworks: until its room is offered",
            "µs",
            Goal::Below(20.0),
            sample(one_task_ends),
        ),
        Figure::new(
            "one framework revives and takes one task's room, 50,000 idle agents, 2,000 frameworks suppressed",
            "µs",
            Goal::Reported,
            sample(one_revives),
        ),
    ];
    for placement in [Placement::Binpack, Placement::Spread] {
        let samples = (0..runs).map(|_| many_tasks(placement)).collect();
        let name = format!("room for 10,000 tasks of one framework on 20,000 idle agents: {placement}, for each task");
        figures.push(Figure::new(name, "µs", Goal::Reported, samples));
    }
    for (agents, name) in [(1_000, "1,000"), (10_000, "10,000"), (100_000, "100,000")] {
        let samples = (0..runs).map(|_| one_percent_dirty(agents)).collect();
        let name = format!("an allocation for each agent that changed, {name} agents of which 1 % did");
        figures.push(Figure::new(name, "µs", Goal::Reported, samples));
    }
    figures
}

fn size(cpus: u64, mib: u64) -> Resources {
    Resources::new(MilliCpu::from_cores(cpus), Bytes::from_mib(mib), Bytes::ZERO)
}

/// An allocator at one moment.
#[derive(Clone)]
struct World {
    allocator: Allocator,
    agents: u64,
}

impl World {
    fn new() -> Self {
        Self { allocator: Allocator::new(0), agents: 0 }
    }

    fn agents(&mut self, count: u64, total: &Resources) {
        for _ in 0..count {
            self.agents += 1;
            let id = AgentId(self.agents);
            let info = AgentInfo { name: id.to_string(), resources: total.clone(), ..AgentInfo::default() };
            self.allocator.set_agent(id, &Arc::new(info));
            self.allocator.set_agent_active(id, true);
        }
    }

    fn frameworks(&mut self, count: u64, role: impl Fn(u64) -> String) {
        for id in 1..=count {
            self.allocator.set_framework(FrameworkId(id), &[role(id)]);
            self.allocator.set_framework_active(FrameworkId(id), true);
        }
    }

    /// Runs an allocation, and says how many milliseconds it took.
    fn allocate(&mut self) -> (Vec<OfferId>, f64) {
        let began = Instant::now();
        let made = self.allocator.allocate(Now::ZERO).offers;
        (made, began.elapsed().as_secs_f64() * 1e3)
    }

    fn decline(&mut self, offers: Vec<OfferId>, refuse: bool) {
        for id in offers {
            let offer = self.allocator.close(id).expect("it is open");
            self.allocator.free(offer.framework, &offer.role, offer.agent, &offer.portion);
            if refuse {
                self.allocator.refuse(
                    offer.framework,
                    &offer.role,
                    offer.agent,
                    offer.portion.resources,
                    Now::ZERO + AN_HOUR,
                );
            }
        }
    }
}

/// A guarantee of one core for each of 100 teams, and a limit that nobody reaches.
fn teams(world: &mut World, each: &Resources) {
    for team in 0..100 {
        let limit = Ceiling { cpus: Some(MilliCpu::MAX), ..Ceiling::default() };
        let quota = Quota { guarantee: each.clone(), limit };
        let record = RoleRecord { quota: Some(quota), ..RoleRecord::default() };
        world.allocator.configure_role(&format!("team{team}"), record);
    }
}

fn first_cycle() -> Vec<f64> {
    let mut world = World::new();
    teams(&mut world, &size(100, 100 * 1024));
    world.frameworks(2_000, |id| format!("team{}/role{}", id % 100, id % 10));
    world.agents(20_000, &size(24, 4096));
    let (made, took) = world.allocate();
    assert_eq!(made.len(), 20_000);
    vec![took]
}

fn decline_round() -> Vec<f64> {
    let mut world = World::new();
    world.frameworks(3_000, |_| "role".to_owned());
    world.agents(10_000, &size(24, 4096));
    let (mut made, _) = world.allocate();
    let mut samples = Vec::new();
    for _ in 0..3 {
        let began = Instant::now();
        world.decline(made, true);
        made = world.allocate().0;
        samples.push(began.elapsed().as_secs_f64() * 1e3);
    }
    samples
}

/// Every framework has refused every agent.
fn refused_by_all() -> World {
    let mut world = World::new();
    world.frameworks(2_000, |_| "role".to_owned());
    world.agents(1_000, &size(24, 4096));
    let (made, _) = world.allocate();
    world.decline(made, false);
    for framework in 1..=2_000 {
        for agent in 1..=1_000 {
            let until = Now::ZERO + AN_HOUR;
            world.allocator.refuse(FrameworkId(framework), "role", AgentId(agent), size(24, 4096), until);
        }
    }
    world
}

fn all_refused() -> Vec<f64> {
    let mut world = refused_by_all();
    for agent in 1..=1_000 {
        world.allocator.set_agent_active(AgentId(agent), true);
    }
    let (made, took) = world.allocate();
    assert_eq!(made, []);
    vec![took]
}

fn agent_leaves() -> Vec<f64> {
    let mut world = refused_by_all();
    world.allocate();
    let leave = |agent| {
        let began = Instant::now();
        world.allocator.remove_agent(AgentId(agent));
        began.elapsed().as_secs_f64() * 1e3
    };
    (1..=20).map(leave).collect()
}

fn nothing_moved() -> Vec<f64> {
    let mut world = World::new();
    for role in 0..3_000 {
        let guarantee = if role % 10 == 0 { size(10, 10 * 1024) } else { size(1, 1024) };
        let quota = Quota { guarantee, limit: Ceiling::default() };
        let record = RoleRecord { quota: Some(quota), ..RoleRecord::default() };
        world.allocator.configure_role(&format!("role{role}"), record);
    }
    world.frameworks(3_000, |id| format!("role{}", id - 1));
    world.agents(3_000, &size(24, 4096));
    world.allocate();
    (0..100).map(|_| world.allocate().1).collect()
}

/// All agents are full, and every framework would take what becomes free.
fn one_task_ends() -> Vec<f64> {
    let mut world = World::new();
    world.frameworks(2_000, |id| format!("role{}", id % 50));
    world.agents(50_000, &size(24, 4096));
    let (made, _) = world.allocate();
    for id in made {
        world.allocator.close(id);
    }
    let task = Portion::from(size(1, 128));
    let roles: Vec<String> = (0..=1_000).map(|agent| format!("role{}", (agent % 2_000 + 1) % 50)).collect();
    let end = |agent| {
        let began = Instant::now();
        world.allocator.free(FrameworkId(agent % 2_000 + 1), &roles[agent as usize], AgentId(agent), &task);
        let made = world.allocator.allocate(Now::ZERO).offers;
        assert_eq!(made.len(), 1);
        began.elapsed().as_secs_f64() * 1e6
    };
    (1..=1_000).map(end).collect()
}

fn one_revives() -> Vec<f64> {
    let mut world = World::new();
    world.frameworks(2_000, |id| format!("role{}", id % 50));
    (1..=2_000).for_each(|id| world.allocator.suppress(FrameworkId(id), None));
    world.agents(50_000, &size(24, 4096));
    world.allocate();
    let revive = |id| {
        let want = Want {
            resources: size(1, 128),
            constraints: Vec::new(),
            volumes: Vec::new(),
            waiting: 1,
            spare: 0,
            gang: 0,
        };
        let began = Instant::now();
        world.allocator.demand(FrameworkId(id), None, &[want]);
        let made = world.allocator.allocate(Now::ZERO).offers;
        assert_eq!(made.len(), 1);
        began.elapsed().as_secs_f64() * 1e6
    };
    (1..=500).map(revive).collect()
}

/// Microseconds for each of 10,000 tasks that a framework wants to run, by a placement of its role.
fn many_tasks(placement: Placement) -> f64 {
    let mut world = World::new();
    let record = RoleRecord { placement: Some(placement), ..RoleRecord::default() };
    world.allocator.configure_role("role", record);
    world.frameworks(1, |_| "role".to_owned());
    world.allocator.demand(FrameworkId(1), None, &[]);
    world.agents(20_000, &size(24, 4096));
    world.allocate();
    let want = Want {
        resources: size(1, 128),
        constraints: Vec::new(),
        volumes: Vec::new(),
        waiting: 10_000,
        spare: 0,
        gang: 0,
    };
    world.allocator.demand(FrameworkId(1), None, &[want]);
    let (made, took) = world.allocate();
    assert!(made.len() >= 10_000 / 24);
    took * 1e3 / 1e4
}

/// Microseconds for each agent on which something ended, when one in a hundred had that.
fn one_percent_dirty(agents: u64) -> f64 {
    let mut world = World::new();
    world.frameworks(200, |id| format!("role{}", id % 20));
    world.agents(agents, &size(24, 4096));
    let (made, _) = world.allocate();
    for id in made {
        world.allocator.close(id);
    }
    let dirty = agents / 100;
    for at in 1..=dirty {
        let role = format!("role{}", (at % 200 + 1) % 20);
        world.allocator.free(FrameworkId(at % 200 + 1), &role, AgentId(at * 100), &size(1, 128).into());
    }
    let (made, took) = world.allocate();
    assert_eq!(made.len() as u64, dirty);
    took * 1e3 / dirty as f64
}
