//! Loops whose head is looked at less often: a guest is stopped at the head of a loop, and what it costs to look whether
//! it must be is as much again as a round of a short loop.
//!
//! The innermost loops become as many rounds long as [`ROUNDS`], with the same exits. A round still does what it did, in
//! the same order.

use std::ops::Range;

use wasm_encoder::BlockType::Empty;
use wasm_encoder::{Encode, Instruction};
use wasmparser::{BinaryReaderError, BlockType, FunctionBody, Operator};

/// Rounds from one look to the next. With four, a loop that multiplies and adds takes half the time.
const ROUNDS: u32 = 4;

/// Rounds that end without a look.
const INNER: u32 = ROUNDS - 1;

/// Operators of a round that is worth it. In a longer one the look is a small part.
const OPERATORS_MAX: usize = 64;

/// Bytes by which a function grows at most.
const GROWTH_MAX: usize = 64 << 10;

/// Bytes that a round grows by at most, apart from its exits.
const ADDED: usize = 5;

/// A loop that can be made longer. Positions are those of the binary that its function is in.
struct Loop {
    /// From after its first operator to the branch back to it.
    round: Range<usize>,
    /// After its end.
    end: usize,
    /// What leads back to its head.
    back: Back,
    /// Branches to somewhere outside.
    exits: Vec<Exit>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Back {
    /// `br_if`: the loop is left when it is not taken.
    If,
    /// `br`: the loop is left by an exit.
    Always,
}

struct Exit {
    at: Range<usize>,
    back: Back,
    depth: u32,
}

/// The body of a function with longer loops, if it has any that are worth it.
pub(super) fn unrolled(body: &FunctionBody<'_>) -> Result<Option<Vec<u8>>, BinaryReaderError> {
    let loops = find(body)?;
    let (bytes, start) = (body.as_bytes(), body.range().start);
    let mut written = Vec::new();
    let (mut copied, mut grown) = (start, 0);
    for found in loops {
        grown += (found.round.len() + ADDED) * INNER as usize;
        if grown > GROWTH_MAX {
            break;
        }
        written.extend_from_slice(&bytes[copied - start..found.round.start - start]);
        found.write(bytes, start, &mut written);
        copied = found.end;
    }
    if copied == start {
        return Ok(None);
    }
    written.extend_from_slice(&bytes[copied - start..]);
    Ok(Some(written))
}

/// A loop that is being read.
struct Candidate {
    /// After its first operator.
    start: usize,
    operators: usize,
    /// Blocks that are open within it.
    depth: u32,
    exits: Vec<Exit>,
    /// The branch back, if it was the last operator.
    back: Option<(usize, Back)>,
}

fn find(body: &FunctionBody<'_>) -> Result<Vec<Loop>, BinaryReaderError> {
    let (bytes, start) = (body.as_bytes(), body.range().start);
    let mut loops = Vec::new();
    let mut candidate: Option<Candidate> = None;
    let mut operators = body.get_operators_reader()?;
    while !operators.eof() {
        let at = operators.original_position();
        let operator = operators.read()?;
        let end = operators.original_position();
        if let Operator::Loop { blockty: BlockType::Empty } = operator {
            candidate = Some(Candidate { start: end, operators: 0, depth: 0, exits: Vec::new(), back: None });
            continue;
        }
        let Some(mut open) = candidate.take() else { continue };
        match (operator, open.back) {
            (Operator::End, Some((last, back))) => {
                loops.push(Loop { round: open.start..last, end, back, exits: open.exits });
                continue;
            }
            (operator, None) if open.reads(&operator, at..end, &bytes[at - start..]) => candidate = Some(open),
            // Whoever goes on after the branch back is another kind of loop.
            _ => {}
        }
    }
    Ok(loops)
}

impl Candidate {
    /// Whether it may still become one. `code` begins with the operator.
    fn reads(&mut self, operator: &Operator<'_>, at: Range<usize>, code: &[u8]) -> bool {
        self.operators += 1;
        match *operator {
            Operator::Block { .. } | Operator::If { .. } => self.depth += 1,
            Operator::Else if self.depth > 0 => {}
            Operator::End if self.depth > 0 => self.depth -= 1,
            Operator::BrIf { relative_depth } => return self.branches(relative_depth, Back::If, at),
            Operator::Br { relative_depth } => return self.branches(relative_depth, Back::Always, at),
            // Calls, and whatever works on many bytes: beside them the look is a small part.
            _ => return is_plain(code) && self.operators <= OPERATORS_MAX,
        }
        self.operators <= OPERATORS_MAX
    }

    fn branches(&mut self, depth: u32, back: Back, at: Range<usize>) -> bool {
        if depth > self.depth {
            self.exits.push(Exit { at, back, depth });
        } else if depth == self.depth {
            // To its head: only as its last operator.
            self.back = Some((at.start, back));
            return self.depth == 0;
        }
        // What follows an exit that is always taken is never reached.
        !(back == Back::Always && self.depth == 0)
    }
}

/// Whether it is one of those that compute, load, store or move values: by the opcodes of the specification (WebAssembly
/// Core 2.0, index of instructions), since whatever is added to them may have blocks and labels of its own.
fn is_plain(code: &[u8]) -> bool {
    match code {
        // Conversions; behind them are bulk operators.
        [0xfc, conversion, ..] => *conversion < 8,
        // `nop`, `drop`, `select`, variables, tables, loads, stores, `memory.size` but not `memory.grow`, numbers,
        // references, vectors.
        [0x01 | 0x1a..=0x1c | 0x20..=0x26 | 0x28..=0x3f | 0x41..=0xc4 | 0xd0..=0xd2 | 0xfd, ..] => true,
        _ => false,
    }
}

impl Loop {
    /// What follows its first operator. `bytes` are of its function, which begins at `start`.
    ///
    /// Each round costs as much fuel as before: an `if` as much as the `br_if` in whose place it is, and a `br` to the end
    /// of a block as much as one to the head.
    fn write(&self, bytes: &[u8], start: usize, written: &mut Vec<u8>) {
        match self.back {
            Back::If => {
                for round in 0..INNER {
                    self.write_round(bytes, start, round, written);
                    Instruction::If(Empty).encode(written);
                }
                self.write_round(bytes, start, INNER, written);
                Instruction::BrIf(INNER).encode(written);
                (0..INNER).for_each(|_| Instruction::End.encode(written));
            }
            Back::Always => {
                for _ in 0..INNER {
                    Instruction::Block(Empty).encode(written);
                    self.write_round(bytes, start, 1, written);
                    Instruction::Br(0).encode(written);
                    Instruction::End.encode(written);
                }
                self.write_round(bytes, start, 0, written);
                Instruction::Br(0).encode(written);
            }
        }
        Instruction::End.encode(written);
    }

    /// One round, inside of so many blocks of ours.
    fn write_round(&self, bytes: &[u8], start: usize, inside: u32, written: &mut Vec<u8>) {
        let mut copied = self.round.start;
        for Exit { at, back, depth } in &self.exits {
            written.extend_from_slice(&bytes[copied - start..at.start - start]);
            match back {
                Back::If => Instruction::BrIf(depth + inside).encode(written),
                Back::Always => Instruction::Br(depth + inside).encode(written),
            }
            copied = at.end;
        }
        written.extend_from_slice(&bytes[copied - start..self.round.end - start]);
    }
}

#[cfg(test)]
mod tests;
