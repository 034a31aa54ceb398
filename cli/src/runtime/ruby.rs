//! Makes a program of the library that npm has of Ruby: its functions that want a host in JavaScript become traps, and it gets
//! an entry point, which runs a script.

use std::collections::BTreeMap;
use std::convert::Infallible;

use wasm_encoder::reencode::{self, Reencode, utils};
use wasm_encoder::{
    BlockType, CodeSection, DataSection, EntityType, ExportKind, ExportSection, Function, FunctionSection,
    ImportSection, Instruction, MemArg, Module, TypeSection, ValType,
};
use wasmparser::{
    CodeSectionReader, DataSectionReader, ExportSectionReader, ExternalKind, FunctionSectionReader,
    ImportSectionReader, Parser, Payload, TypeRef, TypeSectionReader,
};

/// What tasks are given.
const WASI: &str = "wasi_snapshot_preview1";
const ARGS_SIZES_GET: &str = "args_sizes_get";
const ARGS_GET: &str = "args_get";

/// What the entry point calls, by how the library exports it.
const INITIALIZE: &str = "_initialize";
const ALLOCATE: &str = "cabi_realloc";
const INIT: &str = "ruby-init: func(args: list<string>) -> ()";
const EVAL: &str = "rb-eval-string-protect: func(str: string) -> tuple<handle<rb-abi-value>, s32>";

/// Values that Ruby gives to its host and takes back: here they are themselves.
const SAME: [&str; 2] = ["resource_new_rb-abi-value", "resource_get_rb-abi-value"];

/// What a host would forget, and there is nothing to forget.
const DROPPED: &str = "resource_drop_";

/// What runs a script, with the 0 at its end that Ruby wants.
const SCRIPT: &str = concat!(include_str!("ruby.rb"), "\0");

/// Words of Ruby's own command line before those of the task: its name, its encoding, without what wants threads to explain mistakes,
/// and an empty program, since it would read one from standard input.
const WORDS: [&str; 5] = ["ruby", "-EUTF-8", "--disable=syntax_suggest", "-e_=0", "--"];

/// Why there is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotRuby {
    #[error("is not the library of Ruby: it has no {0}")]
    Missing(&'static str),
    #[error("is not the library of Ruby: {0}")]
    Broken(String),
}

/// The same library as a program of WASI 0.1.
///
/// # Errors
/// When it is something else.
pub(crate) fn program(library: &[u8]) -> Result<Vec<u8>, NotRuby> {
    let mut plan = Plan::of(library)?;
    let mut module = Module::new();
    plan.parse_core_module(&mut module, Parser::new(0), library).map_err(|error| NotRuby::Broken(error.to_string()))?;
    Ok(module.finish())
}

/// What is where in the library, and where it goes.
#[derive(Default)]
struct Plan {
    types: u32,
    segments: u32,
    /// Functions that are imported: their names, their types, and where they are in the program.
    imports: Vec<Import>,
    /// Functions that it defines.
    defined: u32,
    /// Of each type its parameters and results.
    shapes: Vec<(Vec<wasmparser::ValType>, usize)>,
    exports: BTreeMap<String, u32>,
}

struct Import {
    name: String,
    of_type: u32,
    /// In the program.
    index: u32,
    is_foreign: bool,
}

impl Plan {
    fn of(library: &[u8]) -> Result<Self, NotRuby> {
        let mut plan = Self::default();
        for payload in Parser::new(0).parse_all(library) {
            plan.read(payload.map_err(|error| broken(&error))?).map_err(|error| broken(&error))?;
        }
        // Imported are those of WASI and two more; then comes what it defines, then what stands for the others.
        let of_wasi = plan.imports.iter().filter(|import| !import.is_foreign).count();
        let (mut wasi, mut foreign) = (0, (of_wasi + 2) as u32 + plan.defined);
        for import in &mut plan.imports {
            let next = if import.is_foreign { &mut foreign } else { &mut wasi };
            import.index = *next;
            *next += 1;
        }
        for name in [INITIALIZE, ALLOCATE, INIT, EVAL] {
            plan.exported(name)?;
        }
        Ok(plan)
    }

