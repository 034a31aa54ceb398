//! What must hold after every step.

use super::*;

impl Chaos {
    /// For each agent: what is used and what is offered is there, and is what tasks and offers say. On the host
    /// itself no more runs than there is.
    pub(super) fn check_books(&self) {
        check_tally(&self.cluster, self.now);
        let mut offered: BTreeMap<AgentId, Resources> = BTreeMap::new();
        for offer in self.cluster.offers(self.now) {
            offered.entry(offer.agent).or_default().give(&offer.resources);
        }
        for agent in self.cluster.agents(self.now) {
            // What is revocable is in books of its own: it may be overused until those end that are preempted, and is not offered
            // meanwhile.
            let has = agent.info.resources.clone().with_revocable(agent.revocable.max(agent.used.revocable));
            let mut free = has.clone();
            free.take(&agent.used).unwrap_or_else(|short| panic!("{} is overused: {short}", agent.id));
            free.take(&agent.offered).unwrap_or_else(|short| panic!("{} is promised twice: {short}", agent.id));
            assert!(agent.kept <= free.disk, "{}: volumes hold {} of {}", agent.id, agent.kept, free.disk);
            assert_eq!(agent.offered, offered.get(&agent.id).cloned().unwrap_or_default());
            // And so it is of each part of it that is reserved, and of what is reserved for nobody.
            let mut unreserved = (has, agent.used.clone());
            unreserved.1.give(&agent.offered);
            unreserved.1.disk = unreserved.1.disk.saturating_add(agent.kept);
            for part in &agent.reserved {
                let mut allocated = part.used.clone();
                allocated.give(&part.offered);
                allocated.give(&part.kept);
                let has = &part.reserved.resources;
                assert!(has.contains(&allocated), "{}: {part:?}", agent.id);
                unreserved.0.take(has).unwrap_or_else(|short| panic!("{} keeps too much: {short}", agent.id));
                unreserved.1.take_up_to(&allocated);
            }
            assert!(unreserved.0.contains(&unreserved.1), "{}: {unreserved:?}", agent.id);
            let Some(host) = self.hosts.get(&agent.id).filter(|host| host.session.is_some()) else { continue };
            let mut running = Resources::default();
            for task in host.running() {
                running.give(&task.resources);
            }
            assert_eq!(agent.used, running, "{} runs something else than the master believes", agent.id);
            let Some(withdrawal) = agent.withdrawal else { continue };
            assert!(agent.offered.is_empty(), "{} takes no tasks, and is offered", agent.id);
            let is_empty = withdrawal.phase != PhaseView::Drained || running.is_empty();
            assert!(is_empty, "{} is called drained, and runs {running}", agent.id);
        }
        self.check_volumes();
        self.check_inverse_offers();
        for framework in self.cluster.frameworks() {
            let mut used = Resources::default();
            let holding = |state: TaskState| !state.is_terminal() && state != TaskState::Unreachable;
            let tasks = self.cluster.tasks();
            let its = tasks.iter().filter(|task| task.id.framework == framework.id);
            for task in its.filter(|task| holding(task.status.state)) {
                used.give(&task.resources);
            }
            let mut less = used.clone();
            less.take_up_to(&framework.used);
            assert!(less.is_empty(), "{} holds {used}, and is charged {}", framework.id, framework.used);
        }
    }

    /// Of a group of which a task came to a bad end, or cannot be seen any more, nothing goes on: what runs on an agent that is
    /// there was told to end.
    pub(super) fn check_groups(&self) {
        for (group, tasks) in &self.groups {
            if self.cluster.tenant_of(group.framework).is_none() {
                continue;
            }
            let state = |task: &TaskId| self.cluster.task(*task).map(|view| view.status.state);
            let is_bad = |state: TaskState| {
                state == TaskState::Unreachable || state.is_terminal() && state != TaskState::Finished
            };
            if !tasks.iter().filter_map(state).any(is_bad) {
                continue;
            }
            for task in tasks {
                let goes_on =
                    matches!(state(task), Some(TaskState::Staging | TaskState::Starting | TaskState::Running));
                assert!(!goes_on, "{task} goes on, though {group} has failed");
            }
            for (id, host) in self.hosts.iter().filter(|(_, host)| host.session.is_some()) {
                let lives = |task: &&TaskId| host.tasks.get(task).is_some_and(|held| !held.state.is_terminal());
                let untold = tasks.iter().filter(lives).find(|task| !host.told.contains(task));
                assert_eq!(untold, None, "{id} runs it, though {group} has failed");
            }
        }
    }

