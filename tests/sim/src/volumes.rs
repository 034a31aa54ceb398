//! Volumes: what frameworks and operators have done to them, the folders on machines, and what must be true of both.

use std::collections::BTreeSet;

use haggle_core::access::Principal;
use haggle_core::cluster::{AgentCommand, Cluster, OperatorCommand, VolumeView};
use haggle_core::{
    AgentId, Bytes, Folder, FolderSource, Grants, MilliCpu, Offer, OfferOperation, Operation, RequestId, Resources,
    TaskId, VolumeId, VolumeOperation,
};

use crate::plan::{MS, ROLES, S};
use crate::say;
use crate::world::World;

/// Names are few, so that two want the same one.
const NAMES: u64 = 6;

impl World {
    fn disk_for_volumes(&mut self) -> Resources {
        Resources::new(MilliCpu::ZERO, Bytes::ZERO, Bytes::from_mib(self.rng.range(2, 8)))
    }

    fn name_of_volume(&mut self) -> String {
        format!("data-{}", self.rng.below(NAMES))
    }

    /// What a framework does to the volumes that it is offered, or to get one.
    pub(crate) fn volume_operations(&mut self, offer: &Offer) -> Vec<OfferOperation> {
        if !offer.volumes.is_empty() && self.rng.chance(500) {
            let volume = &offer.volumes[self.rng.index(offer.volumes.len())];
            let operation = match self.rng.chance(500) {
                true => VolumeOperation::Destroy(volume.id),
                false => VolumeOperation::Share { volume: volume.id, shared: !volume.shared },
            };
            return vec![operation.into()];
        }
        let (role, resources, name) = (offer.role.clone(), self.disk_for_volumes(), self.name_of_volume());
        let size = Bytes::from_mib(self.rng.range(1, 4));
        let reserve = Operation::Reserve { role: role.clone(), within: None, resources };
        vec![reserve.into(), VolumeOperation::Create { role, name, size }.into()]
    }

    /// What a task mounts of an offer: nothing, or one of its volumes. Now and then it would write what is shared.
    pub(crate) fn mounts(&mut self, offer: &Offer) -> Grants {
        if offer.volumes.is_empty() || self.rng.chance(300) {
            return Grants::default();
        }
        let volume = &offer.volumes[self.rng.index(offer.volumes.len())];
        let writable = if self.rng.chance(100) { self.rng.chance(500) } else { !volume.shared };
        let source = FolderSource::Volume { volume: volume.id, writable };
        Grants { folders: vec![Folder { guest_path: "/data".to_owned(), source }], ..Grants::default() }
    }

    /// An operator makes a volume, destroys one, or has it shared.
    pub(crate) fn operator_on_volumes(&mut self, agent: AgentId) {
        let role = ROLES[self.rng.index(ROLES.len())].to_owned();
        let all: Vec<VolumeId> = self.store.volumes().collect();
        let known = (!all.is_empty()).then(|| all[self.rng.index(all.len())]);
        let commands = match (self.rng.below(4), known) {
            (0, Some(volume)) => vec![OperatorCommand::DestroyVolume(volume)],
            (1, Some(volume)) => vec![OperatorCommand::ShareVolume { volume, shared: self.rng.chance(500) }],
            _ => {
                let (resources, name) = (self.disk_for_volumes(), self.name_of_volume());
                let size = Bytes::from_mib(self.rng.range(1, 4));
                let reserve = Operation::Reserve { role: role.clone(), within: None, resources };
                vec![
                    OperatorCommand::Reserve(agent, reserve),
                    OperatorCommand::CreateVolume { agent, role, name, size },
                ]
            }
        };
        for command in commands {
            let request = RequestId(self.rng.wide());
            self.operator(request, &command);
        }
    }

    /// Nothing is kept for ever, nor what is on a machine's disk and of which nobody knows.
    pub(crate) fn destroy_volumes(&mut self) {
        let folders = self.agents.iter().flat_map(|agent| agent.disk.volumes.iter().copied());
        let all: BTreeSet<VolumeId> = self.store.volumes().chain(folders).collect();
        for volume in all {
            let request = RequestId(self.rng.wide());
            self.operator(request, &OperatorCommand::DestroyVolume(volume));
        }
    }

    /// An operator has waited for this machine, to remove a volume there.
    pub(crate) fn operator_has_waited(&mut self, at: usize) {
        if !self.faulty || !self.rng.chance(200) || self.agents[at].disk.volumes.is_empty() {
            return;
        }
        let volumes: Vec<VolumeId> = self.agents[at].disk.volumes.iter().copied().collect();
        let volume = volumes[self.rng.index(volumes.len())];
        let request = RequestId(self.rng.wide());
        self.operator(request, &OperatorCommand::DestroyVolume(volume));
    }

    pub(crate) fn tell_volumes(&mut self, at: usize) {
        let held = self.agents[at].disk.volumes.iter().copied().collect();
        self.report(at, AgentCommand::Volumes(held));
    }

