//! Bulk operators, made to be interrupted: wasmtime runs a `memory.fill` of a GiB to its end, which takes a second, and
//! nothing that a guest can ask for may keep its worker for so long.
//!
//! Each `memory.fill`, `memory.copy` and `memory.init` that may be long becomes a call of a function that is put at the
//! end of the module, and does the same in pieces. It is a function as any other, so it is preempted, stopped and
//! charged like one. Nothing else of the module changes, but for where its code lies.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use wasm_encoder::{Encode, RawSection, Section as _};
use wasmparser::{
    BinaryReader, BinaryReaderError, DataKind, FunctionBody, Operator, Parser, Payload, TypeRef, Validator,
};

/// Bytes that are filled or copied before the guest may be stopped: 15 µs of work, or up to a millisecond where the pages
/// are touched for the first time. Smaller pieces would go another way in some systems' `memmove` than the whole, and
/// that may be eight times slower (glibc 2.36 with addresses that differ by a few bytes modulo a page).
pub(crate) const PIECE: u32 = 512 << 10;

/// Identifiers of a core module's sections.
const TYPES: u8 = 1;
const FUNCTIONS: u8 = 3;
const CODE: u8 = 10;

/// `(func (param i32 i32 i32))`, the type of all bulk operators on a memory.
const BULK_TYPE: [u8; 6] = [0x60, 3, 0x7f, 0x7f, 0x7f, 0];
const CALL: u8 = 0x10;

/// The module or component, its bulk operators in pieces. What has none comes back as it is, and so does what is not
/// valid, for the compiler to say why.
pub(super) fn in_pieces(binary: &[u8]) -> Cow<'_, [u8]> {
    in_pieces_of(PIECE, binary)
}

fn in_pieces_of(piece: u32, binary: &[u8]) -> Cow<'_, [u8]> {
    match rewritten(binary, piece) {
        // Or a function that is not there would be named, and then be ours.
        Ok(Some(rewritten)) if Validator::new().validate_all(binary).is_ok() => Cow::Owned(rewritten),
        _ => Cow::Borrowed(binary),
    }
}

/// `None` when there is nothing to change.
fn rewritten(binary: &[u8], piece: u32) -> Result<Option<Vec<u8>>, BinaryReaderError> {
    // A component has modules and components inside; the innermost that is being read comes last.
    let mut open: Vec<Part<'_>> = Vec::new();
    for payload in Parser::new(0).parse_all(binary) {
        let payload = payload?;
        if let Payload::Version { range, .. } = &payload {
            open.push(Part::new(&binary[range.clone()]));
            continue;
        }
        if let Payload::End(_) = &payload {
            let Some(part) = open.pop() else { break };
            let written = part.write(piece)?;
            let Some(around) = open.last_mut() else { return Ok(written) };
            around.replace_last(written);
            continue;
        }
        let Some(part) = open.last_mut() else { break };
        if let Some((id, range)) = payload.as_section() {
            // A module inside of a component may break off.
            let Some(contents) = binary.get(range) else { break };
            part.sections.push((id, Cow::Borrowed(contents)));
        }
        part.read(payload, piece)?;
    }
    Ok(None)
}

/// A module or component, read as far as its bulk operators are concerned.
struct Part<'a> {
    header: &'a [u8],
    /// Identifiers and contents.
    sections: Vec<(u8, Cow<'a, [u8]>)>,
    /// Something inside of this component was rewritten.
    is_changed: bool,
    types: u32,
    /// Functions.
    imported: u32,
    defined: u32,
    /// Lengths of the data segments.
    segments: Vec<usize>,
    bodies: Vec<FunctionBody<'a>>,
    operators: Vec<Bulk>,
}

/// An operator that may be long, and where it is: in which body, and at which bytes of the binary.
struct Bulk {
    body: usize,
    at: Range<usize>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Fill,
    Copy,
    Init { segment: u32 },
}

impl<'a> Part<'a> {
    fn new(header: &'a [u8]) -> Self {
        Self {
            header,
            sections: Vec::new(),
            is_changed: false,
            types: 0,
            imported: 0,
            defined: 0,
            segments: Vec::new(),
            bodies: Vec::new(),
            operators: Vec::new(),
        }
    }

    fn replace_last(&mut self, written: Option<Vec<u8>>) {
        if let (Some(written), Some((_, contents))) = (written, self.sections.last_mut()) {
            *contents = Cow::Owned(written);
            self.is_changed = true;
        }
    }

