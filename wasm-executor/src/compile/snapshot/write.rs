//! The module with its snapshot: everything that it was, a memory that is ready, and what decides between the two.

use wasm_encoder::{
    ConstExpr, DataCountSection, DataSection, Encode, MemorySection, MemoryType, RawSection, Section as _,
};
use wasmparser::{BinaryReaderError, Parser, Payload};

use super::FOLDERS;
use super::host::FIRST_FOLDER;
use super::layout::{Layout, SECRET_SIZE, SET_MAX};
use super::shape::{self, Shape};
use crate::compile::rewrite::extended;

const PAGE: usize = 64 << 10;

/// Words and text of a task that are looked at. With more, it starts without the snapshot.
const WORDS_MAX: u32 = 1024;
const WORDS: u32 = 16;
const TEXT: u32 = WORDS + 4 * WORDS_MAX;

/// Zeros between two pieces of data that make them two.
const GAP: usize = 4096;

/// `(func)` and `(func (result i32))`.
const ACTION: [u8; 3] = [0x60, 0, 0];
const QUESTION: [u8; 4] = [0x60, 0, 1, 0x7f];

/// What a run has left.
pub(super) struct Snapshot<'a> {
    pub(super) memory: &'a [u8],
    pub(super) globals: &'a [i64],
    /// Where the interpreter keeps its secret.
    pub(super) secret: u32,
    pub(super) layout: &'a Layout,
}

