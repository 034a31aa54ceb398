//! What the command says of a job: of tasks that have one name, and of a framework that is known by it.

use haggle_kit::{AgentFlags, Cluster, until, wasm};
use haggle_sdk::{Runner, Task};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::run::text;
use crate::said::{lines, said};

#[tokio::test]
async fn a_job_is_told_of_by_its_name() {
    let cluster = Cluster::start(&[AgentFlags { cpus: "1", mem: "1GiB" }]).await;
    let client = cluster.client().await;
    let module = client.upload(wasm("sleeper")).await.unwrap();
    let task = Task::new(module).name("naps").cpus("1").mem("16MiB").arg("3600");
    let runner = Runner::new(&client).name("haggle run naps");
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async { drop(stopped.await) };
    let running = tokio::spawn(runner.run_until(vec![task; 3], stopped, |_| {}));

    let job = until("one of three runs and the others wait", async || {
        let asked = cluster.haggle(&["why", "naps", "--json"]).await;
        let job = asked.status.success().then(|| lines(&asked))?.pop()?;
        (job["tasks"]["RUNNING"] == 1 && job["why"][0]["hindrances"][0].is_object()).then_some(job)
    })
    .await;

    assert_eq!((&job["job"], &job["framework"]), (&"naps".into(), &"framework-1".into()), "{job}");
    let hindrance = &job["why"][0]["hindrances"][0];
    assert_eq!(hindrance["nearest"][0]["agent"], "agent-1", "{job}");
    assert_eq!(hindrance["nearest"][0]["lacks"]["cpus"], 1.0, "{job}");
    assert_eq!(job["why"][0]["ahead"], Value::Array(Vec::new()), "nobody else is there");
    let told = said(&cluster, &["why", "naps"]).await;
    assert!(told.starts_with("\"naps\" is 1 task of framework-1: 1 RUNNING"), "{told}");
    assert!(told.contains("(\"haggle run naps\", role default) waits for"), "{told}");
    assert!(told.contains("[agent-1 lacks 1.000 cpu]"), "{told}");

    stop.send(()).unwrap();
    running.await.unwrap().unwrap();
    let over = until("the job is over", async || {
        let told = cluster.haggle(&["why", "naps"]).await;
        let told = told.status.success().then(|| text(&told.stdout).to_owned())?;
        (!told.contains("RUNNING") && !told.contains("waits for")).then_some(told)
    });
    assert!(over.await.contains("KILLED"), "what is over is told where nothing else is");
    let nobody = cluster.haggle(&["why", "nap"]).await;
    assert!(text(&nobody.stderr).contains("nobody is called \"nap\""), "{}", text(&nobody.stderr));
}
