//! One executor, guests in WAT in both forms, and reports of how they ended.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use haggle_core::{
    Bytes, Digest, Ending, Exceeded, Folder, FolderSource, FrameworkId, Fuel, Grants, Limits, MilliCpu, Reason,
    Resources, Sharing, TaskId, TaskSpec, TaskState, VolumeId,
};
use haggle_executor::inputs::{LaidOut, lay_out};
use haggle_executor::{Config, Event, Executor, Launch, Listener, Meter, MountedVolume, Starter, Stream, compile_here};
use parking_lot::Mutex;
use tempfile::TempDir;

/// Longer than any test takes on a machine that is busy with others.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The two forms in which the same guest is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Core,
    Component,
}

pub(crate) const BOTH: [Form; 2] = [Form::Core, Form::Component];

pub(crate) struct Bench {
    pub(crate) executor: Executor,
    starter: Starter,
    events: Receiver<Event>,
    /// Events of other tasks than the one that is waited for.
    kept: Mutex<Vec<Event>>,
    pub(crate) dir: Arc<TempDir>,
    next: AtomicU64,
}

/// The same event, which holds nothing of the executor.
fn taken(event: Event) -> Event {
    match event {
        Event::Output { task, stream, bytes } => {
            Event::Output { task, stream, bytes: bytes::Bytes::copy_from_slice(&bytes) }
        }
        other => other,
    }
}

/// All that happened to one task.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) ending: Ending,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    /// `Started`, streams of outputs, `Ended`, in order.
    pub(crate) events: Vec<Event>,
}

impl Report {
    pub(crate) fn verdict(&self) -> (TaskState, Option<Reason>) {
        (self.ending.state, self.ending.reason)
    }

    pub(crate) fn assert_finished(&self) {
        assert_eq!(self.verdict(), (TaskState::Finished, None), "{}", self.ending.message);
    }

    pub(crate) fn assert_limited(&self, reason: Reason, limit: u64) -> Exceeded {
        assert_eq!(self.verdict(), (TaskState::Failed, Some(reason)), "{}", self.ending.message);
        let exceeded = self.ending.exceeded.expect("a limit says what it was");
        assert_eq!(exceeded.limit, limit, "{}", self.ending.message);
        exceeded
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }
}

/// A task with room for everything, to be narrowed by each test.
pub(crate) fn spec() -> TaskSpec {
    TaskSpec {
        id: TaskId { framework: FrameworkId(1), number: 0 },
        name: "guest".to_owned(),
        role: String::new(),
        module: Digest([0; 32]),
        args: Vec::new(),
        env: Vec::new(),
        stdin: Vec::new(),
        resources: Resources::new(MilliCpu::from_cores(1), Bytes::from_mib(16), Bytes::ZERO),
        sharing: Sharing::default(),
        limits: Limits::default(),
        inputs: Vec::new(),
        grants: Grants::default(),
        group: None,
        waited: None,
        trace: None,
    }
}

pub(crate) fn with_disk(bytes: u64) -> TaskSpec {
    let mut spec = spec();
    spec.resources.disk = Bytes::new(bytes);
    spec
}

