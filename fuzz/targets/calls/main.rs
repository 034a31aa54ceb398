//! Programs made of calls to the host, against the quotas that hold there: what a guest has on disk is what it was given.

#![no_main]

mod interpreter;

use std::sync::{LazyLock, Mutex};

use arbitrary::Arbitrary;
use haggle_core::{Bytes, Reason, TaskState};
use haggle_executor::Meter;
use haggle_fuzz::{Bench, Module, Quotas};
use interpreter::{AT_REST, PATHS, Record};

/// Calls of one program. They are made several times over.
const CALLS_MAX: usize = 256;

/// Enough for a program to come to its end, if it does no harm.
const MEMORY: Bytes = Bytes::from_kib(256);
const OUTPUT: Bytes = Bytes::from_kib(1);

/// One module in both forms, compiled once; its programs come by standard input.
static BENCH: LazyLock<Mutex<(Bench, [Module; 2])>> = LazyLock::new(|| {
    let mut bench = Bench::start();
    let guest = interpreter::module();
    let forms = [Meter::Fuel, Meter::Epochs]
        .map(|meter| bench.module(&guest, meter).unwrap_or_else(|error| panic!("our own module is right: {error}")));
    Mutex::new((bench, forms))
});

#[derive(Arbitrary, Debug)]
struct Program {
    quotas: Quotas,
    rounds: u8,
    calls: Vec<Call>,
}

/// A descriptor: mostly one of those that can be there.
#[derive(Arbitrary, Debug)]
struct Fd(u8);

/// Which of the paths.
#[derive(Arbitrary, Debug)]
struct Path(u8);

/// A length or a place: around what the quotas are, and at the ends of what can be said.
#[derive(Arbitrary, Debug)]
struct Amount(u8);

#[derive(Arbitrary, Debug)]
enum Call {
    Open(Fd, Path, u8, u8),
    Write(Fd, Amount),
    WriteAt(Fd, Amount, Amount),
    Read(Fd, Amount),
    ReadAt(Fd, Amount, Amount),
    Seek(Fd, Amount, bool, u8),
    SetSize(Fd, Amount),
    Allocate(Fd, Amount, Amount),
    Close(Fd),
    Renumber(Fd, Fd),
    Sync(Fd),
    List(Fd, Amount),
    MakeFolder(Fd, Path),
    RemoveFolder(Fd, Path),
    Unlink(Fd, Path),
    Rename(Fd, Path, Fd, Path),
    Link(Fd, Path, Fd, Path),
    Symlink(Path, Fd, Path),
    Look(Fd, Path, bool),
    SetTimes(Fd, Path, u8),
    Random(Amount),
    Grow(u8),
    Fill(Amount),
    Yield,
}

libfuzzer_sys::fuzz_target!(|program: Program| {
    // A target that panicked ends its process, so nobody finds the lock poisoned.
    let (bench, [fuel, epochs]) = &mut *BENCH.lock().expect("this is the only thread");
    let quotas = program.quotas();
    let module = if quotas.meter() == Meter::Fuel { fuel } else { epochs };
    let mut heard = Vec::new();
    let mut found = None;
    let ending = bench.run(module, quotas, program.bytes(), |bench, task, bytes| {
        heard.extend_from_slice(&bytes[bytes.len().saturating_sub(AT_REST.len())..]);
        if found.is_none() && heard.ends_with(AT_REST) {
            // Nothing moves any more: the guest sleeps.
            found = Some(bench.on_disk());
            bench.kill(task);
        }
    });
    assert_ne!(ending.reason, Some(Reason::ModuleInvalid), "{ending:?}");
    if let Some((bytes, entries)) = found {
        assert!(bytes <= quotas.disk.get(), "{bytes} bytes are on the disk: {program:?}");
        assert!(bytes <= ending.usage.peak_disk.get(), "{bytes} bytes are on the disk: {program:?}, {ending:?}");
        assert!(entries == 0 || !quotas.disk.is_zero(), "{entries} files without a disk: {program:?}");
        assert!(matches!(ending.state, TaskState::Killed | TaskState::Failed), "{ending:?}");
    }
    assert_eq!(bench.on_disk(), (0, 0), "a scratch folder is gone with its task");
});

impl Program {
    fn quotas(&self) -> Quotas {
        Quotas { mem: self.quotas.mem.max(MEMORY), output: self.quotas.output.max(OUTPUT), ..self.quotas }
    }

