//! A master that is far away, at the end of a line that loses some of what is sent.

use std::time::{Duration, Instant};

use haggle_kit::guests;

use crate::host::Host;
use crate::net::{Line, Net, Weather, left_out};
use crate::scene::Scene;

/// A round trip of 50 ms, and each way loses one frame of a hundred.
const FAR: Weather = Weather { delay: Duration::from_millis(25), lost_of_1000: 10 };

const TASKS: u32 = 10_000;

#[tokio::test]
async fn a_far_master_is_no_less_than_half_as_fast_and_holds_its_agents() {
    let Some(mut net) = Net::new() else { return };
    if !Line::is_possible() {
        return left_out("a master that is far away: there is no /dev/net/tun");
    }
    let (host1, line) = net.far_host("host1", "10.83.0.1");
    let [host2, host3, you] =
        [("host2", "10.83.0.2"), ("host3", "10.83.0.4"), ("you", "10.83.0.3")].map(|(name, at)| net.host(name, at));
    let scene = Scene::set_up(&host1, &[&host2, &host3], &you).await;
    std::fs::write(you.path("noop.wat"), guests::NOOP).unwrap();
    // The first one is compiled.
    rate(&you, 1);

    let near = rate(&you, TASKS);
    line.set(FAR);
    let far = rate(&you, TASKS);
    scene.runs_a_task();
    line.set(Weather::FAIR);

    let (ratio, lost) = (far / near, line.lost());
    eprintln!(
        "50 ms away with 1 % loss: {far:.0} no-ops/s, {ratio:.2} of the {near:.0} nearby; {lost} frames were lost"
    );
    assert!(lost > 0, "the line loses frames");
    for agent in 0..2 {
        assert_eq!(scene.registrations(agent), 1, "its session has held: {}", scene.agents[agent].log());
    }
    assert!(!scene.master.log().contains("is disconnected"), "{}", scene.master.log());
    assert!(ratio >= 0.5, "{far:.0}/s is {ratio:.2} of {near:.0}/s");
}

/// Runs so many tasks that do nothing to their ends, and gives back how many a second.
fn rate(you: &Host, tasks: u32) -> f64 {
    let began = Instant::now();
    let count = tasks.to_string();
    let quotas = ["--cpus", "0.001", "--mem", "1MiB"];
    you.haggle(&[&["run", "noop.wat", "--quiet", "--instances", &count], &quotas[..]].concat()).well();
    f64::from(tasks) / began.elapsed().as_secs_f64()
}