    fn read(&mut self, payload: Payload<'a>, piece: u32) -> Result<(), BinaryReaderError> {
        match payload {
            Payload::TypeSection(section) => {
                for group in section {
                    self.types += u32::try_from(group?.types().len()).unwrap_or(u32::MAX);
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    self.imported += u32::from(matches!(import?.ty, TypeRef::Func(_) | TypeRef::FuncExact(_)));
                }
            }
            Payload::FunctionSection(section) => self.defined = section.count(),
            Payload::CodeSectionEntry(body) => {
                self.find_operators(&body, piece)?;
                self.bodies.push(body);
            }
            Payload::DataSection(section) => {
                for segment in section {
                    let segment = segment?;
                    // Others are gone when the first operator runs.
                    let is_kept = matches!(segment.kind, DataKind::Passive);
                    self.segments.push(if is_kept { segment.data.len() } else { 0 });
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn find_operators(&mut self, body: &FunctionBody<'_>, piece: u32) -> Result<(), BinaryReaderError> {
        let mut operators = body.get_operators_reader()?;
        // The length comes last before its operator: most often it is a small constant.
        let mut is_short = false;
        while !operators.eof() {
            let start = operators.original_position();
            let operator = operators.read()?;
            let kind = match operator {
                Operator::MemoryFill { mem: 0 } => Some(Kind::Fill),
                Operator::MemoryCopy { dst_mem: 0, src_mem: 0 } => Some(Kind::Copy),
                Operator::MemoryInit { data_index, mem: 0 } => Some(Kind::Init { segment: data_index }),
                _ => None,
            };
            if let (Some(kind), false) = (kind, is_short) {
                self.operators.push(Bulk { body: self.bodies.len(), at: start..operators.original_position(), kind });
            }
            is_short = matches!(operator, Operator::I32Const { value } if value.cast_unsigned() <= piece);
        }
        Ok(())
    }

    fn write(mut self, piece: u32) -> Result<Option<Vec<u8>>, BinaryReaderError> {
        let Self { operators, segments, .. } = &mut self;
        operators.retain(|bulk| match bulk.kind {
            Kind::Fill | Kind::Copy => true,
            Kind::Init { segment } => segments.get(segment as usize).is_some_and(|length| *length > piece as usize),
        });
        let is_sound = self.defined as usize == self.bodies.len();
        if !is_sound || (self.operators.is_empty() && !self.is_changed) {
            return Ok(None);
        }
        let kinds: BTreeSet<Kind> = self.operators.iter().map(|bulk| bulk.kind).collect();
        let helpers: BTreeMap<Kind, u32> = kinds.into_iter().zip(self.imported + self.defined..).collect();
        let mut written = self.header.to_vec();
        for (id, contents) in &self.sections {
            let contents = match *id {
                _ if helpers.is_empty() => Cow::Borrowed(&**contents),
                TYPES => Cow::Owned(extended(contents, [&BULK_TYPE[..]])?),
                FUNCTIONS => {
                    let mut index = Vec::new();
                    self.types.encode(&mut index);
                    Cow::Owned(extended(contents, helpers.iter().map(|_| &index[..]))?)
                }
                CODE => Cow::Owned(self.code(&helpers, piece)),
                _ => Cow::Borrowed(&**contents),
            };
            RawSection { id: *id, data: &contents }.append_to(&mut written);
        }
        Ok(Some(written))
    }

    /// The contents of the code section: calls instead of operators, and at the end the functions that they call.
    fn code(&self, helpers: &BTreeMap<Kind, u32>, piece: u32) -> Vec<u8> {
        let mut code = Vec::new();
        (self.bodies.len() + helpers.len()).encode(&mut code);
        let mut operators = self.operators.iter().peekable();
        for (number, body) in self.bodies.iter().enumerate() {
            let (bytes, start) = (body.as_bytes(), body.range().start);
            let (mut changed, mut copied) = (Vec::new(), 0);
            while let Some(bulk) = operators.next_if(|bulk| bulk.body == number) {
                changed.extend_from_slice(&bytes[copied..bulk.at.start - start]);
                changed.push(CALL);
                helpers[&bulk.kind].encode(&mut changed);
                copied = bulk.at.end - start;
            }
            changed.extend_from_slice(&bytes[copied..]);
            changed[..].encode(&mut code);
        }
        for kind in helpers.keys() {
            kind.body(piece).encode(&mut code);
        }
        code
    }
}

/// A section with more items at its end.
fn extended<'a>(
    contents: &[u8],
    items: impl IntoIterator<Item = &'a [u8], IntoIter: ExactSizeIterator>,
) -> Result<Vec<u8>, BinaryReaderError> {
    let items = items.into_iter();
    let mut reader = BinaryReader::new(contents, 0);
    let count = reader.read_var_u32()? as usize + items.len();
    let mut extended = Vec::new();
    count.encode(&mut extended);
    extended.extend_from_slice(reader.read_bytes(reader.bytes_remaining())?);
    items.for_each(|item| extended.extend_from_slice(item));
    Ok(extended)
}

impl Kind {
    /// The body of the function that does it in pieces.
    fn body(self, piece: u32) -> Vec<u8> {
        let (number, segment) = match self {
            Self::Fill => (0, 0),
            Self::Copy => (1, 0),
            Self::Init { segment } => (2, segment),
        };
        let text = include_str!("pieces.wat").replace("PIECE", &piece.to_string());
        let binary =
            wat::parse_str(text.replace("SEGMENT", &segment.to_string())).expect("our own text is well formed");
        let mut bodies = Parser::new(0).parse_all(&binary).filter_map(|payload| match payload {
            Ok(Payload::CodeSectionEntry(body)) => Some(body.as_bytes().to_vec()),
            _ => None,
        });
        bodies.nth(number).expect("our own text has a function for each")
    }
}

#[cfg(test)]
mod tests;
