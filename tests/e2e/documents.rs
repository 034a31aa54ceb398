//! What the pages for operators tell people to type is typed here, and does what the pages say.
//!
//! Pages about running tasks have their commands typed in `cli/tests/cli/documents`, which also says why some are typed nowhere.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use haggle_kit::{AgentFlags, Cluster, binary, until};

use crate::run::{assert_success, text};

/// A page, and the cluster on which its commands are typed.
struct Reader<'a> {
    cluster: &'a Cluster,
    page: String,
}

impl<'a> Reader<'a> {
    fn of(page: &str, cluster: &'a Cluster) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(page);
        Self { cluster, page: fs::read_to_string(path).unwrap() }
    }

    /// Types a command that stands on the page, with these in place of what the page says, and gives what it printed.
    async fn types_with(&self, command: &str, instead: &[(&str, &str)]) -> String {
        let stands = self.page.contains(command);
        assert!(stands, "the page has no `{command}` any more");
        let typed = instead.iter().fold(command.to_owned(), |typed, (from, to)| typed.replace(from, to));
        let program = binary("haggle");
        let mut shell = Command::new("sh");
        self.cluster.home().take_in(&mut shell);
        let folder = program.parent().unwrap().to_path_buf();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(std::iter::once(folder).chain(std::env::split_paths(&path))).unwrap();
        shell.args(["-c", &typed]).env("PATH", path).env("HAGGLE_MASTER", &self.cluster.url);
        let output = tokio::task::spawn_blocking(move || shell.output().unwrap()).await.unwrap();
        assert_success(&output);
        text(&output.stdout).to_owned()
    }

    async fn types(&self, command: &str) -> String {
        self.types_with(command, &[]).await
    }
}

#[tokio::test]
async fn machines_are_taken_out_of_use_as_their_page_says() {
    let cluster = Cluster::start(&[const { AgentFlags { cpus: "1", mem: "256MiB" } }; 4]).await;
    let page = Reader::of("MAINTENANCE.md", &cluster);

    page.types("haggle agents deactivate agent-3").await;
    assert!(page.types("haggle agents").await.contains("DEACTIVATED"));
    page.types("haggle undrain agent-3").await;
    page.types("haggle drain agent-3 --grace 10m --wait").await;
    assert!(page.types("haggle agents").await.contains("DRAINED"));
    page.types("haggle undrain agent-3").await;

    // The year of the page comes to its end some day.
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let year = (1970 + seconds / 31_556_952 + 1).to_string();
    let dated = "haggle maintenance schedule agent-3 agent-4 --start 2027-01-10T03:00:00Z --for 2h --grace 5m";
    page.types_with(dated, &[("2027", &year)]).await;
    page.types("haggle maintenance schedule agent-3 --start 30m --for 1h").await;
    assert!(page.types("haggle maintenance ls").await.contains("maintenance-2"));
    page.types("haggle maintenance cancel maintenance-1").await;
    assert!(!page.types("haggle maintenance ls").await.contains("maintenance-1 "));
}

#[tokio::test]
async fn a_cluster_is_operated_as_its_page_says() {
    let cluster = Cluster::start(&[const { AgentFlags { cpus: "4", mem: "4GiB" } }; 2]).await;
    let page = Reader::of("OPERATING.md", &cluster);
    let agent = [("AGENT", "agent-1"), ("NAME", "model")];

    page.types("haggle quota set eng --guarantee cpus=2 --limit cpus=4").await;
    page.types("haggle weight eng 3").await;
    page.types("haggle roles set eng --placement spread --min-allocatable cpus=1").await;
    let roles = page.types("haggle roles").await;
    assert!(roles.contains("eng") && roles.contains("spread"), "{roles}");
    page.types_with("haggle reserve AGENT eng cpus=2,mem=1GiB", &agent).await;
    page.types_with(
        "haggle reserve AGENT eng cpus=2,mem=1GiB",
        &[("AGENT", "agent-1"), ("cpus=2,mem=1GiB", "disk=2GiB")],
    )
    .await;
    page.types_with("haggle volume create AGENT eng NAME 1GiB", &agent).await;
    page.types("haggle why eng").await;
    page.types("haggle limits").await;
    page.types("haggle completions bash").await;
    page.types_with("haggle top", &[("haggle top", "haggle top --once")]).await;
    page.types_with("haggle agents deactivate AGENT", &agent).await;
    page.types_with("haggle undrain AGENT", &agent).await;
    page.types_with("haggle drain AGENT --grace 10m --wait", &agent).await;
    page.types_with("haggle undrain AGENT", &agent).await;
    page.types_with("haggle maintenance schedule AGENT --start 2h --for 30m", &agent).await;
    page.types_with("haggle agents rm AGENT", &[("AGENT", "agent-2")]).await;
    until("the agent is gone", async || (!page.types("haggle agents").await.contains("agent-2")).then_some(())).await;
}

#[tokio::test]
async fn what_reads_a_cluster_is_let_in_as_its_pages_say() {
    let cluster = Cluster::start(&[AgentFlags::default()]).await;
    let metrics = Reader::of("METRICS.md", &cluster);
    let token = metrics.types("haggle token create --kind viewer --role '*' --ttl 365d").await;
    assert!(token.starts_with("hgl1."), "{token}");

    let tokens = Reader::of("CLUSTER.md", &cluster);
    for command in ["haggle token create --kind agent", "haggle token create --kind framework --role 'ci/*'"] {
        assert!(tokens.types(command).await.starts_with("hgl1."), "{command}");
    }
    assert!(tokens.types("haggle token ls").await.contains("viewer"));
    tokens.types("haggle whoami").await;
}
