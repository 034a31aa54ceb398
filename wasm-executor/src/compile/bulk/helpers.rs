//! The functions that do long operators, and how they are called.

use std::collections::BTreeMap;
use std::ops::Range;

use wasm_encoder::{BlockType, Encode, Instruction, ValType};
use wasmparser::{BinaryReaderError, FunctionBody, Parser, Payload};

/// An operator that may be long, and where it is: in which body, and at which bytes of the binary.
pub(super) struct Bulk {
    pub(super) body: usize,
    pub(super) at: Range<usize>,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Fill,
    Copy,
    Init { segment: u32 },
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
        let groups_start = locals.original_position();
        for _ in 0..groups {
            local = local.saturating_add(locals.read()?.0);
        }
        let mut copied = locals.original_position();
        let mut written = Vec::new();
        (groups + 1).encode(&mut written);
        written.extend_from_slice(&bytes[groups_start - start..copied - start]);
        1_u32.encode(&mut written);
        ValType::I32.encode(&mut written);
        for Bulk { at, kind, .. } in operators {
            let operator = &bytes[at.start - start..at.end - start];
            written.extend_from_slice(&bytes[copied - start..at.start - start]);
            Instruction::LocalTee(local).encode(&mut written);
            Instruction::LocalGet(local).encode(&mut written);
            Instruction::I32Const(self.piece.cast_signed()).encode(&mut written);
            Instruction::I32GtU.encode(&mut written);
            Instruction::If(BlockType::FunctionType(self.bulk_type)).encode(&mut written);
            Instruction::Call(self.functions[kind]).encode(&mut written);
            Instruction::Else.encode(&mut written);
            written.extend_from_slice(operator);
            Instruction::End.encode(&mut written);
            copied = at.end;
        }
        written.extend_from_slice(&bytes[copied - start..]);
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
