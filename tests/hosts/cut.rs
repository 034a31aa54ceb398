//! A cable that is pulled, and put in again.

use crate::net::{Net, Plug};
use crate::scene::Scene;

#[tokio::test]
async fn an_agent_whose_link_is_cut_is_unreachable_and_comes_back_with_its_task() {
    let Some(mut net) = Net::new() else { return };
    let [host1, host2, you] =
        [("host1", "10.83.0.1"), ("host2", "10.83.0.2"), ("you", "10.83.0.3")].map(|(name, at)| net.host(name, at));
    let scene = Scene::set_up(&host1, &[&host2], &you).await;
    let _run = scene.lasting_task();
    let task = scene.task_is("RUNNING").await;
    let before = scene.registrations(0);

    net.plug(&host2, Plug::Pulled);
    let unreachable = scene.task_is("UNREACHABLE").await;
    scene.has_agents(0).await;
    net.plug(&host2, Plug::In);
    let away = scene.is_back(0, before).await;
    let again = scene.task_is("RUNNING").await;

    eprintln!("cut off: back {:.1} s after the link was", away.as_secs_f64());
    assert_eq!([&unreachable["id"], &again["id"]], [&task["id"], &task["id"]], "it is the same task");
    assert_eq!(scene.registrations(0), before + 1);
    scene.runs_a_task();
}
