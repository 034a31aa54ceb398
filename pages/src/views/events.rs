//! What happens, as it happens, and what was decided.

use askama::Template;
use haggle_core::cluster::Announcement;
use haggle_core::{QueueNews, TaskId};
use serde_json::{Value, json};

use super::View;
use crate::layout::Section;
use crate::link::Query;
use crate::parts::{Badge, PAGE_ROWS, Pager, Word, count};
use crate::record::EventRecord;
use crate::text::printable;

/// Rows of what is told of one queue at once.
const QUEUE_ROWS: usize = 32;

/// What happens from the moment on in which somebody looks.
#[derive(Template)]
#[template(path = "events.html")]
pub struct EventsPage;

impl View for EventsPage {
    fn title(&self) -> String {
        "Events".to_owned()
    }

    fn section(&self) -> Option<Section> {
        Some(Section::Events)
    }

    fn content(&self) -> String {
        self.render().unwrap_or_default()
    }

    fn json(&self) -> Value {
        json!({ "events": [], "note": "events come as a stream: ask with Accept: text/event-stream" })
    }
}

#[derive(Template)]
#[template(path = "event.html")]
struct EventRow {
    at: String,
    badge: Badge,
    about: String,
    url: String,
    text: String,
}

/// One event as a row of a table, in front of those before it.
pub fn event_row(time: String, announcement: &Announcement) -> String {
    let record = EventRecord::new(time.clone(), announcement);
    let (badge, about, url, text) = match announcement {
        Announcement::Task(status) => {
            let why = status.reason.map(|reason| reason.to_string()).unwrap_or_default();
            let text = format!("{} {why} {}", status.state, printable(&status.message));
            (
                Badge::of_task(status.state, status.reason),
                status.task.to_string(),
                format!("/tasks/{}", status.task),
                text,
            )
        }
        Announcement::LeftOut(tasks) => {
            let text = format!("{} changes of tasks in queues came faster than they were read", count(*tasks));
            return row(time, (Badge::new(Word::Waiting, "left out"), "tasks".into(), "/tasks".into(), text));
        }
        _ => {
            let (about, word, is_bad) = record.about();
            let url =
                if about.starts_with("agent") { format!("/agents/{about}") } else { format!("/frameworks/{about}") };
            let colour = if is_bad { Word::Failed } else { Word::Done };
            (Badge::new(colour, word), about, url, String::new())
        }
    };
    row(time, (badge, about, url, text))
}

/// News of tasks in a queue as rows: one for each run of neighbours, and one for each task of which something else is told. Of more than
/// anybody reads the last row says how many there are.
pub fn queue_rows(time: &str, news: &QueueNews) -> Vec<String> {
    match news {
        QueueNews::Run(run) if run.count > 1 => {
            let first = TaskId { number: run.first, ..run.allocation };
            let why = run.reason.map(|reason| reason.to_string()).unwrap_or_default();
            let text = format!("{} {why} {}: {}", run.state, printable(&run.message), tasks_from(run.count, first));
            let (badge, url) = (Badge::of_task(run.state, run.reason), format!("/tasks/{first}"));
            vec![row(time.to_owned(), (badge, first.to_string(), url, text))]
        }
        _ => {
            let statuses = news.clone().statuses().take(QUEUE_ROWS);
            let mut rows: Vec<_> =
                statuses.map(|status| event_row(time.to_owned(), &Announcement::Task(status))).collect();
            let more = news.tasks().saturating_sub(QUEUE_ROWS as u64);
            if more > 0 {
                let allocation = news.allocation();
                let text = format!("{} more changes of tasks in its queue", count(more));
                let badge = Badge::new(Word::Waiting, "left out");
                rows.push(row(time.to_owned(), (badge, allocation.to_string(), format!("/tasks/{allocation}"), text)));
            }
            rows
        }
    }
}

fn tasks_from(tasks: u64, first: TaskId) -> String {
    format!("{} tasks from {first} on", count(tasks))
}

fn row(at: String, (badge, about, url, text): (Badge, String, String, String)) -> String {
    EventRow { at, badge, about, url, text }.render().unwrap_or_default()
}

/// What was decided: the last lines of the audit.
#[derive(Template)]
#[template(path = "audit.html")]
pub struct AuditPage {
    rows: Vec<AuditRow>,
    /// Why there are none.
    trouble: String,
    pager: Pager,
    lines: Vec<Value>,
}

struct AuditRow {
    time: String,
    who: String,
    verb: String,
    object: String,
    verdict: Badge,
    why: String,
}

impl AuditPage {
    /// The last lines, the latest last; or why they cannot be read.
    pub fn new(query: &Query, lines: Result<Vec<String>, String>) -> Self {
        let (lines, trouble) = match lines {
            Ok(lines) => (lines, String::new()),
            Err(why) => (Vec::new(), printable(&why)),
        };
        let all = lines.len();
        let lines = lines.iter().rev().skip(Pager::range(query, all).start).take(PAGE_ROWS);
        let lines: Vec<Value> = lines.filter_map(|line| serde_json::from_str(line).ok()).collect();
        let pager = Pager::new("/audit", query, all, "line");
        Self { rows: lines.iter().map(audit_row).collect(), trouble, pager, lines }
    }
}

fn audit_row(line: &Value) -> AuditRow {
    let field = |name: &str| printable(line[name].as_str().unwrap_or_default());
    let colour = if line["verdict"] == "ok" { crate::parts::Word::Done } else { crate::parts::Word::Failed };
    AuditRow {
        time: field("time"),
        who: format!("{} {}", field("kind"), field("principal")),
        verb: field("verb"),
        object: field("object"),
        verdict: Badge::new(colour, field("verdict")),
        why: field("why"),
    }
}

impl View for AuditPage {
    fn title(&self) -> String {
        "Audit".to_owned()
    }

    fn section(&self) -> Option<Section> {
        Some(Section::Audit)
    }

    fn content(&self) -> String {
        self.render().unwrap_or_default()
    }

    fn json(&self) -> Value {
        json!({ "audit": self.lines, "shown": self.pager.text, "next": self.pager.behind })
    }

    fn is_live(&self) -> bool {
        false
    }
}
