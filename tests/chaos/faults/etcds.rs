//! One etcd dies, then two of three, then they come back.

use std::time::Duration;

use haggle_kit::record::now_us;
use haggle_kit::until;

use super::{Scene, bound};
use crate::form::ETCD;
use crate::world::{Etcds, World, lasting};

/// How long the load goes on afterwards.
const AFTERWARDS: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd() {
    let mut scene = Scene::start(ETCD, Scene::plan()).await;
    let half = scene.form.lasts(ETCD, Duration::from_secs(8)) / 2;
    let before = scene.world.reign.leads().await;

    let one = now_us();
    etcds(&mut scene.world).kill(0);
    lasting(half).await;
    let with_one_dead = scene.world.reign.current();
    let two = now_us();
    etcds(&mut scene.world).kill(1);
    let reign = &scene.world.reign;
    until("nobody leads", async || reign.current().is_none().then_some(())).await;
    lasting(half).await;
    let with_two_dead = scene.world.reign.current();
    let back = now_us();
    etcds(&mut scene.world).restart(1).await;
    scene.world.reign.leads().await;
    etcds(&mut scene.world).restart(0).await;
    lasting(AFTERWARDS).await;

    let mut settled = scene.settle().await;
    let gaps = settled.joined.gaps(&[one, two]);
    let served: Vec<f64> = settled.joined.served_after(back, None).into_iter().collect();
    let (at_once, below) = (bound(settled.form, 1.0), bound(settled.form, 5.0));
    settled.figures.none("leaders that one dead etcd cost", usize::from(with_one_dead != Some(before)));
    settled.figures.all_below("without service with one dead", "s", at_once, &gaps[..1]);
    settled.figures.none("leaders with two dead", usize::from(with_two_dead.is_some()));
    settled.figures.none("recoveries that failed", 1 - served.len());
    settled.figures.all_below("from their return to the next task", "s", below, &served);
    settled.undisturbed();
    settled.report();
}

fn etcds(world: &mut World) -> &mut Etcds {
    world.etcds.as_mut().expect("several masters share etcds")
}
