mod versions;

use std::fs;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use haggle_core::access::{Enrolment, PrincipalId, Roles, TokenKind, TokenRecord};
use haggle_core::cluster::{AgentRecord, FrameworkInfo, FrameworkRecord};
use haggle_core::{
    AgentInfo, AgentKey, Bytes, Cause, Ceiling, Digest, Drain, Maintenance, MilliCpu, Phase, Placement, Quota,
    Reservation, Reserved, Resources, RoleRecord, Unavailability, Volume, VolumeId, Withdrawal,
};
use haggle_proto::v1;
use prost::Message;
use redb::StorageError;
use redb::backends::InMemoryBackend;
use tempfile::TempDir;

use super::*;
use crate::registry::NoRegistry;

impl LocalRegistry {
    /// A registry on something that is no file. `backend` gives the same bytes each time.
    fn on<B: StorageBackend>(backend: impl Fn() -> io::Result<B> + Send + 'static) -> Self {
        let file = PathBuf::from("(not in a file)");
        let open = {
            let file = file.clone();
            move || {
                let backend = backend().map_err(|source| store_error(&file, StorageError::Io(source)))?;
                open_on(backend).map_err(|source| store_error(&file, source))
            }
        };
        Self { open: Box::new(open), file, database: None, epoch: Epoch::default() }
    }
}

/// A disk that outlives the store above it, and can be told to fail.
#[derive(Clone, Debug, Default)]
pub(crate) struct FailingDisk {
    memory: Arc<InMemoryBackend>,
    full: Arc<AtomicBool>,
    unsynced: Arc<AtomicBool>,
}

