//! One task: what it is, how it stands, why it waits, and the end of what it writes.

use haggle_core::TaskId;
use haggle_core::cluster::TaskView;
use haggle_sdk::OutputStream;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Stylize;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Wrap};

use super::style;
use crate::output::{printable, seconds};
use crate::top::lists::tone_of;
use crate::top::state::State;
use crate::why;

pub(super) fn draw(state: &State, id: TaskId, frame: &mut Frame<'_>, area: Rect) {
    let lines = sheet(state, id);
    // The output has half of the page at least.
    let wanted = u16::try_from(height(&lines, area.width)).unwrap_or(u16::MAX).min(area.height / 2);
    let [sheet, title, log] =
        Layout::vertical([Constraint::Length(wanted), Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: false }), sheet);
    let below = state.view().below.min(state.log.len().saturating_sub(usize::from(log.height)));
    frame.render_widget(log_title(state, below), title);
    let shown = state.log.last(usize::from(log.height), below);
    frame.render_widget(Paragraph::new(shown.into_iter().map(Line::from).collect::<Vec<_>>()), log);
}

/// Rows that lines take which are wrapped between words: each row but a line's last may lose the better part of a word.
fn height(lines: &[Line<'_>], width: u16) -> usize {
    let width = usize::from(width.max(1));
    let rows = |line: &Line<'_>| match line.width().div_ceil(width) {
        0 | 1 => 1,
        many => (line.width() + 8 * (many - 1)).div_ceil(width),
    };
    lines.iter().map(rows).sum()
}

fn sheet(state: &State, id: TaskId) -> Vec<Line<'static>> {
    let Some(looked) = state.data.task.as_ref().filter(|looked| looked.id == id) else {
        return vec![Line::from("not heard of yet").dim()];
    };
    let mut lines = match &looked.view {
        Some(task) => told(task),
        None => vec![Line::from("the master does not know it: it was not launched yet, or ended long ago")],
    };
    if let Some(why) = &looked.why {
        lines.extend(why::lines(why).iter().map(|line| Line::from(printable(line))));
    }
    lines
}

fn told(task: &TaskView) -> Vec<Line<'static>> {
    let field = |name: &str, value: String| Line::from(format!("{name:<9}{}", printable(&value)));
    let status = &task.status;
    let state = Span::styled(status.state.to_string(), style(tone_of(status.state)));
    let mut lines = vec![
        Line::from(vec![Span::from("State    "), state, Span::from(format!(" on {}", task.agent))]),
        field("Name", task.name.clone()),
        field("Role", format!("{} ({})", task.role, task.id.framework)),
        field("Quotas", task.resources.to_string()),
    ];
    if let Some(module) = task.module {
        lines.push(field("Module", module.to_string()));
    }
    if let Some(reason) = status.reason {
        lines.push(field("Reason", reason.to_string()));
    }
    if let Some(code) = status.exit_code {
        lines.push(field("Exit", code.to_string()));
    }
    if !status.message.is_empty() {
        lines.push(field("Message", status.message.clone()));
    }
    if let Some(usage) = status.usage {
        let used = format!(
            "{} of CPU in {}, {} memory at most, {} disk at most, {} fuel, {} written",
            seconds(usage.cpu),
            seconds(usage.wall),
            usage.peak_mem,
            usage.peak_disk,
            usage.fuel.get(),
            usage.output
        );
        lines.push(field("Used", used));
    }
    lines
}

fn log_title(state: &State, below: usize) -> Line<'static> {
    let stream = match state.log.stream {
        OutputStream::Stdout => "standard output",
        OutputStream::Stderr => "standard error",
    };
    let standing = match (&state.log.ended, state.log.len()) {
        (Some(Err(why)), _) => format!(" cannot be read on: {}", printable(why)),
        (Some(Ok(())), 0) => " is empty".to_owned(),
        (Some(Ok(())), _) => ", all that is kept".to_owned(),
        (None, _) => ", as it comes".to_owned(),
    };
    let place = if below > 0 { format!("; {below} lines below") } else { String::new() };
    Line::from(format!("── {stream}{standing}{place} ──")).bold()
}
