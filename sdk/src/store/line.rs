//! How entries are written: one line for all that belong together, tabs between them.

use haggle_core::{AgentId, ClusterId, FrameworkId, Member};

use super::{Entry, Launched, Memory};

/// One line.
pub(super) fn write(entries: &[Entry]) -> String {
    let entries: Vec<_> = entries.iter().map(entry).collect();
    entries.join("\t") + "\n"
}

/// As few lines as say the same.
pub(super) fn write_memory(memory: &Memory) -> String {
    let mut text = String::new();
    if let Some(member) = memory.member {
        text += &write(&[Entry::Joined(member)]);
    }
    if memory.last_number > 0 {
        text += &last(memory.last_number);
    }
    for (&number, launched) in &memory.launched {
        text += &write(&[Entry::Launched { number, launched: launched.clone() }]);
    }
    if !memory.note.is_empty() {
        text += &write(&[Entry::Noted(memory.note.clone())]);
    }
    text
}

/// The line of the highest number, given to a launch that has ended.
pub(super) fn last(number: u64) -> String {
    format!("last {number}\n")
}

/// Reads a line without its end.
pub(super) fn read(line: &str) -> Option<Vec<Entry>> {
    let mut entries = Vec::new();
    for part in line.split('\t') {
        let (kind, rest) = part.split_once(' ')?;
        match kind {
            "member" => {
                let (cluster, id) = rest.split_once(' ')?;
                let (cluster, id) = (cluster.parse::<ClusterId>().ok()?, id.parse::<FrameworkId>().ok()?);
                entries.push(Entry::Joined(Member { cluster, id }));
            }
            "last" => {
                let number = rest.parse().ok()?;
                let launched = Launched { agent: AgentId(0), name: String::new() };
                entries.extend([Entry::Launched { number, launched }, Entry::Ended { number }]);
            }
            "launched" => {
                let mut words = rest.splitn(3, ' ');
                let number = words.next()?.parse().ok()?;
                let agent = words.next()?.parse().ok()?;
                entries.push(Entry::Launched { number, launched: Launched { agent, name: plain(words.next()?)? } });
            }
            "ended" => entries.push(Entry::Ended { number: rest.parse().ok()? }),
            "note" => entries.push(Entry::Noted(plain(rest)?)),
            _ => return None,
        }
    }
    Some(entries)
}

fn entry(entry: &Entry) -> String {
    match entry {
        Entry::Joined(member) => format!("member {} {}", member.cluster, member.id),
        Entry::Launched { number, launched } => {
            format!("launched {number} {} {}", launched.agent, escaped(&launched.name))
        }
        Entry::Ended { number } => format!("ended {number}"),
        Entry::Noted(note) => format!("note {}", escaped(note)),
    }
}

/// Without a tab and without an end of line.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n")
}

fn plain(escaped: &str) -> Option<String> {
    let mut text = String::with_capacity(escaped.len());
    let mut letters = escaped.chars();
    while let Some(letter) = letters.next() {
        text.push(match letter {
            '\\' => match letters.next()? {
                '\\' => '\\',
                't' => '\t',
                'n' => '\n',
                _ => return None,
            },
            letter => letter,
        });
    }
    Some(text)
}
