//! Where an interpreter's memory depends on its secret for hashes: CPython 3.12 of 32 bits, whose hash is FNV.
//!
//! Two memories of the same start differ in nothing else. Each place is taken only if it is in both what the layout of
//! CPython's objects says; what a script would miss after all is found by the trial of the finished module.

use std::collections::HashSet;

/// Bytes of the secret.
pub(super) const SECRET_SIZE: u32 = 24;

/// Bytes that a set's entries may have: as many are put aside at once.
pub(super) const SET_MAX: u32 = 64 << 10;

/// No text that an interpreter starts with is nearly as long.
const TEXT_MAX: u32 = 1 << 20;

/// A word of an object, from its start: what all texts and bytes have.
const TYPE: u32 = 4;
const HASH: u32 = 12;

/// What has to be done anew with another secret.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// Texts and bytes: where the hash is kept, where they begin, and how many bytes they have.
    pub(super) texts: Vec<[u32; 3]>,
    /// Keys of dictionaries.
    pub(super) tables: Vec<u32>,
    /// Sets.
    pub(super) sets: Vec<u32>,
    /// The types of texts and of bytes.
    pub(super) types: [u32; 2],
}

impl Layout {
    /// Finds all places in two memories whose secrets are at this address; `None` when this is no such interpreter.
    pub(super) fn find(memories: [&[u8]; 2], secret: u32) -> Option<Self> {
        let both = memories.map(Words::new);
        let [one, other] = &both;
        if one.0.len() != other.0.len() {
            return None;
        }
        let secrets = [one, other].map(|words| Some((words.at(secret)?, words.at(secret + 4)?)));
        let [Some(first), Some(second)] = secrets else { return None };
        let mut layout = Self::default();
        let (mut strings, mut bytes) = (Vec::new(), Vec::new());
        for at in (0..one.len()).step_by(4).skip(3).filter(|at| one.at(*at) != other.at(*at)) {
            let is_hash_of = |from: u32, len: u32| {
                len > 0
                    && len < TEXT_MAX
                    && one.hash(first, from, len) == one.at(at)
                    && other.hash(second, from, len) == other.at(at)
            };
            let (Some(len), Some(state)) = (one.at(at - 4), one.at(at + 4)) else { continue };
            let (kind, is_compact, is_ascii) = (state >> 2 & 7, state >> 5 & 1 == 1, state >> 6 & 1 == 1);
            let from = if is_ascii { at + 8 } else { at + 16 };
            let text_len = len.saturating_mul(kind);
            if is_compact && matches!(kind, 1 | 2 | 4) && is_hash_of(from, text_len) {
                strings.push([at, from, text_len]);
            } else if is_hash_of(at + 4, len) {
                bytes.push([at, at + 4, len]);
            }
        }
        layout.types = [one.common_type(&strings)?, one.common_type(&bytes)?];
        for (texts, of_type) in [(strings, layout.types[0]), (bytes, layout.types[1])] {
            // Objects of other types begin like them, and are not told from them where they are keys.
            layout.texts.extend(texts.into_iter().filter(|[at, ..]| one.at(at - HASH + TYPE) == Some(of_type)));
        }
        let known: HashSet<u32> = layout.texts.iter().map(|[at, ..]| at - HASH).collect();
        let seen = Seen { both: &both, known: &known, types: layout.types };
        let all = || (0..one.len()).step_by(4);
        layout.tables = all().filter(|at| seen.is_table(*at).unwrap_or(false)).collect();
        layout.sets = all().filter(|at| seen.is_set(*at).unwrap_or(false)).collect();
        (!layout.texts.is_empty() && !layout.tables.is_empty()).then_some(layout)
    }
}

/// A memory, in words.
struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    fn new(memory: &'a [u8]) -> Self {
        Self(memory)
    }

    fn len(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    fn slice(&self, at: u32, len: u32) -> Option<&[u8]> {
        self.0.get(at as usize..(at as usize).checked_add(len as usize)?)
    }

    fn at(&self, at: u32) -> Option<u32> {
        self.slice(at, 4).map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn byte(&self, at: u32) -> Option<u8> {
        self.0.get(at as usize).copied()
    }

    /// CPython's FNV, with the two words of the secret.
    fn hash(&self, (prefix, suffix): (u32, u32), at: u32, len: u32) -> Option<u32> {
        let bytes = self.slice(at, len)?;
        let last = if len.is_multiple_of(4) { 4 } else { len % 4 };
        let (blocks, rest) = bytes.split_at((len - last) as usize);
        let mut hash = prefix ^ u32::from(*bytes.first()?) << 7;
        for block in blocks.chunks_exact(4) {
            hash = hash.wrapping_mul(1_000_003) ^ u32::from_le_bytes([block[0], block[1], block[2], block[3]]);
        }
        for byte in rest {
            hash = hash.wrapping_mul(1_000_003) ^ u32::from(*byte);
        }
        hash ^= len ^ suffix;
        // That number stands for a hash that is not known yet.
        Some(if hash == u32::MAX { u32::MAX - 1 } else { hash })
    }

    /// The type that most of these objects have.
    fn common_type(&self, texts: &[[u32; 3]]) -> Option<u32> {
        let mut types: Vec<u32> = texts.iter().filter_map(|[at, ..]| self.at(at - HASH + TYPE)).collect();
        types.sort_unstable();
        types.chunk_by(|one, other| one == other).max_by_key(|same| same.len()).map(|same| same[0])
    }
}

struct Seen<'a> {
    both: &'a [Words<'a>; 2],
    known: &'a HashSet<u32>,
    types: [u32; 2],
}