/// `None` when it would be larger than its module allows, or lacks a function of WASI.
///
/// # Errors
/// When a section of the module cannot be read.
pub(super) fn write(shape: &Shape<'_>, snapshot: &Snapshot<'_>) -> Result<Option<Vec<u8>>, BinaryReaderError> {
    // Behind the memory comes room to work in, and behind that the tables, which no task changes.
    let room = snapshot.memory.len();
    let mut image = snapshot.memory.to_vec();
    image.resize(room + SET_MAX as usize, 0);
    let mark = |image: &mut Vec<u8>, numbers: &mut dyn Iterator<Item = u32>| {
        let at = image.len();
        numbers.for_each(|number| image.extend_from_slice(&number.to_le_bytes()));
        (at, image.len())
    };
    let texts = mark(&mut image, &mut snapshot.layout.texts.iter().flatten().copied());
    let tables = mark(&mut image, &mut snapshot.layout.tables.iter().copied());
    let sets = mark(&mut image, &mut snapshot.layout.sets.iter().copied());
    // Whoever looks at the end of a text looks a little further.
    image.resize((image.len() + 16).next_multiple_of(PAGE), 0);
    let pages = (image.len() / PAGE) as u64;
    if shape.memory.1.is_some_and(|most| pages > most) || pages > 1 << 15 {
        return Ok(None);
    }

    let initial = shape.initial_memory();
    let pieces = pieces(&initial);
    let mut data = DataSection::new();
    let first = image.iter().position(|byte| *byte != 0).unwrap_or(0) / GAP * GAP;
    let last = image.iter().rposition(|byte| *byte != 0).map_or(first, |last| last + 1);
    data.active(0, &ConstExpr::i32_const(number(first).cast_signed()), image[first..last].iter().copied());
    let mut restored = String::new();
    for (index, piece) in pieces.iter().enumerate() {
        data.passive(initial[piece.clone()].iter().copied());
        restored += &format!(
            "(memory.init {} (i32.const {}) (i32.const 0) (i32.const {}))\n",
            index + 1,
            piece.start,
            piece.len()
        );
    }
    let reset: String = shape.globals.iter().zip(0..).filter(|(global, _)| global.is_mutable).map(set).collect();

    let imported = |name: &str| shape.imports.get(name).copied();
    let calls = [
        "fd_prestat_get",
        "fd_prestat_dir_name",
        "args_sizes_get",
        "args_get",
        "environ_sizes_get",
        "environ_get",
        "random_get",
    ];
    let [Some(prestat), Some(dir_name), Some(args_sizes), Some(args), Some(environ_sizes), Some(environ), Some(random)] =
        calls.map(imported)
    else {
        return Ok(None);
    };
    let own = shape.functions();
    let room = number(room);
    let [str_type, bytes_type] = snapshot.layout.types;
    let text = filled(
        include_str!("start.wat"),
        &[
            ("FD_PRESTAT_GET", prestat),
            ("FD_PRESTAT_DIR_NAME", dir_name),
            ("FOLDERS_END", FIRST_FOLDER + number(FOLDERS)),
            ("ARGS_SIZES_GET", args_sizes),
            ("ARGS_GET", args),
            ("ENVIRON_SIZES_GET", environ_sizes),
            ("ENVIRON_GET", environ),
            ("RANDOM_GET", random),
            ("WORDS_MAX", WORDS_MAX),
            ("TEXT_MAX", SET_MAX - TEXT),
            ("ROOM_NEXT", room + 4),
            ("ROOM", room),
            ("WORDS", room + WORDS),
            ("TEXTS_END", number(texts.1)),
            ("TEXTS", number(texts.0)),
            ("TEXT", room + TEXT),
            ("TABLES_END", number(tables.1)),
            ("TABLES", number(tables.0)),
            ("SETS_END", number(sets.1)),
            ("SETS", number(sets.0)),
            ("SECRET_SIZE", SECRET_SIZE),
            ("SECRET", snapshot.secret),
            ("STR", str_type),
            ("BYTES", bytes_type),
            ("END", number(image.len())),
            ("FITS", own),
            ("REHASH", own + 1),
            ("RESTORE", own + 2),
            ("START", shape.start),
        ],
        [("PIECES", &restored), ("GLOBALS", &reset)],
    );
    let functions = wat::parse_str(&text).expect("our own text is well formed");
    let bodies = bodies(&functions)?;

    let mut memory = MemorySection::new();
    memory.memory(MemoryType {
        minimum: pages,
        maximum: shape.memory.1,
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    let count = DataCountSection { count: number(pieces.len() + 1) };
    let (action, question) = (shape.types, shape.types + 1);
    let of_types = [question, action, action, action].map(|index| {
        let mut encoded = Vec::new();
        index.encode(&mut encoded);
        encoded
    });

    let mut written = shape.binary[..8].to_vec();
    for (id, range) in &shape.sections {
        let kept = &shape.binary[range.clone()];
        let contents = match *id {
            // Debug information is of no use, and large.
            shape::CUSTOM if !is_names(kept) => continue,
            shape::DATA_COUNT => continue,
            shape::TYPES => extended(kept, [&ACTION[..], &QUESTION[..]])?,
            shape::FUNCTIONS => extended(kept, of_types.each_ref().map(|encoded| &encoded[..]))?,
            shape::MEMORY => shape::contents(&memory),
            shape::GLOBALS => shape::contents(&shape.globals_with(snapshot.globals)),
            shape::EXPORTS => shape::contents(&shape.exports_with(own + 3)),
            shape::CODE => {
                count.append_to(&mut written);
                let encoded: Vec<Vec<u8>> = bodies.iter().map(|body| encoded(body)).collect();
                extended(kept, [&encoded[0][..], &encoded[1], &encoded[2], &encoded[3]])?
            }
            shape::DATA => shape::contents(&data),
            _ => kept.to_vec(),
        };
        RawSection { id: *id, data: &contents }.append_to(&mut written);
    }
    Ok(Some(written))
}

fn number(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

fn encoded(body: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::new();
    body.encode(&mut encoded);
    encoded
}

/// Puts numbers, and then texts, in the place of words.
fn filled(text: &str, numbers: &[(&str, u32)], texts: [(&str, &str); 2]) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|letter: char| letter.is_ascii_uppercase()) {
        let is_part = |letter: char| letter.is_ascii_uppercase() || letter == '_';
        let end = rest[start..].find(|letter| !is_part(letter)).map_or(rest.len(), |end| start + end);
        filled += &rest[..start];
        let word = &rest[start..end];
        if let Some((_, number)) = numbers.iter().find(|(name, _)| *name == word) {
            filled += &number.cast_signed().to_string();
        } else {
            filled += texts.iter().find(|(name, _)| *name == word).map_or(word, |(_, text)| *text);
        }
        rest = &rest[end..];
    }
    filled + rest
}

/// An operator that gives a global its first value.
fn set((global, index): (&shape::Global, usize)) -> String {
    let of_type = if global.of_type == wasmparser::ValType::I64 { "i64" } else { "i32" };
    format!("(global.set {index} ({of_type}.const {}))\n", global.value)
}

/// What is not zero, in as few pieces as are worth it.
fn pieces(memory: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut pieces: Vec<std::ops::Range<usize>> = Vec::new();
    for (at, _) in memory.iter().enumerate().filter(|(_, byte)| **byte != 0) {
        match pieces.last_mut() {
            Some(last) if at - last.end < GAP => last.end = at + 1,
            _ => pieces.push(at..at + 1),
        }
    }
    pieces
}

fn bodies(binary: &[u8]) -> Result<Vec<Vec<u8>>, BinaryReaderError> {
    let mut bodies = Vec::new();
    for payload in Parser::new(0).parse_all(binary) {
        if let Payload::CodeSectionEntry(body) = payload? {
            bodies.push(body.as_bytes().to_vec());
        }
    }
    Ok(bodies)
}

/// Whether this is the section of names, which traps are told with.
fn is_names(custom: &[u8]) -> bool {
    custom.starts_with(b"\x04name")
}