impl FailingDisk {
    pub(crate) fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }

    /// From now on, what is written never arrives; the disk says that it lacks room for it.
    pub(crate) fn fail_to_sync(&self) {
        self.unsynced.store(true, Ordering::Relaxed);
    }

    pub(crate) fn registry(&self) -> LocalRegistry {
        let disk = self.clone();
        LocalRegistry::on(move || Ok(disk.clone()))
    }

    fn has_room(&self) -> io::Result<()> {
        if self.full.load(Ordering::Relaxed) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl StorageBackend for FailingDisk {
    fn len(&self) -> io::Result<u64> {
        self.memory.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.memory.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.has_room()?;
        self.memory.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.unsynced.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.memory.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.has_room()?;
        self.memory.write(offset, data)
    }
}

/// Something of an agent that is reserved.
fn reserved() -> Vec<Reserved> {
    let reservation = Reservation::new("eng").unwrap().refined("eng/batch").unwrap();
    let resources = Resources::new(MilliCpu::from_cores(1), Bytes::from_mib(512), Bytes::ZERO);
    vec![Reserved { reservation, resources }]
}

/// A volume of that.
fn volumes() -> Vec<Volume> {
    let reservation = reserved().remove(0).reservation;
    let id = VolumeId { agent: AgentId(1), number: 3 };
    let (name, size, creator) = ("data".to_owned(), Bytes::from_mib(5), "framework:ci".parse().unwrap());
    vec![Volume { id, name, reservation, size, shared: true, creator, made: true }]
}

fn agent(name: &str) -> AgentRecord {
    let resources = Resources::new(MilliCpu::from_cores(2), Bytes::from_mib(64), Bytes::ZERO).with_scalar("gpu", 500);
    let attributes = [("zone".to_owned(), "a".to_owned())].into();
    AgentRecord {
        info: AgentInfo { name: name.to_owned(), resources, attributes, ..AgentInfo::default() },
        key: AgentKey(7 << 100),
        unreachable_since: Some(Now::from_millis(3)),
        certified: true,
        reserved: reserved(),
        volumes: volumes(),
        last_volume: 7,
    }
}

fn framework(name: &str) -> FrameworkRecord {
    let info = FrameworkInfo {
        name: name.to_owned(),
        roles: vec![FrameworkInfo::DEFAULT_ROLE.to_owned()],
        failover_timeout: Duration::from_secs(7),
    };
    FrameworkRecord { info, principal: "framework:ci".parse().unwrap() }
}

fn token(kind: TokenKind) -> TokenRecord {
    TokenRecord {
        name: "ci".into(),
        kind,
        hash: Digest([9; 32]),
        made_ms: 1,
        expires_ms: 2,
        made_by: "owner".into(),
        revoked: true,
        authority: Some(Digest([3; 32])),
    }
}

fn role(weight: u32) -> RoleRecord {
    let guarantee = Resources::new(MilliCpu::from_cores(2), Bytes::from_mib(64), Bytes::ZERO);
    let limit = Ceiling { cpus: Some(MilliCpu::from_cores(4)), ..Ceiling::default() };
    RoleRecord {
        weight: NonZeroU32::new(weight),
        quota: Some(Quota { guarantee, limit }),
        placement: Some(Placement::Spread),
        min_allocatable: Some(Resources::new(MilliCpu::new(500), Bytes::ZERO, Bytes::ZERO).with_scalar("gpu", 1000)),
    }
}

fn open(folder: &TempDir) -> (LocalRegistry, Recovered, Now) {
    let mut registry = LocalRegistry::new(folder.path());
    let (recovered, clock) = registry.recover().unwrap();
    (registry, recovered, clock)
}

fn refusal(folder: &Path) -> RegistryError {
    LocalRegistry::new(folder).recover().unwrap_err()
}

#[test]
fn a_restart_remembers_who_was_there_and_when() {
    let folder = TempDir::new().unwrap();
    let (mut registry, new, origin) = open(&folder);
    assert_ne!(new.cluster, ClusterId::default());
    let nothing = Recovered { cluster: new.cluster, epoch: Epoch(1), ..Recovered::default() };
    assert_eq!((new, origin), (nothing.clone(), Now::ZERO));

    let changes = [
        Change::AgentRecorded(AgentId(1), agent("a")),
        Change::AgentRecorded(AgentId(1), agent("b")),
        Change::FrameworkSubscribed(FrameworkId(4), framework("f")),
        Change::AgentEnrolled(AgentId(7), enrolment(true)),
        Change::AgentEnrolled(AgentId(8), enrolment(false)),
        Change::AgentEnrolled(AgentId(9), enrolment(true)),
        Change::EnrolmentEnded(AgentId(9)),
        Change::TokenRecorded(TokenId(u64::MAX), token(TokenKind::Operator)),
        Change::TokenRecorded(TokenId(0), token(TokenKind::Operator)),
        Change::TokenRemoved(TokenId(0)),
        Change::RoleRecorded("eng/batch".to_owned(), role(3)),
        Change::RoleRecorded("eng/batch".to_owned(), role(2)),
        Change::RoleRecorded("ops".to_owned(), role(1)),
        Change::RoleRecorded("ops".to_owned(), RoleRecord::default()),
        Change::AgentWithdrawn(AgentId(1), withdrawal(Phase::Deactivated, Cause::Operator)),
        Change::AgentWithdrawn(AgentId(1), draining()),
        Change::AgentWithdrawn(AgentId(7), withdrawal(Phase::Drained, Cause::Maintenance(MaintenanceId(3)))),
        Change::AgentWithdrawn(AgentId(8), draining()),
        Change::AgentReactivated(AgentId(8)),
        Change::MaintenanceRecorded(MaintenanceId(3), maintenance(&[1, 7])),
        Change::MaintenanceRecorded(MaintenanceId(3), maintenance(&[7])),
        Change::MaintenanceRecorded(MaintenanceId(5), maintenance(&[1])),
        Change::MaintenanceEnded(MaintenanceId(5)),
    ];
    registry.write(Now::from_millis(1234), &changes.iter().collect::<Vec<_>>()).unwrap();
    drop(registry);

    let remembered = Recovered {
        epoch: Epoch(2),
        agents: vec![(AgentId(1), agent("b"))],
        frameworks: vec![(FrameworkId(4), framework("f"))],
        enrolled: vec![(AgentId(7), enrolment(true)), (AgentId(8), enrolment(false))],
        tokens: vec![(TokenId(u64::MAX), token(TokenKind::Operator))],
        roles: vec![("eng/batch".to_owned(), role(2))],
        withdrawn: vec![
            (AgentId(1), draining()),
            (AgentId(7), withdrawal(Phase::Drained, Cause::Maintenance(MaintenanceId(3)))),
        ],
        maintenance: vec![(MaintenanceId(3), maintenance(&[7]))],
        last_maintenance: 5,
        last_agent: 9,
        last_framework: 4,
        ..nothing
    };
    let (_registry, recovered, clock) = open(&folder);
    assert_eq!((recovered, clock), (remembered, Now::from_millis(1234)));
}

pub(crate) fn withdrawal(phase: Phase, cause: Cause) -> Withdrawal {
    Withdrawal { phase, since: Now::from_millis(11), cause }
}

pub(crate) fn draining() -> Withdrawal {
    withdrawal(Phase::Draining(Drain { kill_at: Now::from_millis(12), mark_gone: true }), Cause::Operator)
}

pub(crate) fn maintenance(agents: &[u64]) -> Maintenance {
    let when = Unavailability { start_ms: 1_000, duration_ms: 60_000 };
    Maintenance { agents: agents.iter().copied().map(AgentId).collect(), when, grace: Duration::from_millis(1500) }
}

fn enrolment(by_token: bool) -> Enrolment {
    Enrolment { until: Now::from_millis(5), by: by_token.then_some((TokenId(6), Digest([7; 32]))) }
}

#[test]
fn a_token_of_each_kind_is_remembered_as_it_was() {
    let roles = || Roles::parse(&["eng/*", "ops"]).unwrap();
    let kinds = [
        TokenKind::Agent { uses_left: 3 },
        TokenKind::Framework(roles()),
        TokenKind::Framework(Roles::every()),
        TokenKind::Operator,
        TokenKind::Viewer(roles()),
    ];
    let tokens: Vec<_> = kinds.into_iter().enumerate().map(|(id, kind)| (TokenId(id as u64), token(kind))).collect();
    let folder = TempDir::new().unwrap();
    let (mut registry, ..) = open(&folder);

    let changes: Vec<_> = tokens.iter().map(|(id, token)| Change::TokenRecorded(*id, token.clone())).collect();
    registry.write(Now::ZERO, &changes.iter().collect::<Vec<_>>()).unwrap();
    drop(registry);

    assert_eq!(open(&folder).1.tokens, tokens);
}

#[test]
fn each_registry_is_of_another_cluster() {
    let disks = [FailingDisk::default(), FailingDisk::default()];
    let [first, second] = disks.map(|disk| disk.registry().recover().unwrap().0.cluster);
    let unremembered = NoRegistry.recover().unwrap().0.cluster;

    assert!(first != second && first != unremembered && unremembered != NoRegistry.recover().unwrap().0.cluster);
}

#[test]
fn every_master_that_leads_has_a_later_epoch() {
    let folder = TempDir::new().unwrap();

    let epochs: Vec<_> = (0..3).map(|_| open(&folder).1.epoch).collect();

    assert_eq!(epochs, [Epoch(1), Epoch(2), Epoch(3)]);
}

#[test]
fn numbers_of_those_who_are_gone_are_not_given_again() {
    let folder = TempDir::new().unwrap();
    let (mut registry, ..) = open(&folder);

    let came = [
        Change::AgentRecorded(AgentId(1), agent("a")),
        Change::AgentRecorded(AgentId(2), agent("b")),
        Change::FrameworkSubscribed(FrameworkId(3), framework("f")),
    ];
    registry.write(Now::ZERO, &came.iter().collect::<Vec<_>>()).unwrap();
    let went = [Change::AgentRemoved(AgentId(2)), Change::FrameworkRemoved(FrameworkId(3))];
    registry.write(Now::ZERO, &went.iter().collect::<Vec<_>>()).unwrap();
    registry.write(Now::ZERO, &[&Change::AgentRecorded(AgentId(1), agent("a"))]).unwrap();
    drop(registry);

    let (_registry, recovered, _) = open(&folder);
    assert_eq!(recovered.agents, [(AgentId(1), agent("a"))]);
    assert_eq!(recovered.frameworks, []);
    assert_eq!((recovered.last_agent, recovered.last_framework), (2, 3));
}

#[cfg(unix)]
#[test]
fn nobody_else_reads_it_even_in_a_folder_that_is_open_to_all() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("registry.redb");
    let mode = || fs::metadata(&file).unwrap().permissions().mode() & 0o777;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();

    drop(open(&folder));
    assert_eq!(mode(), 0o600);

    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    drop(open(&folder));
    assert_eq!(mode(), 0o600, "one that an older master made");
}