    fn read(&mut self, payload: Payload<'_>) -> wasmparser::Result<()> {
        match payload {
            Payload::TypeSection(section) => {
                for of in section.into_iter_err_on_gc_types() {
                    let of = of?;
                    self.shapes.push((of.params().to_vec(), of.results().len()));
                    self.types += 1;
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    if let TypeRef::Func(of_type) = import.ty {
                        let is_foreign = import.module != WASI;
                        self.imports.push(Import { name: import.name.to_owned(), of_type, index: 0, is_foreign });
                    }
                }
            }
            Payload::FunctionSection(section) => self.defined = section.count(),
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export?;
                    if export.kind == ExternalKind::Func {
                        self.exports.insert(export.name.to_owned(), export.index);
                    }
                }
            }
            Payload::DataSection(section) => self.segments = section.count(),
            _ => {}
        }
        Ok(())
    }

    fn foreign(&self) -> impl Iterator<Item = &Import> {
        self.imports.iter().filter(|import| import.is_foreign)
    }

    /// Functions that are imported by the program.
    fn imported(&self) -> u32 {
        (self.imports.len() - self.foreign().count() + 2) as u32
    }

    /// The index in the program of a function of the library.
    fn moved(&self, index: u32) -> u32 {
        match self.imports.get(index as usize) {
            Some(import) => import.index,
            None => index - self.imports.len() as u32 + self.imported(),
        }
    }

    fn exported(&self, name: &'static str) -> Result<u32, NotRuby> {
        self.exports.get(name).map(|&index| self.moved(index)).ok_or(NotRuby::Missing(name))
    }

    /// The entry point's index.
    fn start(&self) -> u32 {
        self.imported() + self.defined + self.foreign().count() as u32
    }

    /// Lays out the command line as a list of strings, has Ruby read it, and runs the script.
    fn entry(&self) -> Function {
        let function = |name| self.exported(name).expect("it was looked up when the library was read");
        let (args_get, args_sizes_get) = (self.imported() - 1, self.imported() - 2);
        let [argc, size, list, text, at] = [0, 1, 2, 3, 4];
        let words = WORDS.len() as i32;
        let segment = self.segments;
        let texts: usize = WORDS.iter().map(|word| word.len() + 1).sum();
        let word = |offset: u32| MemArg { offset: u64::from(offset), align: 2, memory_index: 0 };
        let allocate = |code: &mut Vec<Instruction<'static>>, align: i32| {
            // The size is on the stack.
            code.extend([Instruction::LocalSet(at), Instruction::I32Const(0), Instruction::I32Const(0)]);
            code.extend([Instruction::I32Const(align), Instruction::LocalGet(at)]);
            code.push(Instruction::Call(function(ALLOCATE)));
        };
        let mut code = vec![Instruction::Call(function(INITIALIZE))];
        // How many arguments there are, and their bytes, are left in two words.
        code.push(Instruction::I32Const(8));
        allocate(&mut code, 4);
        code.extend([
            Instruction::LocalTee(list),
            Instruction::LocalGet(list),
            Instruction::I32Const(4),
            Instruction::I32Add,
            Instruction::Call(args_sizes_get),
            Instruction::Drop,
            Instruction::LocalGet(list),
            Instruction::I32Load(word(0)),
            Instruction::LocalSet(argc),
            Instruction::LocalGet(list),
            Instruction::I32Load(word(4)),
            Instruction::LocalSet(size),
        ]);
        // Each string is two words: where it is and how long. First the words of our own.
        code.extend([
            Instruction::LocalGet(argc),
            Instruction::I32Const(words),
            Instruction::I32Add,
            Instruction::I32Const(8),
            Instruction::I32Mul,
        ]);
        allocate(&mut code, 4);
        code.push(Instruction::LocalSet(list));
        code.extend([
            Instruction::LocalGet(size),
            Instruction::I32Const((texts + SCRIPT.len()) as i32),
            Instruction::I32Add,
        ]);
        allocate(&mut code, 1);
        code.extend([
            Instruction::LocalTee(text),
            Instruction::I32Const(0),
            Instruction::I32Const((texts + SCRIPT.len()) as i32),
            Instruction::MemoryInit { mem: 0, data_index: segment },
        ]);
        let mut offset = 0;
        for (number, own) in (0_u32..).zip(WORDS) {
            code.extend([
                Instruction::LocalGet(list),
                Instruction::LocalGet(text),
                Instruction::I32Const(offset),
                Instruction::I32Add,
                Instruction::I32Store(word(8 * number)),
                Instruction::LocalGet(list),
                Instruction::I32Const(own.len() as i32),
                Instruction::I32Store(word(8 * number + 4)),
            ]);
            offset += own.len() as i32 + 1;
        }
        // The system lays out pointers, which are spread to pairs from the last one to the first.
        code.extend([
            Instruction::LocalGet(list),
            Instruction::I32Const(8 * words),
            Instruction::I32Add,
            Instruction::LocalGet(text),
            Instruction::I32Const((texts + SCRIPT.len()) as i32),
            Instruction::I32Add,
            Instruction::Call(args_get),
            Instruction::Drop,
        ]);
        code.extend(spread(argc, list, at, size, words));
        code.extend([
            Instruction::LocalGet(list),
            Instruction::LocalGet(argc),
            Instruction::I32Const(words),
            Instruction::I32Add,
            Instruction::Call(function(INIT)),
            Instruction::LocalGet(text),
            Instruction::I32Const(texts as i32),
            Instruction::I32Add,
            Instruction::I32Const(SCRIPT.len() as i32),
            Instruction::Call(function(EVAL)),
            Instruction::Drop,
            // It exits, if it was Ruby at all.
            Instruction::Unreachable,
            Instruction::End,
        ]);
        let mut entry = Function::new([(5, ValType::I32)]);
        for instruction in &code {
            entry.instruction(instruction);
        }
        entry
    }
}

