//! Bytes that the host holds for the instances of a module, beside their memories and tables.
//!
//! Counted from the binary, as `wasmtime-environ` 48 lays an instance out on a machine of 64 bits (`vmoffsets.rs`), and
//! rounded up: what wasmtime keeps beside it for each item is in these numbers, too. They travel at the end of the
//! compiled module, since nothing tells them from there.

use wasmparser::{
    BinaryReaderError, ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind,
    ComponentTypeRef, ConstExpr, ElementItems, ElementKind, Encoding, ExternalKind, Instance, Operator, Parser,
    Payload, TypeRef,
};

/// An instance with nothing in it.
const CORE: u64 = 1024;
/// What a component holds for itself, beside its core instances.
const COMPONENT: u64 = 4096;
/// A function, table, memory, global or tag of somebody else.
const IMPORT: u64 = 40;
/// A memory of its own, without its pages.
const MEMORY: u64 = 256;
/// A table of its own, without its elements.
const TABLE: u64 = 128;
const GLOBAL: u64 = 16;
/// A function that can be named at run time.
const FUNCTION_REFERENCE: u64 = 32;
const DATA: u64 = 16;
/// A segment that is kept to be copied to tables, and each of its elements.
const PASSIVE: u64 = 32;
const PASSIVE_ITEM: u64 = 16;
/// A function between a component and its host or another one.
const CANONICAL: u64 = 64;

/// Marks the number at the end of a compiled module. Another layout or another way to count has another mark.
pub(crate) const MARK: &[u8; 8] = b"instanc3";

/// In the number: they are no size of anything.
const RUNS_CODE: u64 = 1 << 63;
const THROWS: u64 = 1 << 62;

/// What is known of the instances of a module or component.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Instances {
    /// Bytes that the host holds for those of one task.
    pub(crate) bytes: u64,
    /// Whether functions of the guest run when they are made, before it is called.
    pub(crate) runs_code: bool,
    /// Whether it has exceptions of its own to throw.
    pub(crate) throws: bool,
}

/// Puts that at the end of a compiled module.
pub(crate) fn append(compiled: &mut Vec<u8>, Instances { bytes, runs_code, throws }: Instances) {
    let flags = if runs_code { RUNS_CODE } else { 0 } | if throws { THROWS } else { 0 };
    compiled.extend_from_slice(&(bytes.min(THROWS - 1) | flags).to_le_bytes());
    compiled.extend_from_slice(MARK);
}

/// The last bytes of a compiled module.
pub(crate) const TRAILER: usize = 16;

/// Reads what is there.
pub(crate) fn read(trailer: &[u8; TRAILER]) -> Option<Instances> {
    let (number, mark) = trailer.split_first_chunk()?;
    let number = u64::from_le_bytes(*number);
    (mark == MARK).then_some(Instances {
        bytes: number & (THROWS - 1),
        runs_code: number & RUNS_CODE != 0,
        throws: number & THROWS != 0,
    })
}

/// What one task holds that runs this module or component, and whether making that runs some of it.
///
/// # Errors
/// When it is neither.
pub(crate) fn of(binary: &[u8]) -> Result<Instances, BinaryReaderError> {
    let (mut count, mut runs_code, mut throws) = (Count::default(), false, false);
    for payload in Parser::new(0).parse_all(binary) {
        let payload = payload?;
        runs_code |= matches!(payload, Payload::StartSection { .. } | Payload::ComponentStartSection { .. });
        throws |= matches!(payload, Payload::TagSection(_));
        count.read(payload)?;
    }
    Ok(Instances { bytes: count.last, runs_code, throws })
}

#[derive(Default)]
struct Count {
    /// Modules and components that are being read, the innermost last.
    open: Vec<Level>,
    /// The most that any finished module takes, and any finished component: for those that are named in a way that
    /// is not followed.
    module_most: u64,
    component_most: u64,
    /// What was finished last.
    last: u64,
}

#[derive(Default)]
struct Level {
    is_component: bool,
    bytes: u64,
    /// Of a module: its functions, and how many of them are named somewhere.
    functions: u64,
    named: u64,
    /// Of a component: what each of its core modules takes, by index.
    modules: Vec<u64>,
}

impl Level {
    fn total(&self) -> u64 {
        self.bytes.saturating_add(self.named.min(self.functions) * FUNCTION_REFERENCE)
    }
}

