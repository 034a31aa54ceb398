//! Bulk operators, made to be interrupted: wasmtime runs a `memory.fill` of a GiB to its end, which takes a second, and
//! nothing that a guest can ask for may keep its worker for so long.
//!
//! Where a `memory.fill`, `memory.copy` or `memory.init` turns out to be long, a function is called that is put at the end
//! of the module, and does the same in pieces. It is a function as any other, so it is preempted, stopped and charged
//! like one.

use std::collections::BTreeMap;
use std::ops::Range;

use wasm_encoder::{BlockType, Encode, Instruction, ValType};
use wasmparser::{BinaryReaderError, FunctionBody, Operator, Parser, Payload};

/// Bytes that are filled or copied before the guest may be stopped: 15 µs of work, or up to a millisecond where the pages
/// are touched for the first time. Smaller pieces would go another way in some systems' `memmove` than the whole, and
/// that may be eight times slower (glibc 2.36 with addresses that differ by a few bytes modulo a page).
pub(super) const PIECE: u32 = 512 << 10;

/// An operator that may be long, and where it is among the bytes of its function.
pub(super) struct Bulk {
    at: Range<usize>,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Fill,
    Copy,
    Init { segment: u32 },
}

/// The operators of a function that may be long.
pub(super) fn find(body: &FunctionBody<'_>, piece: u32) -> Result<Vec<Bulk>, BinaryReaderError> {
    let begin = body.range().start;
    let mut found = Vec::new();
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
            found.push(Bulk { at: start - begin..operators.original_position() - begin, kind });
        }
        is_short = matches!(operator, Operator::I32Const { value } if value.cast_unsigned() <= piece);
    }
    Ok(found)
}

/// What long operators are done by.
pub(super) struct Helpers {
    /// The function for each kind.
    pub(super) functions: BTreeMap<Kind, u32>,
    /// The type that they have, as all bulk operators on a memory.
    pub(super) bulk_type: u32,
    /// Bytes.
    pub(super) piece: u32,
}

impl Helpers {
    /// What they do, in the order of their indices.
    pub(super) fn bodies(&self) -> impl Iterator<Item = Vec<u8>> {
        self.functions.keys().map(|kind| kind.body(self.piece))
    }

    /// The body of a function that calls them. It has one more local, for a length to be looked at.
    pub(super) fn rewrite(
        &self,
        body: &FunctionBody<'_>,
        parameters: usize,
        operators: &[Bulk],
    ) -> Result<Vec<u8>, BinaryReaderError> {
        let (bytes, start) = (body.as_bytes(), body.range().start);
        let mut locals = body.get_locals_reader()?;
        let (groups, mut local) = (locals.get_count(), u32::try_from(parameters).unwrap_or(u32::MAX));
        let groups_start = locals.original_position() - start;
        for _ in 0..groups {
            local = local.saturating_add(locals.read()?.0);
        }
        let mut copied = locals.original_position() - start;
        let mut written = Vec::new();
        (groups + 1).encode(&mut written);
        written.extend_from_slice(&bytes[groups_start..copied]);
        1_u32.encode(&mut written);
        ValType::I32.encode(&mut written);
        for Bulk { at, kind, .. } in operators {
            written.extend_from_slice(&bytes[copied..at.start]);
            Instruction::LocalTee(local).encode(&mut written);
            Instruction::LocalGet(local).encode(&mut written);
            Instruction::I32Const(self.piece.cast_signed()).encode(&mut written);
            Instruction::I32GtU.encode(&mut written);
            Instruction::If(BlockType::FunctionType(self.bulk_type)).encode(&mut written);
            Instruction::Call(self.functions[kind]).encode(&mut written);
            Instruction::Else.encode(&mut written);
            written.extend_from_slice(&bytes[at.clone()]);
            Instruction::End.encode(&mut written);
            copied = at.end;
        }
        written.extend_from_slice(&bytes[copied..]);
        Ok(written)
    }
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
