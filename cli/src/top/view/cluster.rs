//! The whole: what there is and what of it is used, what is wrong, what happened last.

use haggle_core::cluster::AgentView;
use haggle_core::{Bytes, MilliCpu};
use ratatui::style::Stylize;
use ratatui::text::{Line, Span};

use super::style;
use crate::commands::agents::state;
use crate::output::{printable, time};
use crate::top::data::Data;
use crate::top::lists::Tone;

/// Things that are wrong and are named.
const PROBLEMS: usize = 6;

/// So many lines of this width at most.
pub(in crate::top) fn lines(data: &Data, width: u16, height: u16) -> Vec<Line<'static>> {
    let mut lines = amounts(data, width);
    lines.push(Line::from(agents(data)));
    lines.push(Line::from(tasks(data)));
    lines.push(Line::default());
    lines.extend(problems(data));
    if !data.latest.is_empty() {
        lines.push(Line::default());
        lines.push(Line::from("Latest").bold());
        let room = usize::from(height).saturating_sub(lines.len());
        for (at, what) in data.latest.iter().take(room) {
            let moment = time(*at);
            let moment = moment.get(11..19).unwrap_or(&moment).to_owned();
            lines.push(Line::from(vec![Span::from(moment).dim(), Span::from(format!("  {}", printable(what)))]));
        }
    }
    lines.truncate(usize::from(height));
    lines
}

/// A bar for each resource: used, offered, free.
fn amounts(data: &Data, width: u16) -> Vec<Line<'static>> {
    let agents: Vec<&AgentView> = data.agents.iter().flatten().filter(|agent| agent.connected).collect();
    let sum = |of: &dyn Fn(&AgentView) -> u64| agents.iter().fold(0_u64, |sum, agent| sum.saturating_add(of(agent)));
    let cpus = |milli: u64| MilliCpu::new(milli).as_cores().to_string();
    let bytes = |bytes: u64| Bytes::new(bytes).to_string();
    vec![
        bar(
            "CPU",
            [
                sum(&|agent| agent.used.cpus.get()),
                sum(&|agent| agent.offered.cpus.get()),
                sum(&|agent| agent.info.resources.cpus.get()),
            ],
            cpus,
            width,
        ),
        bar(
            "Memory",
            [
                sum(&|agent| agent.used.mem.get()),
                sum(&|agent| agent.offered.mem.get()),
                sum(&|agent| agent.info.resources.mem.get()),
            ],
            bytes,
            width,
        ),
        bar(
            "Disk",
            [
                sum(&|agent| agent.used.disk.get()),
                sum(&|agent| agent.offered.disk.get()),
                sum(&|agent| agent.info.resources.disk.get()),
            ],
            bytes,
            width,
        ),
    ]
}

fn bar(name: &str, [used, offered, all]: [u64; 3], shown: impl Fn(u64) -> String, width: u16) -> Line<'static> {
    let room = u64::from(width.saturating_sub(56).clamp(10, 40));
    // What is there is seen: less than a letter is one.
    let letters = |part: u64| match (u128::from(part) * u128::from(room)).checked_div(u128::from(all)) {
        Some(0) if part > 0 => 1,
        Some(letters) => u64::try_from(letters).unwrap_or(room).min(room),
        None => 0,
    };
    let of_used = letters(used);
    let of_offered = letters(offered).min(room - of_used);
    let of_free = room - of_used - of_offered;
    let row = |letter: &str, count: u64| letter.repeat(usize::try_from(count).unwrap_or(0));
    let percent = (u128::from(used) * 100).checked_div(u128::from(all)).unwrap_or(0);
    Line::from(vec![
        Span::from(format!("{name:<9}")),
        Span::styled(row("█", of_used), style(Tone::Good)),
        Span::styled(row("▒", of_offered), style(Tone::Busy)),
        Span::from(row("░", of_free)).dim(),
        Span::from(format!("  {} of {} used ({percent} %), {} offered", shown(used), shown(all), shown(offered))),
    ])
}

fn agents(data: &Data) -> String {
    let Some(agents) = &data.agents else { return "Agents   not heard of yet".to_owned() };
    let away = agents.iter().filter(|agent| !agent.connected).count();
    let resting =
        agents.iter().filter(|agent| agent.connected && (agent.withdrawal.is_some() || agent.draining)).count();
    let up = agents.len() - away - resting;
    format!("Agents   {up} up, {resting} that take no tasks, {away} away")
}

fn tasks(data: &Data) -> String {
    let held: usize = data.frameworks.iter().flatten().map(|framework| framework.tasks).sum();
    let since = data.since;
    format!(
        "Tasks    {held} now; seen here: {} started, {} finished, {} killed, {} failed or lost",
        since.started, since.finished, since.killed, since.failed
    )
}

fn count(tasks: usize) -> String {
    if tasks == 1 { "1 task".to_owned() } else { format!("{tasks} tasks") }
}

/// What is wrong, and who waits.
fn problems(data: &Data) -> Vec<Line<'static>> {
    let away =
        data.agents.iter().flatten().filter(|agent| !agent.connected || agent.withdrawal.is_some()).map(|agent| {
            let tone = if agent.connected { Tone::Busy } else { Tone::Bad };
            (tone, format!("{} ({}) is {}, with {}", agent.id, agent.info.name, state(agent), count(agent.tasks)))
        });
    let gone = data.frameworks.iter().flatten().filter(|framework| !framework.connected).map(|framework| {
        let (id, name) = (framework.id, &framework.info.name);
        let text = format!("{id} ({name}) is disconnected, with {}", count(framework.tasks));
        (Tone::Bad, text)
    });
    let waiting = data
        .roles
        .iter()
        .flatten()
        .filter(|role| role.waiting > 0 && role.frameworks > 0)
        .map(|role| (Tone::Busy, format!("{} waits for room: `haggle why {}` says why", role.name, role.name)));
    let mut found: Vec<(Tone, String)> = away.chain(gone).chain(waiting).collect();
    // What is wrong before who waits.
    found.sort_by_key(|(tone, _)| *tone != Tone::Bad);
    if found.is_empty() {
        return vec![Line::from("Nothing is wrong, and nobody waits").dim()];
    }
    let more = found.len().saturating_sub(PROBLEMS);
    let named = found.into_iter().take(PROBLEMS).map(|(tone, text)| Line::styled(printable(&text), style(tone)));
    let rest = (more > 0).then(|| Line::from(format!("and {more} more")).dim());
    named.chain(rest).collect()
}