    /// What the interpreter reads.
    fn bytes(&self) -> Vec<u8> {
        let calls = &self.calls[..self.calls.len().min(CALLS_MAX)];
        interpreter::program(self.rounds.max(1), calls.iter().map(Call::record))
    }
}

impl Fd {
    fn number(&self) -> i32 {
        match self.0 {
            0..=99 => interpreter::OPENED_LAST,
            100..=199 => 3 + i32::from(self.0 % 8),
            // The scratch folder, twice.
            200..=239 => 3 + i32::from(self.0 % 2),
            240..=249 => 0,
            _ => i32::from(self.0) - 300,
        }
    }
}

impl Path {
    fn number(&self) -> i32 {
        i32::from(self.0) % i32::try_from(PATHS.len()).expect("they are few")
    }
}

impl Amount {
    fn bytes(&self) -> i64 {
        const AMOUNTS: [i64; 16] = [
            0,
            1,
            100,
            4095,
            4096,
            5000,
            30_000,
            65_535,
            100_000,
            100_001,
            1 << 20,
            (1 << 20) + 1,
            1 << 31,
            1 << 40,
            i64::MAX,
            -1,
        ];
        AMOUNTS[usize::from(self.0) % AMOUNTS.len()]
    }

    /// Of a buffer: what fits into the memory, or what nobody has.
    fn length(&self) -> i64 {
        if self.bytes() < 0 { -1 } else { self.bytes() % 100_002 }
    }
}

impl Call {
    fn record(&self) -> Record {
        let it = Record::default();
        let on = |call: i32, fd: &Fd| Record { call, fd: fd.number(), ..it };
        let at = |call: i32, fd: &Fd, path: &Path| Record { call, fd: fd.number(), path: path.number(), ..it };
        let from_to = |call: i32, fd: &Fd, path: &Path, to: &Fd, to_path: &Path| Record {
            to: to.number(),
            to_path: to_path.number(),
            ..at(call, fd, path)
        };
        match self {
            Self::Open(fd, path, flags, status) => {
                let flags = i32::from(flags & 15) | i32::from(flags >> 7) << 8 | i32::from(status & 31) << 16;
                Record { flags, ..at(0, fd, path) }
            }
            Self::Write(fd, length) => Record { a: length.length(), ..on(1, fd) },
            Self::WriteAt(fd, length, place) => Record { a: length.length(), b: place.bytes(), ..on(2, fd) },
            Self::Read(fd, length) => Record { a: length.length(), ..on(3, fd) },
            Self::ReadAt(fd, length, place) => Record { a: length.length(), b: place.bytes(), ..on(4, fd) },
            Self::Seek(fd, by, back, whence) => {
                let b = if *back { by.bytes().wrapping_neg() } else { by.bytes() };
                Record { b, flags: i32::from(whence & 3), ..on(5, fd) }
            }
            Self::SetSize(fd, size) => Record { b: size.bytes(), ..on(6, fd) },
            Self::Allocate(fd, place, length) => Record { a: place.bytes(), b: length.bytes(), ..on(7, fd) },
            Self::Close(fd) => on(8, fd),
            Self::Renumber(fd, to) => Record { to: to.number(), ..on(9, fd) },
            Self::Sync(fd) => on(10, fd),
            Self::List(fd, length) => Record { a: length.length(), ..on(11, fd) },
            Self::MakeFolder(fd, path) => at(12, fd, path),
            Self::RemoveFolder(fd, path) => at(13, fd, path),
            Self::Unlink(fd, path) => at(14, fd, path),
            Self::Rename(fd, path, to, to_path) => from_to(15, fd, path, to, to_path),
            Self::Link(fd, path, to, to_path) => from_to(16, fd, path, to, to_path),
            Self::Symlink(content, fd, path) => Record { to_path: content.number(), ..at(17, fd, path) },
            Self::Look(fd, path, follow) => Record { flags: i32::from(*follow), ..at(18, fd, path) },
            Self::SetTimes(fd, path, flags) => Record { flags: i32::from(*flags), ..at(19, fd, path) },
            Self::Random(length) => Record { call: 20, a: length.length(), ..it },
            Self::Grow(pages) => Record { call: 21, flags: i32::from(*pages), ..it },
            Self::Fill(length) => Record { call: 22, a: length.length().max(0), ..it },
            Self::Yield => Record { call: 23, ..it },
        }
    }
}
