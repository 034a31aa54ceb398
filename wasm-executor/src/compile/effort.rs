//! How dear a module is to compile, judged in one quick reading.
//!
//! Cranelift's work grows with the functions of a module, and in each function with its length and with the places
//! where control flow meets, times the locals that live there. Each bound is far above what compilers emit.

use wasmparser::{ComponentInstance, CompositeInnerType, FunctionBody, Instance, Operator, Parser, Payload};

/// Functions of one module, in all of a component's core modules together. CPython has 13,000, a synthesizer of circuits in
/// C++ 46,000, a library in Swift with its Foundation 83,000; 20,000 tiny ones take four seconds and 105 MB to compile, 900,000
/// seven minutes and 5 GiB.
const FUNCTIONS_MAX: u64 = 100_000;

/// Bytes of one function. CPython's longest has 430,000.
const BODY_MAX: u64 = 1 << 20;

/// Locals of all functions. CPython has 48,000.
const LOCALS_MAX: u64 = 2_000_000;

/// Locals of a function times the places where its control flow branches or meets, for all functions: what the
/// compiler may have to tell apart. CPython has 3.4 million, that synthesizer more than 320 million, since each call in it that
/// may throw is a branch for each clause that may catch.
const JOINS_MAX: u64 = 2_000_000_000;

/// Depth of nested blocks of a function, squared, for all functions: the compiler's work. 100,000 nested blocks,
/// which take 300 KB, take it 40 s. CPython comes to 1.2 million.
const NESTING_MAX: u64 = 500_000_000;

/// Clauses of `try_table` around one place of a function, all that are nested together. Whoever throws looks through those of
/// each frame of the stack that it leaves, and nothing stops it meanwhile. That synthesizer has 128.
const CATCHES_MAX: u64 = 256;

/// Clauses around a call, for all calls: each has its line in a table, and is a branch. It has 1.9 million.
const HANDLERS_MAX: u64 = 10_000_000;

/// Values that an exception carries. C++ and its like have one.
const TAG_VALUES_MAX: usize = 16;

/// Core modules and components that are instantiated, where a component that is instantiated twice counts twice.
/// CPython makes 15.
const INSTANCES_MAX: u64 = 1_000;

/// Why a module is not compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooDear {
    /// Too many functions.
    #[error("module has {functions} functions, at most {FUNCTIONS_MAX} are compiled")]
    Functions {
        /// As many as were seen.
        functions: u64,
    },
    /// Too long a function.
    #[error("module has a function of {size} bytes, at most {BODY_MAX} are compiled")]
    Body {
        /// Bytes of its code.
        size: u64,
    },
    /// Too many locals.
    #[error("module has {locals} locals, at most {LOCALS_MAX} are compiled")]
    Locals {
        /// As many as were seen.
        locals: u64,
    },
    /// Too much control flow for so many locals.
    #[error(
        "module has functions with too many branches for their locals: {joins} pairs, at most {JOINS_MAX} are compiled"
    )]
    Joins {
        /// Locals times branches, as many as were seen.
        joins: u64,
    },
    /// Blocks in blocks in blocks.
    #[error("module has blocks that are nested too deep, up to {depth} in one function")]
    Nesting {
        /// The deepest of the function that was one too many.
        depth: u64,
    },
    /// Too many that would catch.
    #[error("module has {catches} catch clauses around one place of a function, at most {CATCHES_MAX} are compiled")]
    Catches {
        /// As many as were seen.
        catches: u64,
    },
    /// Too many calls inside of too many that would catch.
    #[error(
        "module has too many catch clauses around its calls: {handlers} pairs, at most {HANDLERS_MAX} are compiled"
    )]
    Handlers {
        /// As many as were seen.
        handlers: u64,
    },
    /// Too large an exception.
    #[error("module has an exception of {values} values, at most {TAG_VALUES_MAX} are carried")]
    TagValues {
        /// Parameters of its tag.
        values: usize,
    },
    /// Exceptions in the form that was replaced in 2023, which wasmtime does not compile.
    #[error(
        "module has exceptions in their older form (`try`, `catch`); compile it with `-mllvm -wasm-use-legacy-eh=false`, or \
         translate it by binaryen's `wasm-opt --translate-to-exnref`"
    )]
    OldExceptions,
    /// Components that multiply.
    #[error("component makes {instances} instances or more, at most {INSTANCES_MAX} are made")]
    Instances {
        /// As many as were seen.
        instances: u64,
    },
    /// It breaks off, or its code cannot be read.
    #[error("not a valid module: {0}")]
    Broken(String),
}

impl From<wasmparser::BinaryReaderError> for TooDear {
    fn from(error: wasmparser::BinaryReaderError) -> Self {
        Self::Broken(error.message().to_owned())
    }
}

/// What was counted so far.
#[derive(Default)]
pub(super) struct Effort {
    functions: u64,
    locals: u64,
    joins: u64,
    nesting: u64,
    handlers: u64,
    /// For each type of the module that is being read the number of its parameters.
    parameters: Vec<usize>,
    /// Instances that each open component makes, the innermost last.
    instances: Vec<u64>,
    /// The most that any finished component makes. Whichever is instantiated makes no more.
    instances_most: u64,
}

