//! A module that starts from a snapshot of itself: an interpreter that is ready for its script.
//!
//! An interpreter gets ready before it looks at its script, in the same way each time, and for Python that is most of what a short
//! script costs. So the compiler runs it once with nothing of any task, stops it where it is about to look, and makes what it has
//! in memory by then what the module begins with. A wasm program cannot be continued in the middle of a call. It is called
//! again from its beginning instead: CPython allows that, finds itself ready, takes the new arguments, and goes
//! on. `boot.py` brings up to date what it would keep; `start.wat` gives each task a secret of its own for its hashes, and
//! starts those tasks without the snapshot that it is not right for.
//!
//! What comes out is a module like any other, under every quota, and kept in place of the one that it was made of. It is tried
//! before it is: a script must see the same as without. Where anything is otherwise than expected, there is no snapshot.

mod host;
mod layout;
mod record;
mod shape;
mod write;

use host::{Folder, Given, Host, Stop};
use layout::{Layout, SECRET_SIZE};
use record::run;
use shape::Shape;
use wasmtime::Module;
use write::Snapshot;

use crate::event::Meter;

/// How many folders a task may have that starts from the snapshot. What is packed into the module counts them once, and numbers
/// its own behind them.
const FOLDERS: usize = 16;

/// The folders of the run that the snapshot is taken of.
const PLACES: [Folder; FOLDERS] = {
    let mut places: [Folder; FOLDERS] = [("/haggle-nothing", &[]); FOLDERS];
    places[0] = ("/haggle-snapshot", &[("sitecustomize.py", include_str!("boot.py"))]);
    places
};

/// Words that CPython's data has.
const MARKS: [&[u8]; 3] = [b"PYTHONHASHSEED", b"sitecustomize", b"zipimport"];

/// A module with a snapshot, and what it has to say when it is tried.
pub(super) struct Taken {
    pub(super) binary: Vec<u8>,
    expected: Vec<u8>,
}

/// Takes a snapshot of a valid core module, if it is an interpreter of which one can be taken.
pub(super) fn take(binary: &[u8], parallel: bool) -> Option<Taken> {
    if !MARKS.iter().all(|mark| binary.windows(mark.len()).any(|bytes| bytes == *mark)) {
        return None;
    }
    let shape = Shape::read(binary).ok()??;
    let globals = shape.globals.len();
    let module = record::quickly_compiled(&shape.with_its_globals(), parallel).ok()?;
    let recorded = || run(&module, Meter::Fuel, globals, ready()).ok().filter(|ended| ended.stop == Some(Stop::Ready));
    let (mut first, second) = (recorded()?, recorded()?);
    let [(secret, SECRET_SIZE)] = first.host.drawn[..] else { return None };
    if second.host.drawn != first.host.drawn || second.globals != first.globals || !first.host.output.is_empty() {
        return None;
    }
    let layout = Layout::find([&first.memory, &second.memory], secret)?;
    // Or it would not be called again.
    let guard = shape.guard? as usize;
    first.memory.get_mut(guard..)?.get_mut(..4)?.fill(0);
    let snapshot = Snapshot { memory: &first.memory, globals: &first.globals, secret, layout: &layout };
    let binary = write::write(&shape, &snapshot).ok()??;
    let expected = run(&module, Meter::Fuel, globals, check()).ok()?;
    (expected.stop == Some(Stop::Exited(CHECKED))).then_some(Taken { binary, expected: expected.host.output })
}

impl Taken {
    /// Whether a script sees in the compiled module what it sees without a snapshot, whatever the secret is.
    pub(super) fn is_sound(&self, compiled: &Module, meter: Meter) -> bool {
        let is_as_expected = || {
            run(compiled, meter, 0, check())
                .is_ok_and(|ended| ended.stop == Some(Stop::Exited(CHECKED)) && ended.host.output == self.expected)
        };
        is_as_expected() && is_as_expected()
    }
}

/// A run that stops when the interpreter is about to look at its script.
fn ready() -> Host {
    Host::new(Given {
        args: &["python", "/haggle-snapshot/none.py"],
        env: &["PYTHONPATH=/haggle-snapshot"],
        folders: &PLACES,
        stops_at: Some("none.py"),
    })
}

/// With which the check ends.
const CHECKED: i32 = 3;

/// A run of a script, with nothing as it was when the snapshot was taken.
fn check() -> Host {
    Host::new(Given {
        args: &["checked", "/check/check.py", "one", "two words"],
        env: &["COLOUR=green", "PYTHONPATH=/other/lib:/nowhere.zip", "EMPTY=", "PYTHONUNBUFFERED="],
        folders: &[
            ("/data", &[("words", "some words")]),
            ("/check", &[("check.py", include_str!("check.py"))]),
            ("/other/lib", &[("beside.py", "found = __file__")]),
        ],
        stops_at: None,
    })
}

#[cfg(test)]
mod tests;
