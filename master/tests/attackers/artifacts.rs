//! An agent that wants more than its tasks name.

use haggle_master::Master;
use haggle_proto::v1::agent_order::Order;
use haggle_proto::v1::agent_report::Report;
use haggle_proto::v1::agents_client::AgentsClient;
use haggle_proto::v1::artifacts_client::ArtifactsClient;
use haggle_proto::v1::framework_call::Call;
use haggle_proto::v1::framework_event::Event;
use haggle_proto::v1::frameworks_client::FrameworksClient;
use haggle_proto::v1::{PrincipalKind, TaskId};
use haggle_proto::{PASS, v1};
use haggle_tls::{Credentials, Identity};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request};

use crate::kit::{bearing, channel, joined, master, token};

fn as_agent(master: &Master, credentials: &Credentials) -> Channel {
    channel(master, &credentials.trust(), Some(Identity::new(credentials)))
}

async fn upload(master: &Master, bytes: &'static [u8]) -> Vec<u8> {
    let owner = master.owner_token();
    let chunk = v1::UploadChunk { expected: Vec::new(), data: bytes.into() };
    let mut client = ArtifactsClient::new(channel(master, &owner.trust(), None));
    client.upload(bearing(owner, tokio_stream::once(chunk))).await.unwrap().into_inner().digest
}

/// What a download comes to that shows this.
async fn download(connection: Channel, digest: &[u8], shown: Option<&[u8]>) -> Result<Vec<u8>, Code> {
    let mut request = Request::new(v1::ArtifactRef { digest: digest.to_vec() });
    if let Some(shown) = shown {
        request.metadata_mut().insert_bin(PASS, MetadataValue::from_bytes(shown));
    }
    let answer = ArtifactsClient::new(connection).download(request).await;
    let mut chunks = answer.map_err(|status| status.code())?.into_inner();
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.message().await.unwrap() {
        bytes.extend(chunk.data);
    }
    Ok(bytes)
}

/// The passes that come with the launch of one task of this module on this agent.
async fn launched(master: &Master, agent: &Credentials, module: &[u8]) -> Vec<v1::ArtifactPass> {
    let resources = v1::Resources { milli_cpus: 1_000, mem_bytes: 1 << 30, disk_bytes: 1 << 30, ..Default::default() };
    let info = v1::AgentInfo { name: "joined".to_owned(), resources: Some(resources), ..Default::default() };
    let register = v1::RegisterAgent { info: Some(info), key: vec![7; 16], run: 1, ..Default::default() };
    let report = v1::AgentReport { report: Some(Report::Register(register)) };
    let reports = tokio_stream::once(v1::AgentReports { reports: vec![report] }).chain(tokio_stream::pending());
    let mut orders = AgentsClient::new(as_agent(master, agent)).session(reports).await.unwrap().into_inner();

    let framework = token(master, PrincipalKind::Framework, None).await;
    let (says, calls) = mpsc::channel(4);
    let say = async |call| {
        let calls = vec![v1::FrameworkCall { call: Some(call), ..Default::default() }];
        says.send(v1::FrameworkCalls { calls }).await.unwrap();
    };
    let mut client = FrameworksClient::new(channel(master, &framework.trust(), None));
    let info = v1::FrameworkInfo { name: "f".to_owned(), roles: vec!["default".to_owned()], ..Default::default() };
    say(Call::Subscribe(v1::Subscribe { info: Some(info), ..Default::default() })).await;
    let mut events = client.session(bearing(&framework, ReceiverStream::new(calls))).await.unwrap().into_inner();
    let mut id = 0;
    loop {
        for event in events.message().await.unwrap().unwrap().events {
            match event.event.unwrap() {
                Event::Subscribed(subscribed) => id = subscribed.member.unwrap().id,
                Event::Offers(offers) => {
                    let task = v1::TaskSpec {
                        id: Some(TaskId { framework: id, number: 1 }),
                        name: "t".to_owned(),
                        role: String::new(),
                        module: module.to_vec(),
                        resources: offers.offers[0].resources.clone(),
                        ..Default::default()
                    };
                    let accept =
                        v1::Accept { offers: vec![offers.offers[0].id], tasks: vec![task], ..Default::default() };
                    say(Call::Accept(accept)).await;
                    loop {
                        let message = orders.message().await.unwrap().unwrap();
                        if message.orders.iter().any(|order| matches!(order.order, Some(Order::Launch(_)))) {
                            return message.passes;
                        }
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn an_agent_fetches_what_its_tasks_name_and_nothing_else() {
    let master = master().await;
    let (module, secret) = (upload(&master, b"a module").await, upload(&master, b"another tenant's").await);
    let (agent, other) = (joined(&master).await, joined(&master).await);

    let passes = launched(&master, &agent, &module).await;

    let [pass] = &passes[..] else { panic!("{passes:?}") };
    assert_eq!(pass.digest, module);
    let proof = Some(&pass.proof[..]);
    assert_eq!(download(as_agent(&master, &agent), &module, proof).await.unwrap(), b"a module");
    assert_eq!(download(as_agent(&master, &agent), &module, None).await, Err(Code::NotFound));
    assert_eq!(download(as_agent(&master, &agent), &secret, proof).await, Err(Code::NotFound));
    assert_eq!(download(as_agent(&master, &other), &module, proof).await, Err(Code::NotFound));
    for wrong in [&[][..], &[0; 32], &pass.proof[..31], &[7; 4_000]] {
        assert_eq!(download(as_agent(&master, &agent), &module, Some(wrong)).await, Err(Code::NotFound));
    }
    let asked = v1::ArtifactRef { digest: secret };
    let stat = ArtifactsClient::new(as_agent(&master, &agent)).stat(asked).await.unwrap_err();
    assert_eq!(stat.code(), Code::NotFound);
}
