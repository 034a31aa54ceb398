//! A module as it is compiled: what a guest does stays the same, and where it can be stopped and at what cost is better.

mod bulk;
mod unroll;

use std::borrow::Cow;
use std::collections::BTreeSet;

use bulk::{Bulk, Helpers, Kind};
use wasm_encoder::{Encode, RawSection, Section as _};
use wasmparser::{
    BinaryReader, BinaryReaderError, CompositeInnerType, DataKind, FunctionBody, MemorySectionReader, Parser, Payload,
    SubType, TypeRef, Validator, WasmFeatures,
};

/// Stands for how modules are rewritten. What is compiled of the same module otherwise has another.
pub(crate) const EDITION: u32 = 3;

/// Identifiers of a core module's sections.
const TYPES: u8 = 1;
const FUNCTIONS: u8 = 3;
const CODE: u8 = 10;

/// Pages of a memory, beside a heap of exceptions: one less than 32 bits address.
const PAGES_MAX: u64 = 65535;

/// `(func (param i32 i32 i32))`, the type of all bulk operators on a memory.
const BULK_TYPE: [u8; 6] = [0x60, 3, 0x7f, 0x7f, 0x7f, 0];

/// The module or component as it is compiled: with its long bulk operators in pieces, and its short loops longer. Where it
/// throws exceptions, its memories cannot become as large as 32 bits address: then whoever counts them can tell them from the
/// heap of exceptions, which can. Where there is nothing to do it comes back as it is, and so does what is not valid, for the compiler to say why.
pub fn rewrite(binary: &[u8]) -> Cow<'_, [u8]> {
    rewrite_by(bulk::PIECE, binary)
}

fn rewrite_by(piece: u32, binary: &[u8]) -> Cow<'_, [u8]> {
    // What has a memory of 64 bits is not compiled either.
    let mut validator = Validator::new_with_features(WasmFeatures::default() - WasmFeatures::MEMORY64);
    match rewritten(binary, piece) {
        // Or a function that is not there would be named, and then be ours.
        Ok(Some(rewritten)) if validator.validate_all(binary).is_ok() => Cow::Owned(rewritten),
        _ => Cow::Borrowed(binary),
    }
}

/// `None` when there is nothing to change.
fn rewritten(binary: &[u8], piece: u32) -> Result<Option<Vec<u8>>, BinaryReaderError> {
    let throws = Parser::new(0).parse_all(binary).any(|payload| matches!(payload, Ok(Payload::TagSection(_))));
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
        if let (true, Payload::MemorySection(memories)) = (throws, &payload) {
            part.replace_last(bounded(memories.clone())?);
        }
        part.read(payload, piece)?;
    }
    Ok(None)
}

/// A module or component, read as far as its code is concerned.
struct Part<'a> {
    header: &'a [u8],
    /// Identifiers and contents.
    sections: Vec<(u8, Cow<'a, [u8]>)>,
    /// Something inside was rewritten.
    is_changed: bool,
    /// For each type the number of its parameters, if it is one of functions.
    types: Vec<usize>,
    /// Functions from elsewhere.
    imported: u32,
    /// The type of each function of its own.
    defined: Vec<u32>,
    /// Lengths of the data segments.
    segments: Vec<usize>,
    functions: Vec<Function<'a>>,
}

struct Function<'a> {
    body: Cow<'a, [u8]>,
    operators: Vec<Bulk>,
}

