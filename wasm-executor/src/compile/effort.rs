//! How dear a module is to compile, judged in one quick reading.
//!
//! Cranelift's work grows with the functions of a module, and in each function with its length and with the places
//! where control flow meets, times the locals that live there. Each bound is far above what compilers emit.

use wasmparser::{ComponentInstance, FunctionBody, Instance, Operator, Parser, Payload};

/// Functions of one module, in all of a component's core modules together. CPython has 13,000; 20,000 tiny ones
/// take four seconds and 105 MB to compile, 900,000 seven minutes and 5 GiB.
const FUNCTIONS_MAX: u64 = 50_000;

/// Bytes of one function. CPython's longest has 430,000.
const BODY_MAX: u64 = 1 << 20;

/// Locals of all functions. CPython has 48,000.
const LOCALS_MAX: u64 = 2_000_000;

/// Locals of a function times the places where its control flow branches or meets, for all functions: what the
/// compiler may have to tell apart. CPython has 3.4 million.
const JOINS_MAX: u64 = 200_000_000;

/// Depth of nested blocks of a function, squared, for all functions: the compiler's work. 100,000 nested blocks,
/// which take 300 KB, take it 40 s. CPython comes to 1.2 million.
const NESTING_MAX: u64 = 500_000_000;

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
            Payload::Version { .. } => self.instances.push(0),
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
        let (joins, depth) = control_flow(body)?;
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

/// The places where control flow branches or meets, and the depth of the blocks.
fn control_flow(body: &FunctionBody<'_>) -> Result<(u64, u64), TooDear> {
    let (mut joins, mut depth, mut deepest) = (0, 0_u64, 0);
    for operator in body.get_operators_reader()? {
        match operator? {
            Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => {
                joins += 1;
                depth += 1;
                deepest = deepest.max(depth);
            }
            Operator::End => depth = depth.saturating_sub(1),
            // The operators on memory branch by their length: see `rewrite`.
            Operator::BrIf { .. }
            | Operator::MemoryFill { .. }
            | Operator::MemoryCopy { .. }
            | Operator::MemoryInit { .. } => joins += 1,
            Operator::BrTable { targets } => joins += u64::from(targets.len()),
            _ => {}
        }
    }
    Ok((joins, deepest))
}
