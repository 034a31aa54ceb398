//! How it is done what peers and time may do.

use super::steps::*;
use super::*;

impl Chaos {
    fn connected_agent(&self, pick: usize) -> Option<(AgentId, SessionId)> {
        let connected: Vec<_> = self.hosts.iter().filter_map(|(&id, host)| Some((id, host.session?))).collect();
        connected.get(pick % connected.len().max(1)).copied()
    }

    fn connected_framework(&self, pick: usize) -> Option<Peer<FrameworkId>> {
        let connected: Vec<_> =
            self.frameworks.iter().filter_map(|(&id, &session)| Some(Peer { id, session: session? })).collect();
        connected.get(pick % connected.len().max(1)).copied()
    }

    fn framework_says(&mut self, pick: usize, command: impl FnOnce(&mut Self, Peer<FrameworkId>) -> FrameworkCommand) {
        if let Some(framework) = self.connected_framework(pick) {
            let command = command(self, framework);
            self.apply(Command::Framework(framework.session, command.into()));
        }
    }

    fn any_agent(&self, pick: usize) -> Option<AgentId> {
        let all: Vec<_> = self.hosts.keys().copied().collect();
        all.get(pick % all.len().max(1)).copied()
    }

    fn any_volume(&self, pick: usize) -> Option<VolumeId> {
        let all = self.cluster.volumes_page(&Principal::owner(), None, 1_000).0;
        all.get(pick % all.len().max(1)).map(|view| view.id)
    }

    /// The wall clock goes with the cluster's time here.
    fn wall_ms(&self) -> u64 {
        1_000_000 + self.now.as_nanos() / 1_000_000
    }

    fn any_task(&self, framework: FrameworkId, pick: usize) -> TaskId {
        let its: Vec<_> = self.launched.iter().filter(|task| task.framework == framework).collect();
        its.get(pick % (its.len() + 1)).map_or(TaskId { framework, number: 999_999 }, |&&task| task)
    }

    fn accept(&mut self, offers: [usize; 2], operation: usize, cpus: [u64; 2], refuse: u64) {
        let (writes, volumes) = (operation % 4 < 2, operation % 5 < 3);
        let wanted = operation;
        let operation = operation.is_multiple_of(3).then(|| operation_of(operation));
        self.framework_says(offers[0], |world, framework| {
            let open = world.cluster.offers(world.now);
            let pick = |pick: usize| open.get(pick % open.len().max(1)).map_or(OfferId(999_999), |offer| offer.id);
            let its = open.iter().find(|offer| offer.framework == framework.id).map(|offer| offer.id);
            // Mostly its own, so that something is launched.
            let offers = match (its, offers[1] % 4) {
                (Some(its), 1..) => vec![its],
                _ => offers.map(pick).to_vec(),
            };
            let has = open.iter().filter(|offer| offers.contains(&offer.id)).flat_map(|offer| &offer.volumes);
            let has: Vec<VolumeId> = has.map(|volume| volume.id).collect();
            let revocable = offers
                .iter()
                .any(|offer| open.iter().any(|open| open.id == *offer && !open.resources.revocable.is_zero()));
            let tasks = cpus.map(|cpus| {
                world.last_task += 1;
                let mut spec = task(framework, world.last_task, cpus, 128 * cpus);
                if revocable {
                    spec.resources = revocable_size(cpus);
                }
                for &volume in has.iter().filter(|_| volumes) {
                    let source = FolderSource::Volume { volume, writable: writes };
                    spec.grants.folders.push(Folder { guest_path: format!("/{volume}"), source });
                }
                Arc::new(spec)
            });
            let of_volume = has.first().filter(|_| wanted % 7 < 2).map(|&volume| match wanted % 7 {
                0 => VolumeOperation::Destroy(volume),
                _ => VolumeOperation::Share { volume, shared: wanted.is_multiple_of(2) },
            });
            let made = (wanted % 7 == 2).then(|| VolumeOperation::Create {
                role: ROLES[wanted % 3].to_owned(),
                name: format!("volume {}", wanted % 5),
                size: Bytes::from_mib(64),
            });
            let of_volumes = of_volume.into_iter().chain(made).map(OfferOperation::from);
            FrameworkCommand::Accept {
                offers,
                operations: operation.into_iter().map(OfferOperation::from).chain(of_volumes).collect(),
                tasks: tasks.to_vec(),
                refuse: Duration::from_secs(refuse),
            }
        });
    }

