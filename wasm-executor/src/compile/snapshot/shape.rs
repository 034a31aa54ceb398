//! What a module is made of, as far as it matters to a snapshot, and whether there can be one.

use std::collections::BTreeMap;
use std::ops::Range;

use wasm_encoder::{ConstExpr, Encode, ExportKind, ExportSection, GlobalSection, GlobalType, RawSection, Section as _};
use wasmparser::{
    BinaryReaderError, Data, DataKind, ElementKind, FunctionBody, Operator, Parser, Payload, TypeRef, ValType,
};

use super::host::WASI;
use super::record::global_name;

const PAGE: u64 = 64 << 10;

/// Identifiers of a core module's sections.
pub(super) const CUSTOM: u8 = 0;
pub(super) const TYPES: u8 = 1;
pub(super) const FUNCTIONS: u8 = 3;
pub(super) const MEMORY: u8 = 5;
pub(super) const GLOBALS: u8 = 6;
pub(super) const EXPORTS: u8 = 7;
pub(super) const CODE: u8 = 10;
pub(super) const DATA: u8 = 11;
pub(super) const DATA_COUNT: u8 = 12;

/// A core module of which everything that a run can change is known: one memory and some globals.
#[derive(Default)]
pub(super) struct Shape<'a> {
    pub(super) binary: &'a [u8],
    /// Identifiers and where the contents lie.
    pub(super) sections: Vec<(u8, Range<usize>)>,
    /// Functions of WASI, by name.
    pub(super) imports: BTreeMap<&'a str, u32>,
    pub(super) types: u32,
    imported: u32,
    defined: u32,
    pub(super) globals: Vec<Global>,
    exports: Vec<(&'a str, ExportKind, u32)>,
    /// Pages of the memory, and how many it may come to.
    pub(super) memory: (u64, Option<u64>),
    /// What the memory begins with.
    pub(super) data: Vec<(u32, &'a [u8])>,
    /// The exported function that is called first.
    pub(super) start: u32,
    /// The word by which that function knows that it was called before.
    pub(super) guard: Option<u32>,
}

#[derive(Clone, Copy)]
pub(super) struct Global {
    pub(super) of_type: ValType,
    pub(super) is_mutable: bool,
    pub(super) value: i64,
}

impl<'a> Shape<'a> {
    /// `None` when a run can change more than its memory and its globals, or begins before it is called.
    ///
    /// # Errors
    /// When it is no module.
    pub(super) fn read(binary: &'a [u8]) -> Result<Option<Self>, BinaryReaderError> {
        let mut shape = Self { binary, ..Self::default() };
        let (mut memories, mut bodies) = (0, 0);
        for payload in Parser::new(0).parse_all(binary) {
            let payload = payload?;
            shape.sections.extend(payload.as_section());
            match payload {
                Payload::TypeSection(section) => {
                    for group in section {
                        shape.types += u32::try_from(group?.types().len()).unwrap_or(u32::MAX);
                    }
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let import = import?;
                        if import.module != WASI || !matches!(import.ty, TypeRef::Func(_)) {
                            return Ok(None);
                        }
                        shape.imports.insert(import.name, shape.imported);
                        shape.imported += 1;
                    }
                }
                Payload::FunctionSection(section) => shape.defined = section.count(),
                Payload::MemorySection(section) => {
                    for memory in section {
                        let memory = memory?;
                        if memory.memory64 || memory.shared || memory.page_size_log2.is_some() {
                            return Ok(None);
                        }
                        shape.memory = (memory.initial, memory.maximum);
                        memories += 1;
                    }
                }
                Payload::GlobalSection(section) => {
                    for global in section {
                        let Some(global) = known(&global?)? else { return Ok(None) };
                        shape.globals.push(global);
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export?;
                        let kind = match export.kind {
                            wasmparser::ExternalKind::Func => ExportKind::Func,
                            wasmparser::ExternalKind::Table => ExportKind::Table,
                            wasmparser::ExternalKind::Memory => ExportKind::Memory,
                            wasmparser::ExternalKind::Global => ExportKind::Global,
                            _ => return Ok(None),
                        };
                        shape.exports.push((export.name, kind, export.index));
                    }
                    let is_start =
                        |(name, kind, _): &&(&str, ExportKind, u32)| *name == "_start" && *kind == ExportKind::Func;
                    let Some((_, _, start)) = shape.exports.iter().find(is_start) else { return Ok(None) };
                    shape.start = *start;
                }
                Payload::ElementSection(section) => {
                    for element in section {
                        if matches!(element?.kind, ElementKind::Passive) {
                            return Ok(None);
                        }
                    }
                }
                Payload::DataSection(section) => {
                    for data in section {
                        let Some(data) = active(&data?)? else { return Ok(None) };
                        shape.data.push(data);
                    }
                }
                Payload::CodeSectionEntry(body) => {
                    if shape.start == shape.imported + bodies {
                        shape.guard = guard(&body)?;
                    }
                    bodies += 1;
                    for operator in body.get_operators_reader()? {
                        if changes_tables(&operator?) {
                            return Ok(None);
                        }
                    }
                }
                Payload::StartSection { .. } | Payload::TagSection(_) | Payload::ModuleSection { .. } => {
                    return Ok(None);
                }
                _ => {}
            }
        }
        let has_memory = shape.exports.iter().any(|(name, kind, _)| *name == "memory" && *kind == ExportKind::Memory);
        Ok((memories == 1 && has_memory && bodies > 0 && shape.fits()).then_some(shape))
    }

    /// Whether its data lies in its memory, as it must.
    fn fits(&self) -> bool {
        let len = self.memory.0.saturating_mul(PAGE);
        len <= u64::from(u32::MAX) && self.data.iter().all(|(at, data)| u64::from(*at) + data.len() as u64 <= len)
    }

    /// How many functions there are.
    pub(super) fn functions(&self) -> u32 {
        self.imported + self.defined
    }

    /// The memory that it begins with.
    pub(super) fn initial_memory(&self) -> Vec<u8> {
        let mut memory = vec![0; usize::try_from(self.memory.0 * PAGE).unwrap_or(usize::MAX)];
        for (at, data) in &self.data {
            memory[*at as usize..*at as usize + data.len()].copy_from_slice(data);
        }
        memory
    }

    /// The same module, whose globals are exported.
    pub(super) fn with_its_globals(&self) -> Vec<u8> {
        let mut exports = ExportSection::new();
        for (name, kind, index) in &self.exports {
            exports.export(name, *kind, *index);
        }
        for (number, index) in (0..self.globals.len()).zip(0_u32..) {
            exports.export(&global_name(number), ExportKind::Global, index);
        }
        self.written(|id| (id == EXPORTS).then(|| contents(&exports)))
    }

    /// The exports, of which another function is called first.
    pub(super) fn exports_with(&self, start: u32) -> ExportSection {
        let mut exports = ExportSection::new();
        for (name, kind, index) in &self.exports {
            let is_start = *name == "_start" && *kind == ExportKind::Func;
            exports.export(name, *kind, if is_start { start } else { *index });
        }
        exports
    }

    /// The globals, with these values.
    pub(super) fn globals_with(&self, values: &[i64]) -> GlobalSection {
        let mut globals = GlobalSection::new();
        for (Global { of_type, is_mutable, .. }, value) in self.globals.iter().zip(values) {
            let (val_type, init) = match of_type {
                ValType::I64 => (wasm_encoder::ValType::I64, ConstExpr::i64_const(*value)),
                #[expect(clippy::cast_possible_truncation, reason = "it has 32 bits")]
                _ => (wasm_encoder::ValType::I32, ConstExpr::i32_const(*value as i32)),
            };
            globals.global(GlobalType { val_type, mutable: *is_mutable, shared: false }, &init);
        }
        globals
    }

    /// The module with other contents of some sections.
    pub(super) fn written(&self, mut other: impl FnMut(u8) -> Option<Vec<u8>>) -> Vec<u8> {
        let mut written = self.binary[..8].to_vec();
        for (id, range) in &self.sections {
            let data = other(*id);
            let data = data.as_deref().unwrap_or(&self.binary[range.clone()]);
            RawSection { id: *id, data }.append_to(&mut written);
        }
        written
    }
}