#[test]
fn a_second_master_is_refused() {
    let folder = TempDir::new().unwrap();
    let _first = open(&folder);

    let error = refusal(folder.path());

    assert!(error.to_string().contains("belongs to another running master"), "{error}");
    assert!(matches!(error, RegistryError::Broken(_)));
}

#[test]
fn a_registry_of_a_later_version_is_refused_and_left_as_it_is() {
    let folder = TempDir::new().unwrap();
    let (mut registry, ..) = open(&folder);
    let transaction = registry.database().unwrap().begin_write().unwrap();
    transaction.open_table(NUMBERS).unwrap().insert(VERSION_KEY, VERSION + 1).unwrap();
    transaction.commit().unwrap();
    drop(registry);

    for _ in 0..2 {
        let error = refusal(folder.path());
        assert!(error.to_string().contains("is a registry of version 7, this master knows 6"), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn nobody_else_can_look_into_a_state_folder_that_is_new() {
    use std::os::unix::fs::PermissionsExt;
    let above = TempDir::new().unwrap();
    let state = above.path().join("haggle").join("master");

    LocalRegistry::new(&state).recover().unwrap();

    assert_eq!(fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = TempDir::new().unwrap();
    let blocked = folder.path().join("file");
    fs::write(&blocked, "").unwrap();

    let error = refusal(&blocked.join("state"));

    assert!(error.to_string().starts_with("cannot keep the registry in "), "{error}");
}

#[test]
fn a_file_that_is_no_registry_is_refused() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("registry.redb"), vec![7; 10_000]).unwrap();

    let error = refusal(folder.path());

    assert!(matches!(error, RegistryError::Broken(_)), "{error}");
}

#[test]
fn a_write_that_lacked_room_works_once_there_is_some() {
    let disk = FailingDisk::default();
    let mut registry = disk.registry();
    registry.recover().unwrap();

    let change = Change::AgentRecorded(AgentId(1), agent("a"));
    disk.set_full(true);
    for _ in 0..2 {
        let error = registry.write(Now::ZERO, &[&change]).unwrap_err();
        assert!(matches!(error, RegistryError::Full(_)), "{error}");
    }
    disk.set_full(false);
    registry.write(Now::ZERO, &[&change]).unwrap();
    drop(registry);

    let (recovered, _) = disk.registry().recover().unwrap();
    assert_eq!(recovered.agents, [(AgentId(1), agent("a"))]);
}

#[test]
fn a_start_that_lacked_room_works_once_there_is_some() {
    let disk = FailingDisk::default();
    disk.registry().recover().unwrap();
    let mut registry = disk.registry();

    disk.set_full(true);
    assert!(matches!(registry.recover(), Err(RegistryError::Full(_))));
    disk.set_full(false);

    assert_eq!(registry.recover().unwrap().0.epoch, Epoch(2));
}

#[test]
fn a_failed_fsync_never_passes() {
    let disk = FailingDisk::default();
    let mut registry = disk.registry();
    registry.recover().unwrap();

    disk.fail_to_sync();
    let error = registry.write(Now::ZERO, &[&Change::AgentRemoved(AgentId(1))]).unwrap_err();

    assert!(matches!(error, RegistryError::Broken(_)), "{error}");
    assert!(error.to_string().contains("fsync failed"), "{error}");
}

#[test]
fn a_master_that_waited_for_room_while_another_led_is_told_so() {
    let disk = FailingDisk::default();
    let mut first = disk.registry();
    first.recover().unwrap();
    disk.set_full(true);
    first.write(Now::ZERO, &[]).unwrap_err();
    disk.set_full(false);
    disk.registry().recover().unwrap();

    let error = first.write(Now::ZERO, &[]).unwrap_err();

    assert!(matches!(error, RegistryError::Broken(_)));
    assert!(error.to_string().contains("meanwhile, as epoch-2; this one is epoch-1"), "{error}");
}
