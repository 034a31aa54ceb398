//! One thread that writes everything, so that a slow reader holds up no network, and lines never mix with a progress
//! bar.

use std::io::{self, IsTerminal, Write};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::mpsc::{self, error::TryRecvError};

use super::OutputError;

/// Pieces waiting to be written; with pieces of 64 KiB, 4 MiB at most. Whoever is faster than the reader waits.
const QUEUE: usize = 64;

/// Pieces written between two drawings of the progress bar.
const BATCH: usize = 64;

/// Something to print.
#[derive(Debug)]
pub(crate) enum Say {
    /// To standard output, as it is.
    Out(Bytes),
    /// To standard error, as it is.
    Err(Bytes),
    /// What the progress bar shows: how many ended, and what of the others.
    Progress { ended: u64, message: String },
}

/// Where to send what is to be printed.
pub(crate) type Voice = mpsc::Sender<Say>;

/// The writing thread.
pub(crate) struct Printer {
    voice: Voice,
    thread: JoinHandle<Result<(), io::Error>>,
}

impl Printer {
    /// Starts the thread. With `bar`, shows the progress towards that many, if standard error is a terminal.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(crate) fn start(bar: Option<u64>) -> io::Result<Self> {
        let (voice, said) = mpsc::channel(QUEUE);
        let thread = thread::Builder::new().name("printer".into()).spawn(move || write_all(said, bar))?;
        Ok(Self { voice, thread })
    }

    /// Where to send what is to be printed.
    pub(crate) fn voice(&self) -> Voice {
        self.voice.clone()
    }

    /// Waits until everything is written. Every other voice must be gone by then.
    ///
    /// # Errors
    /// When standard output could not be written to, but for having lost its reader.
    pub(crate) fn finish(self) -> Result<(), OutputError> {
        drop(self.voice);
        match self.thread.join() {
            Ok(written) => written.map_err(OutputError::Failed),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// Whether progress is drawn rather than told.
pub(crate) fn draws_progress() -> bool {
    io::stderr().is_terminal()
}

fn write_all(mut said: mpsc::Receiver<Say>, bar: Option<u64>) -> Result<(), io::Error> {
    let bar = bar.filter(|_| draws_progress()).map_or_else(ProgressBar::hidden, shown);
    let mut writer = Writer { failed: None };
    while let Some(first) = said.blocking_recv() {
        let mut batch = vec![first];
        while batch.len() < BATCH {
            match said.try_recv() {
                Ok(say) => batch.push(say),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        let mut progress = None;
        let mut text = Vec::new();
        for say in batch {
            match say {
                Say::Out(_) | Say::Err(_) => text.push(say),
                Say::Progress { ended, message } => progress = Some((ended, message)),
            }
        }
        if !text.is_empty() {
            bar.suspend(|| writer.write(&text));
        }
        if let Some((ended, message)) = progress {
            bar.set_position(ended);
            bar.set_message(message);
        }
    }
    bar.finish_and_clear();
    writer.result()
}

fn shown(length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {elapsed}  {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr()).with_style(style)
}

/// Writes until standard output fails, and from then on only to standard error: the tasks go on.
struct Writer {
    failed: Option<io::Error>,
}

impl Writer {
    fn write(&mut self, batch: &[Say]) {
        let mut stdout = io::stdout().lock();
        for say in batch {
            match say {
                Say::Out(bytes) if self.failed.is_none() => self.failed = stdout.write_all(bytes).err(),
                // There is nobody to tell that standard error fails.
                Say::Err(bytes) => _ = io::stderr().write_all(bytes),
                Say::Out(_) | Say::Progress { .. } => {}
            }
        }
        if self.failed.is_none() {
            self.failed = stdout.flush().err();
        }
    }

    fn result(self) -> Result<(), io::Error> {
        match self.failed {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(()),
        }
    }
}