    /// On all that a framework is offered for one role, or with a task too many.
    fn launch_group(&mut self, framework: usize, cpus: [u64; 3], whole: bool) {
        self.framework_says(framework, |world, framework| {
            let mut open = world.cluster.offers(world.now);
            open.retain(|offer| offer.framework == framework.id);
            let role = open.first().map(|offer| offer.role.clone());
            open.retain(|offer| Some(&offer.role) == role.as_ref());
            let mut tasks = Vec::new();
            for (at, cpus) in cpus.into_iter().enumerate() {
                let Some(offer) = open.get(at % open.len().max(1)) else { continue };
                world.last_task += 1;
                let cpus = if whole { cpus.min(offer.resources.cpus.get() / 3_000).max(1) } else { cpus };
                let task = Arc::new(TaskSpec { ..task(framework, world.last_task, cpus, 128) });
                tasks.push(Placed { agent: offer.agent, task });
            }
            let offers = open.iter().map(|offer| offer.id).collect();
            // Half of them reserve something on each agent before, or unreserve it.
            let operation = operation_of((cpus[0] + cpus[1] % 2 * 3) as usize);
            let on = |offer: &OfferView| PlacedOperation { agent: offer.agent, operation: operation.clone().into() };
            let operations = open.iter().filter(|_| cpus[2] == 1).map(on).collect();
            FrameworkCommand::LaunchGroup { offers, operations, tasks, refuse: Duration::ZERO }
        });
    }

    pub(super) fn return_agent(&mut self, id: AgentId, forgets: bool) {
        let session = self.session();
        let host = self.hosts.get_mut(&id).expect("it was picked");
        host.session = Some(session);
        host.told.clear();
        if forgets {
            host.tasks.clear();
        }
        let tasks = host.tasks.values().cloned().collect();
        let info = AgentInfo { reserved: keeps(id.0 as usize), ..agent_info(whole()) };
        let identity = AgentIdentity { member: Some(member(id)), key: AgentKey(u128::from(id.0)), run: 1 };
        self.apply(Command::Agent(session, AgentCommand::Register { identity, info, tasks, complete: true }));
        self.tell_volumes(id);
    }

    fn tell_volumes(&mut self, id: AgentId) {
        let host = &self.hosts[&id];
        if let Some(session) = host.session {
            let volumes = host.volumes.iter().copied().collect();
            self.apply(Command::Agent(session, AgentCommand::Volumes(volumes)));
        }
    }

    pub(super) fn move_task(&mut self, id: AgentId, session: SessionId, task: TaskId, state: TaskState) {
        let host = self.hosts.get_mut(&id).expect("it was picked");
        let held = host.tasks.get_mut(&task).expect("it was picked");
        // An agent repeats an end that is not acknowledged, and never takes it back.
        if !held.state.is_terminal() {
            held.state = state;
            *host.updates.entry(task).or_default() += 1;
            held.update = UpdateId(host.updates[&task]);
        }
        let status = TaskStatus::new(task, UpdateId(host.updates[&task]), held.state, Source::Executor);
        self.apply(Command::Agent(session, AgentCommand::Updates(vec![status])));
    }

