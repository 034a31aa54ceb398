//! The terminal: taken in its own way for a while, and given back whatever happens.

use std::io::{self, IsTerminal};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use ratatui::crossterm::event::{self, Event};
use ratatui::{DefaultTerminal, Frame};
use tokio::sync::mpsc;

use crate::error::CommandError;

/// Keys that wait; whoever leans on one loses some.
const KEYS: usize = 64;

/// Whether something has panicked, and told so on the terminal, which was given back for that.
static IS_LOST: AtomicBool = AtomicBool::new(false);

/// A terminal that shows frames. Given back when it is dropped, and before a panic is told.
pub(super) struct Screen {
    terminal: DefaultTerminal,
}

/// # Errors
/// When what is written and typed is not a terminal's.
pub(super) fn check() -> Result<(), CommandError> {
    if io::stdout().is_terminal() && io::stdin().is_terminal() { Ok(()) } else { Err(CommandError::NoTerminal) }
}

impl Screen {
    /// # Errors
    /// When it cannot be had.
    pub(super) fn enter() -> Result<Self, CommandError> {
        // What is half taken is given back as well.
        let given_back = |error| {
            ratatui::restore();
            CommandError::Terminal(error)
        };
        let terminal = ratatui::try_init().map_err(given_back)?;
        let given_back_and_told = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            IS_LOST.store(true, Ordering::Relaxed);
            given_back_and_told(panic);
        }));
        Ok(Self { terminal })
    }

    /// How many rows it has.
    ///
    /// # Errors
    /// When it does not tell.
    pub(super) fn height(&self) -> Result<u16, CommandError> {
        Ok(self.terminal.size().map_err(CommandError::Terminal)?.height)
    }

    /// Shows a frame.
    ///
    /// # Errors
    /// When it cannot be shown, or would stand where a panic of another task was told.
    pub(super) fn draw(&mut self, frame: impl FnOnce(&mut Frame<'_>)) -> Result<(), CommandError> {
        if IS_LOST.load(Ordering::Relaxed) {
            return Err(CommandError::Terminal(io::Error::other("a part of haggle top has panicked")));
        }
        self.terminal.draw(frame).map(drop).map_err(CommandError::Terminal)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if !IS_LOST.load(Ordering::Relaxed) {
            ratatui::restore();
        }
    }
}

/// What is typed, from now on. The thread that reads it ends with the process: nothing wakes it from its read.
///
/// # Errors
/// When there is no thread to be had.
pub(super) fn keys() -> Result<mpsc::Receiver<io::Result<Event>>, CommandError> {
    let (typed, keys) = mpsc::channel(KEYS);
    let read = move || {
        loop {
            let event = event::read();
            let is_over = event.is_err();
            if typed.blocking_send(event).is_err() || is_over {
                return;
            }
        }
    };
    thread::Builder::new().name("keys".into()).spawn(read).map_err(CommandError::Threads)?;
    Ok(keys)
}