impl Count {
    fn read(&mut self, payload: Payload<'_>) -> Result<(), BinaryReaderError> {
        if let Payload::Version { encoding, .. } = payload {
            let is_component = encoding == Encoding::Component;
            let bytes = if is_component { COMPONENT } else { CORE };
            self.open.push(Level { is_component, bytes, ..Level::default() });
            return Ok(());
        }
        if let Payload::End(_) = payload {
            self.finish();
            return Ok(());
        }
        let (module_most, component_most) = (self.module_most, self.component_most);
        let Some(level) = self.open.last_mut() else { return Ok(()) };
        match payload {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    level.bytes += IMPORT;
                    level.functions += u64::from(matches!(import?.ty, TypeRef::Func(_) | TypeRef::FuncExact(_)));
                }
            }
            Payload::FunctionSection(section) => level.functions += u64::from(section.count()),
            Payload::TableSection(section) => {
                level.bytes += u64::from(section.count()) * TABLE;
                // Each may begin with a function in all of its elements.
                level.named += u64::from(section.count());
            }
            Payload::MemorySection(section) => level.bytes += u64::from(section.count()) * MEMORY,
            Payload::TagSection(section) => level.bytes += u64::from(section.count()) * GLOBAL,
            Payload::GlobalSection(section) => {
                for global in section {
                    level.bytes += GLOBAL;
                    level.named += references(&global?.init_expr)?;
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    level.named += u64::from(matches!(export?.kind, ExternalKind::Func | ExternalKind::FuncExact));
                }
            }
            Payload::StartSection { .. } => level.named += 1,
            Payload::DataSection(section) => level.bytes += u64::from(section.count()) * DATA,
            Payload::ElementSection(section) => {
                for element in section {
                    let element = element?;
                    let items = match element.items {
                        ElementItems::Functions(items) => items.count(),
                        ElementItems::Expressions(_, items) => items.count(),
                    };
                    level.named += u64::from(items);
                    if matches!(element.kind, ElementKind::Passive) {
                        level.bytes += PASSIVE + u64::from(items) * PASSIVE_ITEM;
                    }
                }
            }
            Payload::InstanceSection(section) => {
                for instance in section {
                    if let Instance::Instantiate { module_index, .. } = instance? {
                        let module = usize::try_from(module_index).ok().and_then(|index| level.modules.get(index));
                        level.bytes = level.bytes.saturating_add(module.copied().unwrap_or(module_most));
                    }
                }
            }
            Payload::ComponentInstanceSection(section) => {
                for instance in section {
                    if let ComponentInstance::Instantiate { .. } = instance? {
                        level.bytes = level.bytes.saturating_add(component_most);
                    }
                }
            }
            Payload::ComponentCanonicalSection(section) => level.bytes += u64::from(section.count()) * CANONICAL,
            // A core module that comes from elsewhere has the next index.
            Payload::ComponentImportSection(section) => {
                for import in section {
                    if let ComponentTypeRef::Module(_) = import?.ty {
                        level.modules.push(module_most);
                    }
                }
            }
            Payload::ComponentAliasSection(section) => {
                for alias in section {
                    let is_module = match alias? {
                        ComponentAlias::Outer { kind, .. } => kind == ComponentOuterAliasKind::CoreModule,
                        ComponentAlias::InstanceExport { kind, .. } => kind == ComponentExternalKind::Module,
                        ComponentAlias::CoreInstanceExport { .. } => false,
                    };
                    if is_module {
                        level.modules.push(module_most);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self) {
        let Some(level) = self.open.pop() else { return };
        self.last = level.total();
        if level.is_component {
            self.component_most = self.component_most.max(self.last);
        } else {
            self.module_most = self.module_most.max(self.last);
            if let Some(parent) = self.open.last_mut() {
                parent.modules.push(self.last);
            }
        }
    }
}

/// Functions that an initial value names.
fn references(expression: &ConstExpr<'_>) -> Result<u64, BinaryReaderError> {
    let mut named = 0;
    for operator in expression.get_operators_reader() {
        named += u64::from(matches!(operator?, Operator::RefFunc { .. }));
    }
    Ok(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> u64 {
        of(&wat::parse_str(text).unwrap()).unwrap().bytes
    }

    #[test]
    fn an_instance_takes_what_it_can_name() {
        let globals = "(global (mut i64) (i64.const 1))".repeat(100);
        assert_eq!(bytes(&format!("(module {globals})")), CORE + 100 * GLOBAL);

        let functions = "(func $a) (func $b) (func)";
        assert_eq!(bytes(&format!("(module {functions})")), CORE);
        let table = "(table 9 funcref) (elem (i32.const 0) $a $b $a)";
        assert_eq!(bytes(&format!("(module {functions} {table})")), CORE + TABLE + 3 * FUNCTION_REFERENCE);
        assert_eq!(bytes(&format!("(module {functions} (export \"a\" (func $a)))")), CORE + FUNCTION_REFERENCE);
    }

    #[test]
    fn a_component_takes_what_all_its_instances_take() {
        let module = "(core module $m (global (mut i64) (i64.const 1)))";
        let twice = "(core instance (instantiate $m)) (core instance (instantiate $m))";
        let each = CORE + GLOBAL;
        assert_eq!(bytes(&format!("(component {module})")), COMPONENT);
        assert_eq!(bytes(&format!("(component {module} {twice})")), COMPONENT + 2 * each);

        let inner = COMPONENT + 2 * each;
        let nested = format!(
            "(component (component $c {module} {twice}) (instance (instantiate $c)) (instance (instantiate $c)))"
        );
        assert_eq!(bytes(&nested), COMPONENT + 2 * inner);
    }

    #[test]
    fn what_is_known_is_found_at_the_end() {
        for (runs_code, throws) in [(false, false), (false, true), (true, false), (true, true)] {
            let known = Instances { bytes: 77, runs_code, throws };
            let mut compiled = b"machine code".to_vec();
            append(&mut compiled, known);

            let (_, trailer) = compiled.split_last_chunk::<TRAILER>().unwrap();
            assert_eq!(read(trailer), Some(known));
        }
        assert_eq!(read(&[0; TRAILER]), None);
    }

    #[test]
    fn a_start_function_runs_before_its_guest_is_called() {
        let runs_code = |text: &str| of(&wat::parse_str(text).unwrap()).unwrap().runs_code;

        assert!(!runs_code(r#"(module (memory 1) (data (i32.const 0) "x") (func $f))"#));
        assert!(runs_code("(module (func $f) (start $f))"));
        assert!(runs_code("(component (core module (func $f) (start $f)))"));
    }

    #[test]
    fn who_has_a_tag_throws() {
        let throws = |text: &str| of(&wat::parse_str(text).unwrap()).unwrap().throws;

        assert!(!throws("(module (func unreachable))"));
        assert!(throws("(module (tag))"));
        assert!(throws("(component (core module) (core module (tag (param i32))))"));
    }
}