    pub(super) fn step(&mut self, step: Step) {
        match step {
            Step::AgentJoins => {
                let session = self.session();
                self.last_agent += 1;
                let info = AgentInfo { reserved: keeps(self.last_agent as usize), ..agent_info(whole()) };
                let identity = AgentIdentity { member: None, key: AgentKey(self.last_agent), run: 1 };
                let register = AgentCommand::Register { identity, info, tasks: vec![], complete: true };
                self.apply(Command::Agent(session, register));
            }
            Step::AgentReturns(pick, forgets) => {
                if let Some(id) = self.any_agent(pick) {
                    self.return_agent(id, forgets);
                }
            }
            Step::AgentDisconnects(pick) => {
                if let Some((id, session)) = self.connected_agent(pick) {
                    self.hosts.get_mut(&id).expect("it was picked").session = None;
                    self.apply(Command::Disconnected(session));
                }
            }
            Step::AgentDrains(pick) => {
                if let Some((_, session)) = self.connected_agent(pick) {
                    self.apply(Command::Agent(session, AgentCommand::Drain));
                }
            }
            Step::AgentLeaves(pick) => {
                if let Some((id, session)) = self.connected_agent(pick) {
                    self.hosts.get_mut(&id).expect("it was picked").tasks.clear();
                    self.apply(Command::Agent(session, AgentCommand::Leave));
                }
            }
            Step::TaskMoves(agent, task, state) => {
                let Some((id, session)) = self.connected_agent(agent) else { return };
                let held: Vec<_> = self.hosts[&id].tasks.keys().copied().collect();
                if let Some(&task) = held.get(task % held.len().max(1)) {
                    self.move_task(id, session, task, state);
                }
            }
            Step::AgentRemoved(pick) => {
                if let Some(id) = self.any_agent(pick) {
                    self.hosts.get_mut(&id).expect("it was picked").tasks.clear();
                    self.operator_says(OperatorCommand::RemoveAgent(id));
                }
            }
            Step::AgentWithdrawn(pick, drain) => {
                let Some(agent) = self.any_agent(pick) else { return };
                self.operator_says(match drain {
                    None => OperatorCommand::Deactivate(agent),
                    Some((grace, mark_gone)) => {
                        OperatorCommand::Drain { agent, grace: Duration::from_secs(grace), mark_gone }
                    }
                });
            }
            Step::AgentReactivated(pick) => {
                if let Some(agent) = self.any_agent(pick) {
                    self.operator_says(OperatorCommand::Reactivate(agent));
                }
            }
            Step::MaintenanceScheduled(agents, start, lasts) => {
                let agents = agents.into_iter().filter_map(|pick| self.any_agent(pick)).collect();
                let wall_ms = self.wall_ms();
                let when = Unavailability { start_ms: wall_ms + start * 1_000, duration_ms: lasts * 1_000 };
                let maintenance = Maintenance { agents, when, grace: Duration::from_secs(lasts / 4) };
                self.operator_says(OperatorCommand::Schedule { maintenance, wall_ms });
            }
            Step::MaintenanceCancelled(id) => {
                self.operator_says(OperatorCommand::CancelMaintenance(MaintenanceId(id)));
            }
            Step::AnswersInverse(pick, refuse) => self.framework_says(pick, |world, framework| {
                let its = world.asked.extract_if(.., |(session, _)| *session == framework.session);
                let offers = its.map(|(_, id)| id).collect();
                match refuse.map(Duration::from_secs) {
                    None => FrameworkCommand::AcceptInverse(offers),
                    Some(refuse) => FrameworkCommand::DeclineInverse { offers, refuse },
                }
            }),
            Step::TokenRevoked(pick) => {
                let id = TokenId(pick as u64 % (self.last_token + 1));
                self.operator_says(OperatorCommand::RevokeToken(id));
            }
            Step::FrameworkJoins(role) => {
                let session = match role % 2 {
                    0 => self.session(),
                    _ => {
                        let who = self.token();
                        self.session_of(who)
                    }
                };
                let info = in_roles(role);
                self.apply(Command::Framework(session, FrameworkCommand::Subscribe { member: None, info }.into()));
            }
            Step::FrameworkReturns(pick, roles) => {
                let all: Vec<_> = self.frameworks.keys().copied().collect();
                if let Some(&id) = all.get(pick % all.len().max(1)) {
                    let session = self.session();
                    let info = FrameworkInfo { failover_timeout: Duration::from_secs(20), ..in_roles(roles) };
                    let subscribe = FrameworkCommand::Subscribe { member: Some(member(id)), info };
                    self.apply(Command::Framework(session, subscribe.into()));
                }
            }
            Step::FrameworkChanges(pick, roles) => {
                self.framework_says(pick, |_, _| FrameworkCommand::Update(in_roles(roles)));
            }
            Step::FrameworkDisconnects(pick) => {
                if let Some(framework) = self.connected_framework(pick) {
                    self.frameworks.insert(framework.id, None);
                    self.apply(Command::Disconnected(framework.session));
                }
            }
            Step::Accepts { offers, operation, cpus, refuse } => self.accept(offers, operation, cpus, refuse),
            Step::LaunchesGroup { framework, cpus, whole } => self.launch_group(framework, cpus, whole),
            Step::Reserves(pick, operation) => {
                let all: Vec<_> = self.hosts.keys().copied().collect();
                if let Some(&id) = all.get(pick % all.len().max(1)) {
                    self.operator_says(OperatorCommand::Reserve(id, operation_of(operation)));
                }
            }
            Step::VolumeMade(pick, role) => {
                let Some(agent) = self.any_agent(pick) else { return };
                self.operator_says(OperatorCommand::CreateVolume {
                    agent,
                    role: ROLES[role % 3].to_owned(),
                    name: format!("volume {}", role % 5),
                    size: Bytes::from_mib(64),
                });
            }
            Step::VolumeDestroyed(pick) => {
                if let Some(volume) = self.any_volume(pick) {
                    self.operator_says(OperatorCommand::DestroyVolume(volume));
                }
            }
            Step::VolumeShared(pick, shared) => {
                if let Some(volume) = self.any_volume(pick) {
                    self.operator_says(OperatorCommand::ShareVolume { volume, shared });
                }
            }
            Step::AgentTellsVolumes(pick) => {
                if let Some((id, _)) = self.connected_agent(pick) {
                    self.tell_volumes(id);
                }
            }
            Step::Declines(pick, refuse) => self.framework_says(pick, |world, framework| {
                let open = world.cluster.offers(world.now).into_iter().filter(|offer| offer.framework == framework.id);
                let refuse = Duration::from_secs(refuse);
                FrameworkCommand::Decline { offers: open.map(|offer| offer.id).collect(), refuse }
            }),
            Step::Kills(pick) => {
                self.framework_says(pick, |world, framework| {
                    FrameworkCommand::Kill(world.any_task(framework.id, pick))
                });
            }
            Step::KilledByOperator(pick) => {
                let task = self.launched.iter().nth(pick % (self.launched.len() + 1)).copied();
                let nobodys = TaskId { framework: FrameworkId(1), number: 999_999 };
                let kill = OperatorCommand::KillTask(task.unwrap_or(nobodys));
                self.apply(Command::Operator(Principal::owner(), None, kill));
            }
            Step::Acknowledges(pick) => self.framework_says(pick, |world, framework| {
                let its = |&(task, _): &(TaskId, UpdateId)| task.framework == framework.id;
                let acknowledged = world.heard.extract_if(.., |heard| its(heard));
                let acknowledged = acknowledged.map(|(task, update)| Acknowledgement { task, update, agent: None });
                FrameworkCommand::Acknowledge(acknowledged.collect())
            }),
            Step::Reconciles(pick) => self.framework_says(pick, |world, framework| {
                FrameworkCommand::Reconcile(vec![Question { task: world.any_task(framework.id, pick), agent: None }])
            }),
            Step::Revives(pick, of) => self.framework_says(pick, |_, _| FrameworkCommand::Revive { role: one_of(of) }),
            Step::Wants(pick, of, [waiting, spare]) => self.framework_says(pick, |_, _| {
                let resources = if pick.is_multiple_of(3) { revocable_size(1) } else { size(1, 128) };
                let want = Want { resources, constraints: vec![], volumes: vec![], waiting, spare, gang: 0 };
                FrameworkCommand::Demand { role: one_of(of), wants: vec![want] }
            }),
            Step::Quota(pick, least, most) => {
                let limit = Ceiling { cpus: Some(MilliCpu::from_cores(most)), ..Ceiling::default() };
                let quota = Some(Quota { guarantee: size(least, 0), limit });
                let role = ROLES[pick % 3].to_owned();
                let command = OperatorCommand::SetQuota { role, quota: quota.filter(|_| most > 0), force: true };
                self.apply(Command::Operator(Principal::owner(), None, command));
            }
            Step::Measures(pick, cpus) => {
                let Some((id, session)) = self.connected_agent(pick) else { return };
                self.apply(Command::Agent(session, AgentCommand::Unused(MilliCpu::from_cores(cpus))));
                let ends = |state: TaskState| state.is_terminal() || state == TaskState::Killing;
                let tasks = self.cluster.tasks();
                let live = tasks.iter().filter(|task| task.agent == id && !ends(task.status.state));
                let live: u64 = live.map(|task| task.resources.revocable.get()).sum();
                assert!(live <= cpus * 1000, "{id} has {cpus} revocable cpus, and runs {live} thousandths on them");
            }
            Step::Suppresses(pick, of) => {
                self.framework_says(pick, |_, _| FrameworkCommand::Suppress { role: one_of(of) });
            }
            Step::TearsDown(pick) => self.framework_says(pick, |_, _| FrameworkCommand::Teardown),
            Step::Nonsense(pick) => self.nonsense(pick),
            Step::TimePasses(seconds) => {
                self.now = self.now + Duration::from_secs(seconds);
                self.apply(Command::Tick);
                let wall_ms = self.wall_ms();
                if self.cluster.wall_clock_is_due(wall_ms) {
                    self.apply(Command::WallClock(wall_ms));
                }
            }
        }
    }

    /// Commands that are refused: of sessions that do not exist, of the wrong kind, or a second introduction.
    fn nonsense(&mut self, pick: usize) {
        let nobody = SessionId(999_999);
        let session = self.connected_framework(pick).map_or(nobody, |framework| framework.session);
        self.apply(Command::Agent(session, AgentCommand::Leave));
        self.apply(Command::Framework(nobody, FrameworkCommand::Teardown.into()));
        let again = FrameworkCommand::Subscribe { member: None, info: framework_info("a") };
        if session != nobody {
            self.apply(Command::Framework(session, again.into()));
        }
        let foreign = TaskId { framework: FrameworkId(999), number: 1 };
        self.apply(Command::Framework(session, FrameworkCommand::Kill(foreign).into()));
        let question = Question { task: foreign, agent: None };
        self.apply(Command::Framework(session, FrameworkCommand::Reconcile(vec![question]).into()));
    }
}