pub(crate) fn with_fuel(fuel: u64) -> TaskSpec {
    let mut spec = spec();
    spec.limits.fuel = Some(Fuel::new(fuel));
    spec
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(64, Arc::new(TempDir::new().unwrap()))
    }

    pub(crate) fn with(max_tasks: usize, dir: Arc<TempDir>) -> Self {
        Self::start(2, max_tasks, true, dir, |_| {})
    }

    /// Whose events are told to this at first.
    pub(crate) fn hearing(hear: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self::start(2, 64, true, Arc::new(TempDir::new().unwrap()), hear)
    }

    pub(crate) fn with_workers(workers: usize) -> Self {
        Self::start(workers, 64, true, Arc::new(TempDir::new().unwrap()), |_| {})
    }

    pub(crate) fn without_network() -> Self {
        Self::start(1, 64, false, Arc::new(TempDir::new().unwrap()), |_| {})
    }

    fn start(
        workers: usize,
        max_tasks: usize,
        allow_network: bool,
        dir: Arc<TempDir>,
        hear: impl Fn(&Event) + Send + Sync + 'static,
    ) -> Self {
        Self::listening(workers, max_tasks, allow_network, dir, |sender| {
            move |event| {
                hear(&event);
                // The bench may be gone before the last event.
                let _ = sender.send(taken(event));
            }
        })
    }

    /// With one worker, and whoever passes events on to the bench.
    pub(crate) fn heard_by<L: Listener>(listener: impl FnOnce(Sender<Event>) -> L) -> Self {
        Self::listening(1, 256, true, Arc::new(TempDir::new().unwrap()), listener)
    }

    fn listening<L: Listener>(
        workers: usize,
        max_tasks: usize,
        allow_network: bool,
        dir: Arc<TempDir>,
        listener: impl FnOnce(Sender<Event>) -> L,
    ) -> Self {
        let (sender, events) = channel();
        let config = Config {
            workers,
            scratch_dir: dir.path().join("scratch"),
            max_tasks,
            meter: Meter::Fuel,
            allow_network,
            idle_only: false,
        };
        let executor = Executor::start(config, listener(sender)).unwrap();
        let starter = executor.starter().expect("its tasks run at all times");
        Self { executor, starter, events, kept: Mutex::default(), dir, next: AtomicU64::new(1) }
    }

    /// A file with this module in its compiled form, and the name by which the executor knows it.
    fn compiled(&self, bytes: &[u8], meter: Meter) -> (Digest, PathBuf) {
        let digest = digest(bytes);
        let path = self.dir.path().join(format!("{}-{meter:?}", digest.hex()));
        // It is never written twice: the executor may be running it.
        if !path.exists() {
            std::fs::write(&path, compile_here(bytes, meter).unwrap()).unwrap();
        }
        (digest, path)
    }

    /// Where a volume is.
    pub(crate) fn volume(&self, id: VolumeId) -> PathBuf {
        let place = self.dir.path().join(id.to_string());
        std::fs::create_dir_all(&place).unwrap();
        place
    }

    /// What a task mounts. As much may be in a volume as its number says.
    fn mounted(&self, spec: &TaskSpec) -> Vec<MountedVolume> {
        let mounted = |folder: &Folder| {
            let FolderSource::Volume { volume: id, writable } = folder.source else { return None };
            let (guest_path, host, size) = (folder.guest_path.clone(), self.volume(id), Bytes::new(id.number));
            Some(MountedVolume { id, guest_path, host, writable, size })
        };
        spec.grants.folders.iter().filter_map(mounted).collect()
    }

    pub(crate) fn launch(&self, form: Form, spec: TaskSpec, body: &str) -> TaskId {
        self.launch_bytes(spec, &guest(form, body), &[])
    }

    pub(crate) fn launch_bytes(&self, spec: TaskSpec, bytes: &[u8], inputs: &[(String, PathBuf)]) -> TaskId {
        self.launch_metered(Meter::Fuel, spec, bytes, inputs)
    }

    pub(crate) fn launch_metered(
        &self,
        meter: Meter,
        mut spec: TaskSpec,
        bytes: &[u8],
        inputs: &[(String, PathBuf)],
    ) -> TaskId {
        let (digest, module) = self.compiled(bytes, meter);
        spec.module = digest;
        spec.id.number = self.next.fetch_add(1, Ordering::Relaxed);
        let id = spec.id;
        let volumes = self.mounted(&spec);
        let env = vec![("HAGGLE_TASK_ID".to_owned(), id.to_string())];
        let LaidOut { folders, copies } = lay_out(&self.dir.path().join(format!("inputs/{id}")), inputs).unwrap();
        // As the thread launches it that hears the agent: what is to hold of a task holds wherever it begins.
        self.starter.launch(Launch { spec: Arc::new(spec), module, meter, folders, volumes, copies, env });
        id
    }

    pub(crate) fn run(&self, form: Form, spec: TaskSpec, body: &str) -> Report {
        let id = self.launch(form, spec, body);
        self.report(id)
    }

    /// Waits for the first event that is like this.
    pub(crate) fn wait_for(&self, mut is: impl FnMut(&Event) -> bool) {
        loop {
            let event = self.events.recv_timeout(PATIENCE).expect("the event comes");
            let found = is(&event);
            self.kept.lock().push(event);
            if found {
                return;
            }
        }
    }

    /// Waits until the task has ended.
    pub(crate) fn report(&self, id: TaskId) -> Report {
        let ended = |event: &Event| matches!(event, Event::Ended { task, .. } if *task == id);
        if !self.kept.lock().iter().any(ended) {
            self.wait_for(ended);
        }
        let mut kept = self.kept.lock();
        let (mine, others): (Vec<Event>, Vec<Event>) = kept.drain(..).partition(|event| task_of(event) == id);
        *kept = others;
        let mut report = Report {
            ending: match mine.last() {
                Some(Event::Ended { ending, .. }) => ending.clone(),
                other => panic!("the last event is the ending, and not {other:?}"),
            },
            stdout: Vec::new(),
            stderr: Vec::new(),
            events: mine,
        };
        for event in &report.events {
            match event {
                Event::Output { stream: Stream::Stdout, bytes, .. } => report.stdout.extend_from_slice(bytes),
                Event::Output { stream: Stream::Stderr, bytes, .. } => report.stderr.extend_from_slice(bytes),
                _ => {}
            }
        }
        report
    }
}

fn task_of(event: &Event) -> TaskId {
    match event {
        Event::Started { task } | Event::Output { task, .. } | Event::Ended { task, .. } => *task,
    }
}

