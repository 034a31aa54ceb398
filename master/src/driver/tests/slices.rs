//! What a driver does when many agents change at once.

use super::*;

/// What of a message is offers.
fn offered(events: &[FrameworkEvent]) -> usize {
    let offers = events.iter().map(|event| match event {
        FrameworkEvent::Offers(offers) => offers.len(),
        _ => 0,
    });
    offers.sum()
}

#[tokio::test]
async fn offers_of_many_agents_are_let_out_a_slice_at_a_time_and_others_have_a_turn_in_between() {
    let config = Config { agents_at_once: 2, ..Config::default() };
    let (handle, ended) = started_on(&FailingDisk::default(), config);
    let mut agents = Vec::new();
    for number in 0..5 {
        let (agent_box, mut mail) = outbox();
        let (speaker, place) = open(&handle, Peer::Agent(agent_box)).await.unwrap();
        let identity = AgentIdentity { member: None, key: AgentKey(number + 1), run: 1 };
        let resources = Resources::new(MilliCpu::from_cores(1), Bytes::from_mib(1024), Bytes::ZERO);
        let info = AgentInfo { name: number.to_string(), resources, ..AgentInfo::default() };
        let register = AgentCommand::Register { identity, info, tasks: Vec::new(), complete: true };
        speaker.say(vec![Command::Agent(speaker.session(), register)], 100).await.unwrap();
        mail.next().await.unwrap().unwrap();
        agents.push((speaker, place, mail));
    }
    let (framework_box, mut framework) = outbox();
    let (speaker, _place) = open(&handle, Peer::Framework(framework_box)).await.unwrap();
    let Command::Framework(_, subscribe) = subscribe() else { panic!("a framework subscribes") };

    speaker.say(vec![Command::Framework(speaker.session(), subscribe)], 100).await.unwrap();

    let mut slices = Vec::new();
    while slices.iter().sum::<usize>() < agents.len() {
        slices.push(offered(&framework.next().await.unwrap().unwrap()));
    }
    assert_eq!(slices, [2, 2, 1]);
    handle.stop().await.unwrap();
    ended.await.unwrap().unwrap();
}
