//! What a driver does while its registry fails, is full or rests.

use super::*;

#[tokio::test]
async fn nothing_is_said_before_it_is_remembered() {
    let mut driven = Driven::new();
    let mut batch = Batch::default();
    let mut agent = agent_joins(&mut batch);

    driven.disk.fail_to_sync();
    let error = driven.step(batch).await.unwrap_err();

    assert!(matches!(error, RegistryError::Broken(_)), "{error}");
    assert!(message(&mut agent).is_none());
}

/// The registry of a master that may have been replaced.
struct Contested;

impl Registry for Contested {
    fn recover(&mut self) -> Result<(Recovered, Now), RegistryError> {
        Err(RegistryError::Deposed)
    }

    fn write(&mut self, _: Now, _: &[&Change]) -> Result<(), RegistryError> {
        Ok(())
    }

    fn leads(&self) -> Result<bool, RegistryError> {
        Err(RegistryError::Deposed)
    }
}

#[tokio::test]
async fn a_master_that_may_have_been_replaced_lets_nothing_out() {
    let (mut driven, mut agent, _framework, offer) = Driven::with_peers().await;
    driven.driver.registry = Keeper::of(Box::new(Contested));

    let settled = driven.step(said(FRAMEWORK, vec![accept(&offer, 1..2, 0)])).await;

    assert!(matches!(settled, Err(RegistryError::Deposed)), "{settled:?}");
    assert!(message(&mut agent).is_none());
}

/// A registry whose disk takes as long as the test wants.
struct Slow {
    begins: Option<oneshot::Sender<()>>,
    goes_on: std::sync::mpsc::Receiver<()>,
}

impl Registry for Slow {
    fn recover(&mut self) -> Result<(Recovered, Now), RegistryError> {
        Err(RegistryError::Deposed)
    }

    fn write(&mut self, _: Now, _: &[&Change]) -> Result<(), RegistryError> {
        self.begins.take().unwrap().send(()).unwrap();
        self.goes_on.recv().unwrap();
        Ok(())
    }
}

#[tokio::test]
async fn whoever_else_is_on_the_thread_goes_on_while_the_registry_is_written() {
    let mut driven = Driven::new();
    let (begins, begun) = oneshot::channel();
    let (go_on, goes_on) = std::sync::mpsc::channel();
    driven.driver.registry = Keeper::of(Box::new(Slow { begins: Some(begins), goes_on }));
    let mut batch = Batch::default();
    let mut agent = agent_joins(&mut batch);

    let meanwhile = async {
        begun.await.unwrap();
        assert!(message(&mut agent).is_none());
        go_on.send(()).unwrap();
    };
    let (settled, ()) = tokio::join!(driven.step(batch), meanwhile);

    settled.unwrap();
    assert!(matches!(message(&mut agent).unwrap().as_slice(), [AgentMail::Order(AgentOrder::Registered { .. })]));
}

#[tokio::test]
async fn what_a_full_disk_held_up_is_said_once_there_is_room() {
    let mut driven = Driven::new();
    let mut batch = Batch::default();
    let mut agent = agent_joins(&mut batch);
    let kill = OperatorCommand::KillTask(TaskId { framework: FrameworkId(1), number: 1 });
    let (verdict, mut heard) = oneshot::channel();
    batch.requests.push(Request::Decide(Principal::owner(), None, kill, verdict));

    driven.disk.set_full(true);
    assert!(matches!(driven.step(batch).await, Err(RegistryError::Full(_))));
    assert!(matches!(driven.driver.settle().await, Err(RegistryError::Full(_))));
    assert!(message(&mut agent).is_none());
    assert!(heard.try_recv().is_err());

    driven.disk.set_full(false);
    driven.driver.settle().await.unwrap();

    let orders = message(&mut agent).unwrap();
    assert!(matches!(orders.as_slice(), [AgentMail::Order(AgentOrder::Registered { .. })]));
    assert!(matches!(heard.try_recv(), Ok(Ok(Err(Refusal::TaskUnknown(_))))));
}

#[tokio::test]
async fn while_the_disk_is_full_questions_are_answered_and_newcomers_are_told_why_not() {
    let mut driven = Driven::new();
    let mut batch = Batch::default();
    let _agent = agent_joins(&mut batch);
    driven.disk.set_full(true);
    driven.step(batch).await.unwrap_err();
    let why = NoRoom("no space left on device".to_owned());

    let (outbox, mut newcomer) = outbox();
    driven.driver.refuse(Request::Open(SessionId(9), owner(), Peer::Framework(outbox)), &why);
    let (answer, mut heard) = oneshot::channel();
    let ask = move |cluster: &Cluster, now| answer.send(cluster.agents(now).len()).unwrap();
    driven.driver.refuse(Request::Ask(Box::new(ask)), &why);
    let (verdict, mut decided) = oneshot::channel();
    driven
        .driver
        .refuse(Request::Decide(Principal::owner(), None, OperatorCommand::AgentGone(AgentId(1)), verdict), &why);

    let refused = last_word(&mut newcomer);
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(refused.message().contains("no space left on device"), "{refused}");
    assert_eq!(heard.try_recv(), Ok(1));
    assert_eq!(decided.try_recv(), Ok(Err(why)));
}