    /// What each role holds is what is offered for it, and what its tasks hold that can be told.
    pub(super) fn check_roles(&self) {
        let mut of_roles: BTreeMap<String, (Resources, Resources)> = BTreeMap::new();
        let mut add = |role: &str, used: &Resources, offered: &Resources| {
            for at in role.match_indices('/').map(|(at, _)| at).chain([role.len()]) {
                let sums = of_roles.entry(role[..at].to_owned()).or_default();
                sums.0.give(used);
                sums.1.give(offered);
            }
        };
        let nothing = Resources::default();
        let holding = |state: TaskState| !state.is_terminal() && state != TaskState::Unreachable;
        for task in self.cluster.tasks().iter().filter(|task| holding(task.status.state)) {
            if self.cluster.tenant_of(task.id.framework).is_some() {
                add(&task.role, &task.resources, &nothing);
            }
        }
        self.cluster.offers(self.now).iter().for_each(|offer| add(&offer.role, &nothing, &offer.resources));
        for role in self.cluster.roles() {
            let (used, offered) = of_roles.remove(&role.name).unwrap_or_default();
            assert_eq!(role.offered, offered, "{}", role.name);
            // What an agent runs though it should not counts as well.
            assert!(role.used.contains(&used), "{} holds {used}, and is charged {}", role.name, role.used);
        }
        assert!(of_roles.is_empty(), "of roles that are not there: {of_roles:?}");
    }

    /// A volume that is not shared is in one offer, or used by one task. None is in an offer of another role, or of another
    /// agent.
    pub(super) fn check_volumes(&self) {
        let offers = self.cluster.offers(self.now);
        for view in self.cluster.volumes_page(&Principal::owner(), None, 1_000).0 {
            let Some(host) = self.hosts.get(&view.agent).filter(|host| host.session.is_some()) else { continue };
            let users = host.running().filter(|task| task.volumes.contains(&view.id)).count();
            let its: Vec<_> =
                offers.iter().filter(|offer| offer.volumes.iter().any(|volume| volume.id == view.id)).collect();
            assert_eq!((view.users, view.offers), (users, its.len()), "{view:?}");
            assert!(its.iter().all(|offer| offer.agent == view.agent), "{view:?} is in {its:?}");
            let Some(volume) = view.known else { continue };
            assert!(volume.shared || users + its.len() <= 1, "{volume:?} is had by {users} tasks and in {its:?}");
            let is_its = |role: &str| role == volume.role() || role.starts_with(&format!("{}/", volume.role()));
            assert!(its.iter().all(|offer| is_its(&offer.role)), "{volume:?} is in {its:?}");
        }
    }

    /// Whoever holds something on an agent that will not be there is asked about it once, and nobody else is.
    pub(super) fn check_inverse_offers(&self) {
        let agents = self.cluster.agents(self.now);
        let connected: BTreeSet<_> =
            self.cluster.frameworks().iter().filter(|view| view.connected).map(|view| view.id).collect();
        let offers = self.cluster.offers(self.now);
        let holders = |agent: &AgentId| {
            let host = &self.hosts[agent];
            let runs = |id: &TaskId| {
                let known = self.cluster.task(*id).is_some_and(|task| !task.status.state.is_terminal());
                known && !host.tasks[id].state.is_terminal()
            };
            let by_task = host.tasks.keys().filter(|id| runs(id)).map(|id| id.framework);
            let by_offer = offers.iter().filter(|offer| offer.agent == *agent).map(|offer| offer.framework);
            by_task.chain(by_offer).filter(|id| connected.contains(id)).collect::<BTreeSet<_>>().len()
        };
        for window in self.cluster.maintenance_page(None, 1_000).0 {
            let is_next = |view: &&AgentView| {
                window.maintenance.agents.contains(&view.id) && view.unavailability == Some(window.maintenance.when)
            };
            let there: Vec<_> = agents.iter().filter(is_next).collect();
            let is_host = |id: &AgentId| self.hosts.get(id).is_some_and(|host| host.session.is_some());
            let are_all_known = window.maintenance.agents.iter().all(is_host);
            if !window.has_begun && are_all_known && there.len() == window.maintenance.agents.len() {
                let asked = window.unanswered + window.accepted + window.declined;
                let holding: usize = there.iter().map(|view| holders(&view.id)).sum();
                assert_eq!(asked, holding, "asked about {}", window.id);
            }
        }
    }
}

/// All tasks of a group are launched in one go.
pub(super) fn check_groups_are_launched_whole(effects: &[Effect]) {
    let mut launched: BTreeMap<TaskId, (u32, u32)> = BTreeMap::new();
    for effect in effects {
        if let Effect::ToAgent(_, AgentOrder::Launch(spec)) = effect
            && let Some(group) = spec.group
        {
            let (count, size) = launched.entry(group.id(spec.id.framework)).or_default();
            (*count, *size) = (*count + 1, group.size);
        }
    }
    for (group, (count, size)) in launched {
        assert_eq!(count, size, "of {group}");
    }
}
