//! An agent behind a router that lends it an address.

use std::time::{Duration, Instant};

use crate::host::Host;
use crate::net::{Net, left_out};
use crate::scene::Scene;

/// Within which it must be back.
const SOON: Duration = Duration::from_secs(15);

/// Lends its address at `eth0` to whoever is inside, and drops without a word what belongs to no connection that it knows,
/// as routers do: neither side is told that the other cannot be reached any more.
const ROUTER: &str = "
echo 1 > /proc/sys/net/ipv4/ip_forward
nft -f - <<'RULES'
table ip lend {
    chain out { type nat hook postrouting priority srcnat; oifname \"eth0\" masquerade; }
    chain through { type filter hook forward priority filter; ct state invalid drop; }
    chain in { type filter hook input priority filter; ct state invalid drop; }
}
RULES
echo 0 > /proc/sys/net/netfilter/nf_conntrack_tcp_loose
";

#[tokio::test]
async fn an_agent_behind_nat_whose_mapping_died_is_back_within_15_seconds_with_its_task() {
    let Some(mut net) = Net::new() else { return };
    let [host1, router, you] =
        [("host1", "10.83.0.1"), ("router", "10.83.0.9"), ("you", "10.83.0.3")].map(|(name, at)| net.host(name, at));
    let host2 = net.host_behind(&router, "host2");
    if let Err(why) = lends(&router) {
        return left_out(&format!("an agent behind NAT: {why}"));
    }
    router.shell(ROUTER);
    let scene = Scene::set_up(&host1, &[&host2], &you).await;
    let _run = scene.lasting_task();
    let task = scene.task_is("RUNNING").await;
    let before = scene.registrations(0);

    // The router's provider gives it another address. What it knew of connections is forgotten with the old one.
    router.shell("ip addr del 10.83.0.9/24 dev eth0; ip addr add 10.83.0.10/24 dev eth0");
    let away = scene.is_back(0, before).await;
    assert_eq!(scene.task_is("RUNNING").await["id"], task["id"], "its task runs on");
    // It fetches the module of this one over a connection of its own, whose mapping died as well.
    let began = Instant::now();
    scene.runs_a_task();
    let ran = began.elapsed();

    let [away_s, ran_s] = [away, ran].map(|time| time.as_secs_f64());
    eprintln!("behind NAT: back {away_s:.1} s after its mapping died, and runs another module within {ran_s:.1} s");
    assert!(away < SOON && ran < SOON, "{}", scene.agents[0].log());
}

/// Whether a host can lend its address.
fn lends(router: &Host) -> Result<(), String> {
    let rules = "add table ip try; add chain ip try out { type nat hook postrouting priority srcnat; }; \
                 add rule ip try out masquerade; delete table ip try";
    let nft = router.namespace().command("nft".as_ref()).arg(rules).output();
    let nft = nft.map_err(|error| format!("no `nft`: {error}"))?;
    if nft.status.success() { Ok(()) } else { Err(format!("`nft`: {}", String::from_utf8_lossy(&nft.stderr).trim())) }
}