impl Effort {
    /// # Errors
    /// When it is too much.
    pub(super) fn of(binary: &[u8]) -> Result<(), TooDear> {
        let mut effort = Self::default();
        for payload in Parser::new(0).parse_all(binary) {
            effort.read(payload?)?;
        }
        Ok(())
    }

    fn read(&mut self, payload: Payload<'_>) -> Result<(), TooDear> {
        match payload {
            Payload::Version { .. } => {
                self.instances.push(0);
                self.parameters.clear();
            }
            Payload::End(_) => {
                let instances = self.instances.pop().unwrap_or(0);
                self.instances_most = self.instances_most.max(instances);
            }
            Payload::CodeSectionStart { count, .. } => {
                self.functions += u64::from(count);
                if self.functions > FUNCTIONS_MAX {
                    return Err(TooDear::Functions { functions: self.functions });
                }
            }
            Payload::TypeSection(section) => {
                for group in section {
                    self.parameters.extend(group?.types().map(|of| match &of.composite_type.inner {
                        CompositeInnerType::Func(function) => function.params().len(),
                        _ => 0,
                    }));
                }
            }
            Payload::TagSection(section) => {
                for tag in section {
                    let of = usize::try_from(tag?.func_type_idx).ok();
                    let values = of.and_then(|of| self.parameters.get(of)).copied().unwrap_or(0);
                    if values > TAG_VALUES_MAX {
                        return Err(TooDear::TagValues { values });
                    }
                }
            }
            Payload::CodeSectionEntry(body) => self.function(&body)?,
            Payload::InstanceSection(section) => {
                for instance in section {
                    if matches!(instance?, Instance::Instantiate { .. }) {
                        self.instantiated(1)?;
                    }
                }
            }
            Payload::ComponentInstanceSection(section) => {
                for instance in section {
                    if matches!(instance?, ComponentInstance::Instantiate { .. }) {
                        self.instantiated(1 + self.instances_most)?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn instantiated(&mut self, made: u64) -> Result<(), TooDear> {
        let Some(instances) = self.instances.last_mut() else { return Ok(()) };
        *instances += made;
        if *instances > INSTANCES_MAX { Err(TooDear::Instances { instances: *instances }) } else { Ok(()) }
    }

    fn function(&mut self, body: &FunctionBody<'_>) -> Result<(), TooDear> {
        let size = body.range().len() as u64;
        if size > BODY_MAX {
            return Err(TooDear::Body { size });
        }
        let mut locals = 0;
        for group in body.get_locals_reader()? {
            locals += u64::from(group?.0);
        }
        self.locals += locals;
        if self.locals > LOCALS_MAX {
            return Err(TooDear::Locals { locals: self.locals });
        }
        let Flow { joins, depth, handlers } = Flow::of(body)?;
        self.handlers += handlers;
        if self.handlers > HANDLERS_MAX {
            return Err(TooDear::Handlers { handlers: self.handlers });
        }
        self.joins += locals * joins;
        if self.joins > JOINS_MAX {
            return Err(TooDear::Joins { joins: self.joins });
        }
        self.nesting += depth * depth;
        if self.nesting > NESTING_MAX {
            return Err(TooDear::Nesting { depth });
        }
        Ok(())
    }
}

/// The control flow of a function.
#[derive(Default)]
struct Flow {
    /// Places where it branches or meets.
    joins: u64,
    /// Of its blocks.
    depth: u64,
    /// Catch clauses around each call, for all calls.
    handlers: u64,
}

impl Flow {
    fn of(body: &FunctionBody<'_>) -> Result<Self, TooDear> {
        let mut flow = Self::default();
        // Catch clauses of each open block, and of all of them.
        let (mut open, mut catches) = (Vec::new(), 0_u64);
        for operator in body.get_operators_reader()? {
            let opened = match operator? {
                Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => Some(0),
                Operator::TryTable { try_table } => Some(try_table.catches.len() as u64),
                Operator::End => {
                    catches -= open.pop().unwrap_or(0);
                    None
                }
                Operator::BrIf { .. } => {
                    flow.joins += 1;
                    None
                }
                // The operators on memory branch by their length, to a call: see `rewrite`.
                Operator::MemoryFill { .. } | Operator::MemoryCopy { .. } | Operator::MemoryInit { .. } => {
                    flow.joins += 1 + catches;
                    flow.handlers += catches;
                    None
                }
                Operator::Call { .. }
                | Operator::CallIndirect { .. }
                | Operator::CallRef { .. }
                | Operator::Throw { .. }
                | Operator::ThrowRef => {
                    flow.joins += catches;
                    flow.handlers += catches;
                    None
                }
                Operator::BrTable { targets } => {
                    flow.joins += u64::from(targets.len());
                    None
                }
                Operator::Try { .. }
                | Operator::Catch { .. }
                | Operator::CatchAll
                | Operator::Rethrow { .. }
                | Operator::Delegate { .. } => return Err(TooDear::OldExceptions),
                _ => None,
            };
            let Some(clauses) = opened else { continue };
            open.push(clauses);
            catches += clauses;
            if catches > CATCHES_MAX {
                return Err(TooDear::Catches { catches });
            }
            flow.joins += 1 + clauses;
            flow.depth = flow.depth.max(open.len() as u64);
        }
        Ok(flow)
    }
}