/// What a section has behind its identifier and its length.
pub(super) fn contents(section: &impl Encode) -> Vec<u8> {
    let mut encoded = Vec::new();
    section.encode(&mut encoded);
    let length = encoded.iter().position(|byte| byte & 0x80 == 0).map_or(0, |last| last + 1);
    encoded.split_off(length)
}

/// A global that is a plain number.
fn known(global: &wasmparser::Global<'_>) -> Result<Option<Global>, BinaryReaderError> {
    let mut operators = global.init_expr.get_operators_reader();
    let value = match operators.read()? {
        Operator::I32Const { value } => value.into(),
        Operator::I64Const { value } => value,
        _ => return Ok(None),
    };
    let is_plain = matches!(operators.read()?, Operator::End) && !global.ty.shared;
    Ok(is_plain.then_some(Global { of_type: global.ty.content_type, is_mutable: global.ty.mutable, value }))
}

/// Data that is there from the start, and where.
fn active<'a>(data: &Data<'a>) -> Result<Option<(u32, &'a [u8])>, BinaryReaderError> {
    let DataKind::Active { memory_index: 0, offset_expr } = &data.kind else { return Ok(None) };
    let mut operators = offset_expr.get_operators_reader();
    let Operator::I32Const { value } = operators.read()? else { return Ok(None) };
    Ok(matches!(operators.read()?, Operator::End).then_some((value.cast_unsigned(), data.data)))
}

/// A program of WASI traps when it is called a second time: it begins by looking at a word, and sets it to 1.
fn guard(body: &FunctionBody<'_>) -> Result<Option<u32>, BinaryReaderError> {
    let (mut numbers, mut looked_at) = ([None, None], None);
    let place = |base: Option<i32>, offset: u64| Some(u64::from(base?.cast_unsigned()) + offset);
    for operator in body.get_operators_reader()? {
        match operator? {
            Operator::I32Const { value } => {
                numbers = [numbers[1], Some(value)];
                continue;
            }
            Operator::I32Load { memarg } if looked_at.is_none() => match place(numbers[1], memarg.offset) {
                Some(at) => looked_at = Some(at),
                None => return Ok(None),
            },
            Operator::I32Store { memarg }
                if numbers[1] == Some(1) && looked_at.is_some() && place(numbers[0], memarg.offset) == looked_at =>
            {
                return Ok(looked_at.and_then(|at| u32::try_from(at).ok()));
            }
            _ => {}
        }
        numbers = [None, None];
    }
    Ok(None)
}

fn changes_tables(operator: &Operator<'_>) -> bool {
    matches!(
        operator,
        Operator::TableSet { .. }
            | Operator::TableGrow { .. }
            | Operator::TableFill { .. }
            | Operator::TableCopy { .. }
            | Operator::TableInit { .. }
            | Operator::ElemDrop { .. }
    )
}