impl<'a> Part<'a> {
    fn new(header: &'a [u8]) -> Self {
        Self {
            header,
            sections: Vec::new(),
            is_changed: false,
            types: Vec::new(),
            imported: 0,
            defined: Vec::new(),
            segments: Vec::new(),
            functions: Vec::new(),
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
                    self.types.extend(group?.types().map(parameters));
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    self.imported += u32::from(matches!(import?.ty, TypeRef::Func(_) | TypeRef::FuncExact(_)));
                }
            }
            Payload::FunctionSection(section) => {
                self.defined = section.into_iter().collect::<Result<_, _>>()?;
            }
            Payload::CodeSectionEntry(body) => {
                let unrolled = unroll::unrolled(&body)?;
                self.is_changed |= unrolled.is_some();
                let body = unrolled.map_or(Cow::Borrowed(body.as_bytes()), Cow::Owned);
                let operators = bulk::find(&function_body(&body), piece)?;
                self.functions.push(Function { body, operators });
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

    fn write(mut self, piece: u32) -> Result<Option<Vec<u8>>, BinaryReaderError> {
        let Self { functions, segments, .. } = &mut self;
        for function in functions {
            function.operators.retain(|bulk| match bulk.kind {
                Kind::Fill | Kind::Copy => true,
                Kind::Init { segment } => segments.get(segment as usize).is_some_and(|length| *length > piece as usize),
            });
        }
        let kinds: BTreeSet<Kind> =
            self.functions.iter().flat_map(|function| &function.operators).map(|bulk| bulk.kind).collect();
        let is_sound = self.defined.len() == self.functions.len();
        if !is_sound || (kinds.is_empty() && !self.is_changed) {
            return Ok(None);
        }
        let first = self.imported + u32::try_from(self.defined.len()).unwrap_or(u32::MAX);
        let bulk_type = u32::try_from(self.types.len()).unwrap_or(u32::MAX);
        let helpers = Helpers { functions: kinds.into_iter().zip(first..).collect(), bulk_type, piece };
        let mut written = self.header.to_vec();
        for (id, contents) in &self.sections {
            let contents = match *id {
                _ if self.functions.is_empty() => Cow::Borrowed(&**contents),
                CODE => Cow::Owned(self.code(&helpers)?),
                _ if helpers.functions.is_empty() => Cow::Borrowed(&**contents),
                TYPES => Cow::Owned(extended(contents, [&BULK_TYPE[..]])?),
                FUNCTIONS => {
                    let mut index = Vec::new();
                    helpers.bulk_type.encode(&mut index);
                    Cow::Owned(extended(contents, helpers.functions.iter().map(|_| &index[..]))?)
                }
                _ => Cow::Borrowed(&**contents),
            };
            RawSection { id: *id, data: &contents }.append_to(&mut written);
        }
        Ok(Some(written))
    }

    /// The contents of the code section, with the functions for long operators at the end.
    fn code(&self, helpers: &Helpers) -> Result<Vec<u8>, BinaryReaderError> {
        let mut code = Vec::new();
        (self.functions.len() + helpers.functions.len()).encode(&mut code);
        for (Function { body, operators }, of_type) in self.functions.iter().zip(&self.defined) {
            if operators.is_empty() {
                body.encode(&mut code);
            } else {
                let parameters = self.types.get(*of_type as usize).copied().unwrap_or(0);
                helpers.rewrite(&function_body(body), parameters, operators)?[..].encode(&mut code);
            }
        }
        helpers.bodies().for_each(|body| body.encode(&mut code));
        Ok(code)
    }
}

fn function_body(bytes: &[u8]) -> FunctionBody<'_> {
    FunctionBody::new(BinaryReader::new(bytes, 0))
}

fn parameters(of: &SubType) -> usize {
    match &of.composite_type.inner {
        CompositeInnerType::Func(function) => function.params().len(),
        _ => 0,
    }
}

/// A section of memories that all have such a maximum; `None` when they have.
fn bounded(memories: MemorySectionReader<'_>) -> Result<Option<Vec<u8>>, BinaryReaderError> {
    let (mut contents, mut is_changed) = (Vec::new(), false);
    memories.count().encode(&mut contents);
    for memory in memories {
        let memory = memory?;
        let maximum = memory.maximum.unwrap_or(PAGES_MAX).min(PAGES_MAX.max(memory.initial));
        is_changed |= memory.maximum != Some(maximum);
        let of = wasm_encoder::MemoryType {
            minimum: memory.initial,
            maximum: Some(maximum),
            memory64: memory.memory64,
            shared: memory.shared,
            page_size_log2: memory.page_size_log2,
        };
        of.encode(&mut contents);
    }
    Ok(is_changed.then_some(contents))
}

/// A section with more items at its end.
pub(super) fn extended<'a>(
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

#[cfg(test)]
mod tests;