/// Makes of each pointer to a string with a 0 at its end the pointer and the length. `argc` and `list` stay, `at` and `length` do not.
fn spread(argc: u32, list: u32, at: u32, length: u32, words: i32) -> Vec<Instruction<'static>> {
    let word = |offset: u32| MemArg { offset: u64::from(offset), align: 2, memory_index: 0 };
    let byte = MemArg { offset: 0, align: 0, memory_index: 0 };
    // The pair, and the word that becomes it, of argument `at`.
    let place = |scale: i32| {
        [
            Instruction::LocalGet(list),
            Instruction::I32Const(8 * words),
            Instruction::I32Add,
            Instruction::LocalGet(at),
            Instruction::I32Const(scale),
            Instruction::I32Mul,
            Instruction::I32Add,
        ]
    };
    let mut code = vec![
        Instruction::LocalGet(argc),
        Instruction::LocalSet(at),
        Instruction::Block(BlockType::Empty),
        Instruction::Loop(BlockType::Empty),
        Instruction::LocalGet(at),
        Instruction::I32Eqz,
        Instruction::BrIf(1),
        Instruction::LocalGet(at),
        Instruction::I32Const(1),
        Instruction::I32Sub,
        Instruction::LocalSet(at),
    ];
    code.extend(place(8));
    code.extend(place(4));
    code.push(Instruction::I32Load(word(0)));
    code.push(Instruction::I32Store(word(0)));
    code.extend([
        Instruction::I32Const(0),
        Instruction::LocalSet(length),
        Instruction::Block(BlockType::Empty),
        Instruction::Loop(BlockType::Empty),
    ]);
    code.extend(place(8));
    code.extend([
        Instruction::I32Load(word(0)),
        Instruction::LocalGet(length),
        Instruction::I32Add,
        Instruction::I32Load8U(byte),
        Instruction::I32Eqz,
        Instruction::BrIf(1),
        Instruction::LocalGet(length),
        Instruction::I32Const(1),
        Instruction::I32Add,
        Instruction::LocalSet(length),
        Instruction::Br(0),
        Instruction::End,
        Instruction::End,
    ]);
    code.extend(place(8));
    code.extend([
        Instruction::LocalGet(length),
        Instruction::I32Store(word(4)),
        Instruction::Br(0),
        Instruction::End,
        Instruction::End,
    ]);
    code
}

fn broken(error: &wasmparser::BinaryReaderError) -> NotRuby {
    NotRuby::Broken(error.message().to_owned())
}

type Written = Result<(), reencode::Error<Infallible>>;

impl Reencode for Plan {
    type Error = Infallible;

    fn function_index(&mut self, index: u32) -> Result<u32, reencode::Error<Infallible>> {
        Ok(self.moved(index))
    }

    fn parse_type_section(&mut self, types: &mut TypeSection, section: TypeSectionReader<'_>) -> Written {
        utils::parse_type_section(self, types, section)?;
        types.ty().function([ValType::I32; 2], [ValType::I32]);
        types.ty().function([], []);
        Ok(())
    }

    fn parse_import_section(&mut self, imports: &mut ImportSection, section: ImportSectionReader<'_>) -> Written {
        for import in section.into_imports() {
            let import = import?;
            if import.module == WASI {
                self.parse_import(imports, import)?;
            }
        }
        imports.import(WASI, ARGS_SIZES_GET, EntityType::Function(self.types));
        imports.import(WASI, ARGS_GET, EntityType::Function(self.types));
        Ok(())
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Written {
        utils::parse_function_section(self, functions, section)?;
        for import in self.foreign() {
            functions.function(import.of_type);
        }
        functions.function(self.types + 1);
        Ok(())
    }

    fn parse_export_section(&mut self, exports: &mut ExportSection, _: ExportSectionReader<'_>) -> Written {
        exports.export("memory", ExportKind::Memory, 0);
        exports.export("_start", ExportKind::Func, self.start());
        Ok(())
    }

    fn data_count(&mut self, count: u32) -> Result<u32, reencode::Error<Infallible>> {
        Ok(count + 1)
    }

    fn parse_code_section(&mut self, code: &mut CodeSection, section: CodeSectionReader<'_>) -> Written {
        utils::parse_code_section(self, code, section)?;
        for import in self.foreign() {
            let mut function = Function::new([]);
            function.instruction(&if SAME.contains(&import.name.as_str()) {
                Instruction::LocalGet(0)
            } else if import.name.starts_with(DROPPED) {
                Instruction::Nop
            } else {
                Instruction::Unreachable
            });
            function.instruction(&Instruction::End);
            code.function(&function);
        }
        code.function(&self.entry());
        Ok(())
    }

    fn parse_data_section(&mut self, data: &mut DataSection, section: DataSectionReader<'_>) -> Written {
        utils::parse_data_section(self, data, section)?;
        let words = WORDS.iter().flat_map(|word| word.bytes().chain([0]));
        data.passive(words.chain(SCRIPT.bytes()).collect::<Vec<_>>());
        Ok(())
    }
}