impl Seen<'_> {
    /// Whether the key's hash is one of those that are computed anew; `None` when it is neither that nor the same in both.
    fn moves(&self, key: u32, kept: [u32; 2]) -> Option<bool> {
        let [one, other] = self.both;
        if !self.types.contains(&one.at(key.checked_add(TYPE)?)?) {
            return (kept[0] == kept[1]).then_some(false);
        }
        let hashes = [one.at(key.checked_add(HASH)?)?, other.at(key + HASH)?];
        let is_known = self.known.contains(&key);
        // The hash of an empty text is the same everywhere.
        (hashes == kept && (is_known || kept[0] == kept[1])).then_some(is_known)
    }

    /// Whether the keys of a dictionary lie here, and some of them are texts.
    fn is_table(&self, at: u32) -> Option<bool> {
        let [one, other] = self.both;
        let header = one.slice(at, 20)?;
        let (log, log_bytes, kind) = (u32::from(header[4]), u32::from(header[5]), header[6]);
        let width = match log {
            3..8 => 0,
            8..16 => 1,
            16..=20 => 2,
            _ => return Some(false),
        };
        let (free, count) = (one.at(at + 12)?, one.at(at + 16)?);
        let room = (1_u32 << log) * 2 / 3;
        if kind > 2 || log_bytes != log + width || count == 0 || count > room {
            return Some(false);
        }
        // Dictionaries that share their keys count otherwise.
        if kind != 2 && free.checked_add(count) != Some(room) {
            return Some(false);
        }
        let is_general = kind == 0;
        let index = at + 20;
        let entries = index + (1 << log_bytes);
        let (mut alive, mut some_move) = (0, false);
        for number in 0..count {
            let entry = entries + number * if is_general { 12 } else { 8 };
            let key = if is_general { entry + 4 } else { entry };
            let key = one.at(key).filter(|found| other.at(key) == Some(*found))?;
            if key == 0 {
                continue;
            }
            let kept_at = if is_general { entry } else { key.checked_add(HASH)? };
            let kept = [one.at(kept_at)?, other.at(kept_at)?];
            some_move |= self.moves(key, kept)?;
            alive += 1;
            for (words, hash) in [(one, kept[0]), (other, kept[1])] {
                if !words.leads_to(index, log, width, hash, number)? {
                    return Some(false);
                }
            }
        }
        // Nothing else may lie in what will be written.
        for words in self.both {
            let mut used = 0;
            for slot in 0..1 << log {
                match words.index(index, width, slot)? {
                    FREE | REMOVED => {}
                    number if number < count => used += 1,
                    _ => return Some(false),
                }
            }
            if used != alive {
                return Some(false);
            }
        }
        Some(some_move)
    }

    /// Whether a set lies here, and some of its members are texts.
    fn is_set(&self, at: u32) -> Option<bool> {
        let [one, other] = self.both;
        let [fill, used, mask, table] = [one.at(at + 8)?, one.at(at + 12)?, one.at(at + 16)?, one.at(at + 20)?];
        let is_sound = mask >= 7
            && (mask & mask.wrapping_add(1)) == 0
            && mask < SET_MAX / 8
            && fill <= mask
            && used <= fill
            && used > 0
            && table.is_multiple_of(4)
            && (mask == 7) == (table == at + 32);
        if !is_sound || (1..6).any(|word| one.at(at + 4 * word) != other.at(at + 4 * word)) {
            return Some(false);
        }
        let mut some_move = false;
        let mut keys = [Vec::new(), Vec::new()];
        for (words, keys) in self.both.iter().zip(&mut keys) {
            let mut removed = 0;
            for slot in 0..=mask {
                let (key, hash) = (words.at(table + 8 * slot)?, words.at(table + 8 * slot + 4)?);
                match (key, hash) {
                    (0, 0) => {}
                    (0, _) => return Some(false),
                    (_, u32::MAX) => removed += 1,
                    _ => keys.push((key, hash)),
                }
            }
            if keys.len() != used as usize || removed + used != fill {
                return Some(false);
            }
            keys.sort_unstable();
        }
        let [in_one, in_other] = keys;
        for ((key, hash), (same, other_hash)) in in_one.into_iter().zip(in_other) {
            if key != same {
                return Some(false);
            }
            some_move |= self.moves(key, [hash, other_hash])?;
        }
        Some(some_move)
    }
}

/// In an index: nothing was ever there, or is not any more.
const FREE: u32 = u32::MAX;
const REMOVED: u32 = u32::MAX - 1;

impl Words<'_> {
    /// The number of an entry, where each has so many bytes, as a power of two.
    fn index(&self, index: u32, width: u32, slot: u32) -> Option<u32> {
        let at = index + (slot << width);
        Some(match width {
            0 => i32::from(self.byte(at)?.cast_signed()).cast_unsigned(),
            1 => {
                let bytes = self.slice(at, 2)?;
                i32::from(i16::from_le_bytes([bytes[0], bytes[1]])).cast_unsigned()
            }
            _ => self.at(at)?,
        })
    }

    /// Whether a key with this hash is found to be entry `number`.
    fn leads_to(&self, index: u32, log: u32, width: u32, hash: u32, number: u32) -> Option<bool> {
        let mask = (1 << log) - 1;
        let (mut slot, mut rest) = (hash & mask, hash);
        // After so many steps every slot was seen.
        for _ in 0..(1 << log) + 8 {
            match self.index(index, width, slot)? {
                FREE => return Some(false),
                found if found == number => return Some(true),
                _ => {}
            }
            rest >>= 5;
            slot = slot.wrapping_mul(5).wrapping_add(rest).wrapping_add(1) & mask;
        }
        Some(false)
    }
}
