//! The second act: tasks that want more than they were given, and an honest neighbour.

use anyhow::bail;

use super::cluster::Cluster;
use super::interrupt::Interrupt;
use super::launch::{Ended, Launch, words};
use super::stage::Stage;

/// A task, what it is given, and how it must end.
struct Role {
    name: &'static str,
    task: &'static str,
    flags: &'static str,
    state: &'static str,
    reason: Option<&'static str>,
}

const ROLES: [Role; 5] = [
    Role {
        name: "memory-hog",
        task: "hungry",
        flags: "--cpus 0.5 --mem 32MiB",
        state: "FAILED",
        reason: Some("MEMORY_LIMIT"),
    },
    Role {
        name: "endless-loop",
        task: "spinner",
        flags: "--cpus 0.5 --timeout 2s",
        state: "FAILED",
        reason: Some("TIME_LIMIT"),
    },
    Role {
        name: "busy-loop",
        task: "spinner",
        flags: "--cpus 0.5 --fuel 1000000000",
        state: "FAILED",
        reason: Some("FUEL_EXHAUSTED"),
    },
    Role {
        name: "flooder",
        task: "chatty",
        flags: "--cpus 0.5 --output-limit 256KiB",
        state: "FAILED",
        reason: Some("OUTPUT_LIMIT"),
    },
    Role { name: "neighbour", task: "primes", flags: "--cpus 0.5 -- 50000000", state: "FINISHED", reason: None },
];

/// Runs all of them at once; each must end as it should.
pub(super) fn show(stage: &Stage, cluster: &Cluster, interrupt: &Interrupt) -> anyhow::Result<()> {
    println!("\n2. Quotas: four tasks that want more than they were given, and an honest neighbour");
    let launches: Vec<Launch> = ROLES
        .iter()
        .map(|role| Launch::start(stage, cluster, role.name, role.task, &words(&format!("--json {}", role.flags))))
        .collect::<anyhow::Result<_>>()?;
    println!("   {:<14}{:<36}{:<10}{:<16}WHY", "TASK", "GIVEN", "STATE", "REASON");
    for (role, launch) in ROLES.iter().zip(launches) {
        let ended = launch.wait_for_record(interrupt)?;
        let reason = ended.reason().unwrap_or("-");
        println!("   {:<14}{:<36}{:<10}{reason:<16}{}", role.name, role.flags, ended.state(), ended.message());
        check(role, &ended)?;
    }
    Ok(())
}

fn check(role: &Role, ended: &Ended) -> anyhow::Result<()> {
    if (ended.state(), ended.reason()) != (role.state, role.reason) {
        bail!("{} should have ended as {} {}", role.name, role.state, role.reason.unwrap_or_default());
    }
    Ok(())
}
