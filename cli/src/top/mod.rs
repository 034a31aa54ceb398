//! `haggle top`: a cluster as it lives, on a terminal.
//!
//! A model (`state`, `data`, `log`), what changes it (`update`, with keys and news as data), and what it looks like (`view`) know
//! nothing of terminals and clusters. `source` asks the one, `screen` has the other.

mod data;
#[cfg(test)]
mod fixture;
mod lists;
mod log;
mod once;
mod pace;
mod screen;
mod source;
mod state;
mod update;
mod view;
mod words;

use std::time::Duration;

use haggle_sdk::{Client, TaskId};
use ratatui::crossterm::event::Event as Typed;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::args::TopArgs;
use crate::commands::{self, Verdict};
use crate::error::CommandError;
use crate::signals::Signals;
use crate::target::Target;
use data::Data;
use screen::Screen;
use state::{Notice, State};
use update::{Effect, Event, update};

/// Between two frames that nobody has pressed a key for. Faster than that nobody reads.
const FRAME: Duration = Duration::from_millis(200);

/// How often as long as a frame took none follows that nobody has pressed a key for: a list of 100,000 tasks is not sorted
/// all the time.
const REST: u32 = 10;

/// News that are taken in together, before keys are looked at again.
const BATCH: usize = 256;

/// Shows the cluster until it is left, or once.
pub(crate) async fn run(target: &Target, args: TopArgs) -> Verdict {
    if args.once {
        let client = commands::connect(target).await?;
        return once::run(&client, args.json).await;
    }
    // Without one, nobody needs to be asked.
    screen::check()?;
    let client = commands::connect(target).await?;
    let mut signals = Signals::catch().map_err(CommandError::Signals)?;
    let mut screen = Screen::enter()?;
    tokio::select! {
        ended = show(&client, &mut screen) => ended,
        () = signals.next() => Ok(crate::exit::INTERRUPTED),
    }
}

async fn show(client: &Client, screen: &mut Screen) -> Verdict {
    let mut state = State::new(Data::of(client.url()), screen.height()?);
    let (wanting, wants) = watch::channel(state.wants());
    let mut news = source::start(client.clone(), wants);
    let (telling, mut told) = mpsc::channel(1);
    let mut keys = screen::keys()?;

    let mut batch = Vec::new();
    let mut draw_at = Some(Instant::now());
    let mut pause = FRAME;
    loop {
        tokio::select! {
            typed = keys.recv() => {
                let Some(typed) = typed.transpose().map_err(CommandError::Terminal)? else { return Ok(0) };
                let event = match typed {
                    Typed::Key(key) => Event::Key(key),
                    Typed::Resize(_, height) => Event::Resized(height),
                    _ => continue,
                };
                match update(&mut state, event) {
                    Some(Effect::Quit) => return Ok(0),
                    Some(Effect::Kill(task)) => kill(client.clone(), task, telling.clone()),
                    None => {}
                }
                draw_at = Some(Instant::now());
            }
            Some(event) = told.recv() => {
                update(&mut state, event);
                draw_at = Some(Instant::now());
            }
            count = news.events.recv_many(&mut batch, BATCH) => {
                if count == 0 {
                    news.over().await;
                    return Ok(0);
                }
                for event in batch.drain(..) {
                    update(&mut state, event);
                }
                draw_at.get_or_insert_with(|| Instant::now() + pause);
            }
            () = sleep_until(draw_at.unwrap_or_else(Instant::now)), if draw_at.is_some() => {
                draw_at = None;
                let began = Instant::now();
                screen.draw(|frame| view::draw(&state, frame))?;
                pause = FRAME.max(began.elapsed() * REST);
            }
        }
        wanting.send_if_modified(|wanted| {
            let wants = state.wants();
            let is_new = *wanted != wants;
            *wanted = wants;
            is_new
        });
    }
}

/// Asks for a task's end, and tells what came of it.
fn kill(client: Client, task: TaskId, telling: mpsc::Sender<Event>) {
    tokio::spawn(async move {
        let notice = match client.kill(task).await {
            Ok(()) => Notice::Done(format!("{task} is being killed")),
            Err(error) => Notice::Wrong(error.to_string()),
        };
        // Who has left meanwhile does not hear it.
        let _ = telling.send(Event::Told(notice)).await;
    });
}