#[tokio::test]
async fn a_full_disk_passes_while_the_master_runs() {
    let disk = FailingDisk::default();
    let (handle, ended) = started_on(&disk, Config::default());
    let (agent_box, mut agent) = outbox();
    let (agent_speaker, _agent_place) = open(&handle, Peer::Agent(agent_box)).await.unwrap();

    disk.set_full(true);
    agent_speaker.say(vec![register()], 100).await.unwrap();
    let refused = loop {
        let (framework_box, _framework) = outbox();
        if let Err(refused) = open(&handle, Peer::Framework(framework_box)).await {
            break refused;
        }
    };
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(
        handle.decide(Principal::owner(), None, OperatorCommand::AgentGone(AgentId(1))).await.unwrap_err().code(),
        Code::Unavailable
    );
    assert_eq!(handle.ask(|cluster, now| cluster.agents(now).len()).await, Ok(1));

    disk.set_full(false);
    let orders = agent.next().await.unwrap().unwrap();
    assert!(matches!(orders.as_slice(), [AgentMail::Order(AgentOrder::Registered { .. })]));
    handle.stop().await.unwrap();
    ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_master_can_be_stopped_while_its_disk_is_full() {
    let disk = FailingDisk::default();
    let (handle, ended) = started_on(&disk, Config::default());
    let (agent_box, mut agent) = outbox();
    let (agent_speaker, _agent_place) = open(&handle, Peer::Agent(agent_box)).await.unwrap();

    disk.set_full(true);
    agent_speaker.say(vec![register()], 100).await.unwrap();
    handle.stop().await.unwrap();

    ended.await.unwrap().unwrap();
    assert_eq!(agent.next().await.unwrap().unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn whoever_else_is_on_the_thread_has_a_turn_before_each_batch() {
    let happenings = Arc::new(Happenings::new(1));
    let reign = Reign { cluster: Default::default(), epoch: Default::default() };
    let house = House::new(Places::default(), usize::MAX);
    let (handle, mut inbox) =
        Handle::new(reign, Room::default(), Arc::downgrade(&happenings), house, Timings::default());
    let [first, other] = [FRAMEWORK, AGENT].map(|_| outbox::<FrameworkEvent>().0);
    let (first, _place) = open(&handle, Peer::Framework(first)).await.unwrap();
    let (other, _other_place) = open(&handle, Peer::Framework(other)).await.unwrap();
    first.say(vec![call(FrameworkCommand::Revive { role: None })], 10).await.unwrap();
    let speaking = tokio::spawn(async move {
        other.say(vec![call(FrameworkCommand::Revive { role: None })], 10).await.unwrap();
    });

    let mut batch = Batch::default();
    batch.take(&mut inbox, Instant::now() + Duration::from_secs(3600), None, false).await;

    speaking.await.unwrap();
    assert_eq!(batch.sayings.len(), 2);
}

#[tokio::test]
async fn while_the_registry_rests_only_what_asks_for_a_write_is_held() {
    let happenings = Arc::new(Happenings::new(1));
    let reign = Reign { cluster: Default::default(), epoch: Default::default() };
    let house = House::new(Places::default(), usize::MAX);
    let (handle, mut inbox) =
        Handle::new(reign, Room::default(), Arc::downgrade(&happenings), house, Timings::default());
    let [comes, works] = [FRAMEWORK, AGENT].map(|_| outbox::<FrameworkEvent>().0);
    let (comes, _place) = open(&handle, Peer::Framework(comes)).await.unwrap();
    let (works, _other_place) = open(&handle, Peer::Framework(works)).await.unwrap();
    comes.say(vec![subscribe(), call(FrameworkCommand::Revive { role: None })], 10).await.unwrap();
    works.say(vec![call(FrameworkCommand::Revive { role: None })], 10).await.unwrap();
    let (mut batch, later) = (Batch::default(), Instant::now() + Duration::from_secs(3600));
    let sessions = |batch: &mut Batch| -> Vec<SessionId> {
        let said = batch.sayings.drain(..).map(|heard| match heard.saying {
            Saying::Said(session, ..) | Saying::Ended(session) => session,
        });
        said.collect()
    };

    batch.take(&mut inbox, later, Some(later), false).await;
    assert!(batch.rests);
    assert_eq!(sessions(&mut batch), [works.session()]);

    batch.take(&mut inbox, later, None, false).await;
    assert!(!batch.rests);
    assert_eq!(sessions(&mut batch), [comes.session()]);
}

#[tokio::test]
async fn a_tick_waits_for_the_end_of_a_rest() {
    let (mut driven, _agent, mut framework, _offer) = Driven::with_peers().await;
    let due = Config::default().offer_timeout;
    for second in 1..=due.as_secs() {
        driven.step_at(Duration::from_secs(second), Batch { rests: true, ..Batch::default() }).await.unwrap();
    }
    assert_eq!(message(&mut framework), None);

    driven.step_at(due, Batch::default()).await.unwrap();

    let events = message(&mut framework).unwrap();
    assert!(matches!(events.first(), Some(FrameworkEvent::Rescinded(_))), "{events:?}");
}
