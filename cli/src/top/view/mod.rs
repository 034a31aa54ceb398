//! A frame: what is known, as letters.

mod cluster;
mod help;
mod list;
mod task;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::data::{Data, Link};
use super::lists::Tone;
use super::state::{Input, Notice, Page, State, Whose};
use crate::output::printable;
use crate::why::span;

pub(super) use cluster::lines as cluster_lines;

/// Draws what there is.
pub(super) fn draw(state: &State, frame: &mut Frame<'_>) {
    let rows = [
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(1),
    ];
    let [head, tabs, title, body, foot] = Layout::vertical(rows).areas(frame.area());
    draw_head(&state.data, frame, head);
    frame.render_widget(tab_line(&state.view().page), tabs);
    frame.render_widget(title_line(state).bold(), title);
    match &state.view().page {
        Page::Cluster => {
            frame.render_widget(Paragraph::new(cluster::lines(&state.data, body.width, body.height)), body);
        }
        Page::Agents => list::draw(state, state.data.agents.as_ref().map(|agents| agents.iter()), frame, body),
        Page::Roles => list::draw(state, state.data.roles.as_ref().map(|roles| roles.iter()), frame, body),
        Page::Frameworks(role) => {
            let rows = state.data.frameworks.is_some().then(|| state.frameworks(role.as_deref()));
            list::draw(state, rows, frame, body);
        }
        Page::Tasks(whose) => {
            let rows = state.data.tasks.is_some().then(|| state.tasks(whose));
            list::draw(state, rows, frame, body);
        }
        Page::Task(id) => task::draw(state, *id, frame, body),
        Page::Help => frame.render_widget(Paragraph::new(help::lines()), body),
    }
    frame.render_widget(foot_line(state), foot);
}

/// Which cluster, and whether what is shown goes on.
fn draw_head(data: &Data, frame: &mut Frame<'_>, area: Rect) {
    let link = match &data.link {
        Link::Coming => Span::styled("connecting", style(Tone::Busy)),
        Link::Up => Span::styled("live", style(Tone::Good)),
        Link::Down(why) => Span::styled(format!("lost: {}", printable(why)), style(Tone::Bad)),
    };
    let right = u16::try_from(link.width()).unwrap_or(u16::MAX).min(area.width / 2);
    let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Length(right)]).spacing(1).areas(area);
    let mut head = vec!["haggle ".bold(), Span::from(printable(&data.url))];
    if let Some(master) = &data.master {
        head.push(Span::from(format!("  {}  up {}", printable(&master.version), span(master.uptime))));
    }
    frame.render_widget(Line::from(head), left);
    frame.render_widget(Line::from(link), right);
}

fn tab_line(page: &Page) -> Line<'static> {
    let tabs = ["Cluster", "Agents", "Roles", "Frameworks", "Tasks"];
    let shown = match page {
        Page::Cluster => Some(0),
        Page::Agents => Some(1),
        Page::Roles => Some(2),
        Page::Frameworks(_) => Some(3),
        Page::Tasks(_) | Page::Task(_) => Some(4),
        Page::Help => None,
    };
    let tab = |(place, name): (usize, &str)| {
        let style = if shown == Some(place) { Style::new().add_modifier(Modifier::REVERSED) } else { Style::new() };
        [Span::styled(format!(" {} {name} ", place + 1), style), Span::from(" ")]
    };
    Line::from_iter(tabs.into_iter().enumerate().flat_map(tab))
}

/// What is shown, and what of it is not.
fn title_line(state: &State) -> Line<'static> {
    let view = state.view();
    let mut title = match &view.page {
        Page::Cluster => "The whole".to_owned(),
        Page::Agents => "Agents".to_owned(),
        Page::Roles => "Roles".to_owned(),
        Page::Frameworks(None) => "Frameworks".to_owned(),
        Page::Frameworks(Some(role)) => format!("Frameworks of the role {}", printable(role)),
        Page::Tasks(whose) => {
            let which = if state.all_tasks { "Tasks, also the last that ended" } else { "Tasks" };
            match whose {
                Whose::Everybody => which.to_owned(),
                Whose::Agent(agent) => format!("{which}, on {agent}"),
                Whose::Framework(framework) => format!("{which}, of {framework}"),
            }
        }
        Page::Task(id) => id.to_string(),
        Page::Help => "Keys and words".to_owned(),
    };
    if matches!(view.page, Page::Agents | Page::Roles | Page::Frameworks(_) | Page::Tasks(_)) {
        title += &format!(" [{}]", state.keys().len());
    }
    if !view.filter.is_empty() {
        title += &format!("  filter: {}", printable(&view.filter));
    }
    if matches!(view.page, Page::Tasks(_)) && state.data.left_out > 0 {
        title += &format!("  {} more are not shown", state.data.left_out);
    }
    Line::from(title)
}

fn foot_line(state: &State) -> Line<'static> {
    match &state.input {
        Input::Command(text) => Line::from(format!(":{}▏", printable(text))),
        Input::Filter(_) => Line::from(format!("/{}▏", printable(&state.view().filter))),
        Input::Kill(task) => {
            Line::styled(format!("Kill {task}? y kills it, every other key does not"), style(Tone::Busy))
        }
        Input::Keys => match &state.notice {
            Some(Notice::Done(text)) => Line::from(printable(text)),
            Some(Notice::Wrong(text)) => Line::styled(printable(text), style(Tone::Bad)),
            None => Line::from(hints(&state.view().page)).dim(),
        },
    }
}

fn hints(page: &Page) -> &'static str {
    match page {
        Page::Cluster => "1-5 pages   : word   ? help   q quit",
        Page::Agents => "enter its tasks   / filter   shift-letter sort   : word   ? help   esc back",
        Page::Roles => "enter its frameworks   / filter   shift-letter sort   : word   ? help   esc back",
        Page::Frameworks(_) => "enter its tasks   / filter   shift-letter sort   : word   ? help   esc back",
        Page::Tasks(_) => "enter look   a ended ones   ctrl-k kill   / filter   shift-letter sort   ? help   esc back",
        Page::Task(_) => "tab other output   j/k scroll   ctrl-k kill   ? help   esc back",
        Page::Help => "esc back",
    }
}

pub(super) fn style(tone: Tone) -> Style {
    match tone {
        Tone::Plain => Style::new(),
        Tone::Good => Style::new().fg(Color::Green),
        Tone::Busy => Style::new().fg(Color::Yellow),
        Tone::Bad => Style::new().fg(Color::Red),
        Tone::Over => Style::new().add_modifier(Modifier::DIM),
    }
}

#[cfg(test)]
mod tests;