    /// An agent makes or removes a folder, and says what it holds then. It may die over it, or its disk may refuse: then all of it
    /// is done, or nothing.
    pub(crate) fn changes_volume(&mut self, at: usize, volume: VolumeId, is_to_be: bool) {
        if !is_to_be {
            self.check_removal(at, volume);
        }
        let fails = self.faulty && self.rng.chance(self.plan.torn_files);
        let dies = fails && self.rng.chance(700);
        if !fails || (dies && self.rng.chance(500)) {
            let volumes = &mut self.agents[at].disk.volumes;
            if is_to_be {
                volumes.insert(volume)
            } else {
                volumes.remove(&volume)
            };
        }
        if dies {
            say!(self, "agent {at} dies over {volume}");
            self.crash_agent(at);
            let wait = self.rng.range(10 * MS, 2 * S);
            return self.start_agent(at, wait);
        }
        self.tell_volumes(at);
    }

    /// The tasks of a machine that mount volumes and have not ended: which, and whether they write it.
    fn mounted(&self, at: usize) -> impl Iterator<Item = (TaskId, VolumeId, bool)> {
        let agent = &self.agents[at];
        let runs = agent.executor.iter().filter(|(_, held)| held.ending.is_none());
        let runs =
            runs.flat_map(|(&task, held)| held.mounts.iter().map(move |&(volume, writes)| (task, volume, writes)));
        let fetching = agent.process.iter().flat_map(|process| process.fetching.values());
        let fetching =
            fetching.flat_map(|spec| spec.grants.volumes().map(|(volume, writes)| (spec.id, volume, writes)));
        runs.chain(fetching)
    }

    /// Two machines under one id hold each what the other was told to make, and tasks under one number are taken for each other.
    fn is_confused(&self, at: usize, tasks: &[TaskId]) -> bool {
        let copied = self.agents[at].disk.member.is_some_and(|member| self.oracle.copied.contains(&member.id));
        let reused = |task: &TaskId| self.oracle.tasks.get(task).is_none_or(|truth| truth.reused || truth.doubtful);
        copied || tasks.iter().any(reused) || !self.is_of_this_cluster(at)
    }

    /// Whoever writes a volume is alone with it.
    pub(crate) fn check_mounts(&mut self, at: usize) {
        let mounted: Vec<_> = self.mounted(at).collect();
        for &(task, volume, _) in mounted.iter().filter(|(_, _, writes)| *writes) {
            let others = mounted.iter().find(|(other, its, _)| *its == volume && *other != task);
            if let Some(&(other, ..)) = others
                && !self.is_confused(at, &[task, other])
            {
                return self.oracle.fail(format!("{task} writes {volume} on agent {at}, and {other} has it as well"));
            }
        }
    }

    /// Whether a task finds what it mounts. What it was offered is there.
    pub(crate) fn finds_its_volumes(&mut self, at: usize, task: TaskId, mounts: &[(VolumeId, bool)]) -> bool {
        let folders = &self.agents[at].disk.volumes;
        let Some(&(missing, _)) = mounts.iter().find(|(volume, _)| !folders.contains(volume)) else { return true };
        if !self.is_confused(at, &[task]) {
            self.oracle.fail(format!("{task} is to mount {missing}, which is not on agent {at}"));
        }
        false
    }

    /// Nothing is removed that a task uses.
    fn check_removal(&mut self, at: usize, volume: VolumeId) {
        let user = self.mounted(at).find(|(_, its, _)| *its == volume);
        if let Some((task, ..)) = user
            && !self.is_confused(at, &[task])
        {
            self.oracle.fail(format!("{volume} is removed from agent {at}, and {task} uses it"));
        }
    }

    /// Nothing is decided while the registry is written: then it remembers the volumes that the master knows. Those that were made are
    /// on their machines, and only what is shared is promised more than once.
    pub(crate) fn check_volumes(&mut self, at: usize) {
        let Some(lead) = &self.masters[at].lead else { return };
        if lead.epoch.0 != self.store.epoch || lead.of != self.store.cluster {
            return;
        }
        let all = volumes(&lead.cluster);
        let known: BTreeSet<VolumeId> = all.iter().filter(|view| view.known.is_some()).map(|view| view.id).collect();
        let remembered: BTreeSet<VolumeId> = self.store.volumes().collect();
        let mut wrong = None;
        if known != remembered {
            wrong = Some(format!("the volumes {known:?} are known, and {remembered:?} remembered"));
        }
        for VolumeView { id, agent, known, users, offers, .. } in all {
            let Some(volume) = known.filter(|_| !self.oracle.copied.contains(&agent)) else { continue };
            if users + offers > 1 && !volume.shared {
                wrong = Some(format!("{id} is used by {users} tasks, and in {offers} offers"));
            }
            let its_disk = self.agents.iter().map(|agent| &agent.disk).find(|disk| {
                disk.member.is_some_and(|member| member.id == agent && member.cluster == self.store.cluster)
            });
            if volume.made && its_disk.is_some_and(|disk| !disk.volumes.contains(&id)) {
                wrong = Some(format!("{id} was made on {agent}, and is lost"));
            }
        }
        if let Some(wrong) = wrong {
            self.oracle.fail(wrong);
        }
    }
}

/// All that a master knows or was told of.
pub(crate) fn volumes(cluster: &Cluster) -> Vec<VolumeView> {
    cluster.volumes_page(&Principal::owner(), None, usize::MAX).0
}