/// Not SHA-256, but as good: the executor takes the name for granted.
fn digest(bytes: &[u8]) -> Digest {
    let mut name = [0; 32];
    for (at, byte) in bytes.iter().enumerate() {
        let slot: &mut u8 = &mut name[at % 32];
        *slot = slot.rotate_left(3).wrapping_mul(31).wrapping_add(*byte);
    }
    let length = u32::try_from(bytes.len()).unwrap().to_le_bytes();
    name[..4].iter_mut().zip(length).for_each(|(slot, byte)| *slot ^= byte);
    Digest(name)
}

/// A guest with this body, which may use what is in [`PRELUDE`] and should define `_start`.
pub(crate) fn guest(form: Form, body: &str) -> Vec<u8> {
    let core = wat::parse_str(format!("(module {PRELUDE} {body})")).unwrap();
    match form {
        Form::Core => core,
        Form::Component => component(&core),
    }
}

/// A core module, with what it imports of WASI 0.2, as a component.
pub(crate) fn component(core: &[u8]) -> Vec<u8> {
    let adapter = wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER;
    wit_component::ComponentEncoder::default()
        .module(core)
        .unwrap()
        .adapter("wasi_snapshot_preview1", adapter)
        .unwrap()
        .encode()
        .unwrap()
}

/// Functions that every guest has. Bytes 0 to 255 of the memory are theirs.
const PRELUDE: &str = r#"
(import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes_get (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "environ_get" (func $environ_get (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "fd_pwrite" (func $fd_pwrite (param i32 i32 i32 i64 i32) (result i32)))
(import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "fd_seek" (func $fd_seek (param i32 i64 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
(import "wasi_snapshot_preview1" "fd_sync" (func $fd_sync (param i32) (result i32)))
(import "wasi_snapshot_preview1" "fd_allocate" (func $fd_allocate (param i32 i64 i64) (result i32)))
(import "wasi_snapshot_preview1" "fd_filestat_set_size" (func $set_size (param i32 i64) (result i32)))
(import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "path_create_directory" (func $mkdir (param i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "path_remove_directory" (func $rmdir (param i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "path_unlink_file" (func $unlink (param i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "path_rename" (func $rename (param i32 i32 i32 i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "path_symlink" (func $symlink (param i32 i32 i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "path_link" (func $link (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))

;; Ends with this code unless it is 0.
(func $check (param $errno i32)
    (if (local.get $errno) (then (call $exit (local.get $errno)))))

;; Ends with code 90 unless both are the same.
(func $expect (param $wanted i32) (param $got i32)
    (if (i32.ne (local.get $wanted) (local.get $got)) (then (call $exit (i32.const 90)))))

;; Writes all or says why not.
(func $write (param $fd i32) (param $at i32) (param $length i32) (result i32)
    (local $errno i32)
    (block $done
        (loop $more
            (br_if $done (i32.eqz (local.get $length)))
            (i32.store (i32.const 0) (local.get $at))
            (i32.store (i32.const 4) (local.get $length))
            (local.set $errno (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)))
            (br_if $done (local.get $errno))
            (local.set $at (i32.add (local.get $at) (i32.load (i32.const 8))))
            (local.set $length (i32.sub (local.get $length) (i32.load (i32.const 8))))
            (br $more)))
    (local.get $errno))

(func $print (param $at i32) (param $length i32)
    (call $check (call $write (i32.const 1) (local.get $at) (local.get $length))))

;; Bytes read, at most 64 KiB less 1 KiB, to where 1 KiB ends.
(func $read (param $fd i32) (result i32)
    (i32.store (i32.const 0) (i32.const 1024))
    (i32.store (i32.const 4) (i32.const 64512))
    (call $check (call $fd_read (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)))
    (i32.load (i32.const 8)))

;; Says why not. The descriptor comes to byte 12. Flags: 1 create, 4 exclusive, 8 truncate.
(func $try_open (param $folder i32) (param $at i32) (param $length i32) (param $flags i32) (param $rights i64)
    (result i32)
    (call $path_open (local.get $folder) (i32.const 0) (local.get $at) (local.get $length) (local.get $flags)
        (local.get $rights) (i64.const 0) (i32.const 0) (i32.const 12)))

;; To read and to write.
(func $open (param $folder i32) (param $at i32) (param $length i32) (param $flags i32) (result i32)
    (call $check (call $try_open (local.get $folder) (local.get $at) (local.get $length) (local.get $flags)
        (i64.const 0x1fffffff)))
    (i32.load (i32.const 12)))

(func $sleep (param $nanos i64)
    (i32.store8 (i32.const 72) (i32.const 0))
    (i32.store (i32.const 80) (i32.const 1))
    (i64.store (i32.const 88) (local.get $nanos))
    (i64.store (i32.const 96) (i64.const 0))
    (i32.store16 (i32.const 104) (i32.const 0))
    (call $check (call $poll_oneoff (i32.const 64) (i32.const 128) (i32.const 1) (i32.const 16))))

(func $spin (loop $for_ever (br $for_ever)))
"#;
