//! Text from elsewhere, times and words, as they may be shown.

use std::time::{Duration, SystemTime};

use haggle_core::Unavailability;
use haggle_core::cluster::VolumeStanding;

/// Text from elsewhere (names, messages) as it may be shown on a terminal: what would move the cursor, hide a part of the
/// line or turn it around is escaped.
pub fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|letter| {
            let escaped = is_deceptive(letter).then(|| letter.escape_default());
            escaped.into_iter().flatten().chain((!is_deceptive(letter)).then_some(letter))
        })
        .collect()
}

/// JSON as it may be shown on a terminal. Such letters stand in its strings only, where they may be escaped as well.
pub fn printable_json(json: String) -> String {
    if is_plain(&json) {
        return json;
    }
    let mut text = String::with_capacity(json.len());
    for letter in json.chars() {
        if is_deceptive(letter) {
            let mut units = [0; 2];
            text.extend(letter.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            text.push(letter);
        }
    }
    text
}

/// Whether all of it is ASCII that is seen, as nearly all JSON is: found out for many letters at once, where letter by letter took
/// most of the time of a long list.
pub fn is_plain(text: &str) -> bool {
    const AT_ONCE: usize = 64;
    let seen = |part: &[u8]| part.iter().fold(true, |seen, byte| seen & matches!(byte, b' '..=b'~'));
    text.as_bytes().chunks(AT_ONCE).all(seen)
}

/// Whether a letter does something else on a terminal than to be seen in its place: control codes, marks of direction,
/// and what takes no room.
pub fn is_deceptive(letter: char) -> bool {
    matches!(letter,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
        || letter.is_control()
}

/// A moment as tables show it, in UTC. One beyond the year 9999, which a token from elsewhere may name, is its last.
pub fn time(at: SystemTime) -> String {
    let last = SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    humantime::format_rfc3339_seconds(at.clamp(SystemTime::UNIX_EPOCH, last)).to_string()
}

/// When an agent will not be there, as tables show it: from when to when.
pub fn window(when: Unavailability) -> (String, String) {
    let at = |ms| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms)).unwrap_or(SystemTime::UNIX_EPOCH);
    (time(at(when.start_ms)), time(at(when.end_ms())))
}

/// Whether a volume is there, in a word or two.
pub fn volume_state(standing: VolumeStanding) -> &'static str {
    match standing {
        VolumeStanding::Making => "being made",
        VolumeStanding::Ready => "ready",
        VolumeStanding::Missing => "missing",
        VolumeStanding::Away => "away",
        VolumeStanding::Unknown => "unknown",
    }
}
