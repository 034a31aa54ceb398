//! What a module is and what it wants, read without compiling it.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use wasmparser::{ComponentExternalKind, Encoding, ExternalKind, Parser, Payload, TypeRef};

const PAGE: u64 = 64 << 10;

/// The module that programs of WASI 0.1 import from.
const WASI: &str = "wasi_snapshot_preview1";

/// All that there is in it; some libraries add their own.
const FUNCTIONS: [&str; 46] = [
    "args_get",
    "args_sizes_get",
    "clock_res_get",
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_advise",
    "fd_allocate",
    "fd_close",
    "fd_datasync",
    "fd_fdstat_get",
    "fd_fdstat_set_flags",
    "fd_fdstat_set_rights",
    "fd_filestat_get",
    "fd_filestat_set_size",
    "fd_filestat_set_times",
    "fd_pread",
    "fd_prestat_dir_name",
    "fd_prestat_get",
    "fd_pwrite",
    "fd_read",
    "fd_readdir",
    "fd_renumber",
    "fd_seek",
    "fd_sync",
    "fd_tell",
    "fd_write",
    "path_create_directory",
    "path_filestat_get",
    "path_filestat_set_times",
    "path_link",
    "path_open",
    "path_readlink",
    "path_remove_directory",
    "path_rename",
    "path_symlink",
    "path_unlink_file",
    "poll_oneoff",
    "proc_exit",
    "proc_raise",
    "random_get",
    "sched_yield",
    "sock_accept",
    "sock_recv",
    "sock_send",
    "sock_shutdown",
];

/// Bytes that are no WebAssembly.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAModule(String);

/// Why a module cannot be a task, whatever its quotas are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAProgram {
    /// It is something else, or breaks off.
    #[error("not a WebAssembly module: {0}")]
    NotAModule(#[from] NotAModule),
    /// It has no entry point.
    #[error("{}", match .0 {
        Kind::Core => "exports no `_start` function, as a program of WASI 0.1 does: it is a library",
        Kind::Component => "exports no `wasi:cli/run`, as a program of WASI 0.2 does: it is a library",
    })]
    Library(Kind),
    /// It wants something of its host that is not WASI.
    #[error("imports {0}, which no task is given")]
    Foreign(Foreign),
    /// It wants a later WASI.
    #[error(transparent)]
    TooNew(#[from] TooNew),
}

/// A function or another thing that a core module imports and no task is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// What it is called.
    pub name: String,
    /// Of which module.
    pub module: String,
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` from `{}`", self.name, self.module)
    }
}

/// A module is built for a later WASI than any task is given: wasmtime calls its own 0.3 unstable and incomplete.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("imports {import}, but WASI 0.3 is not given to tasks yet; build it for WASI 0.2 (wasm32-wasip2)")]
pub struct TooNew {
    /// The first such import.
    pub import: String,
}

/// The two forms of WebAssembly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A core module; as a task it uses WASI 0.1.
    Core,
    /// A component; as a task it uses WASI 0.2.
    Component,
}

/// What a task touches, judged by what it imports. It may never use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// Files: inputs to read, or a scratch folder to write (`disk`).
    Files,
    /// The network, of which a task is given what its grants name.
    Network,
    /// Something that is not WASI, which no task is given.
    Foreign,
}

/// What a module says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Core module or component.
    pub kind: Kind,
    /// `module.name` of a core module, or the interface of a component, in their order.
    pub imports: Vec<String>,
    /// Names, in their order.
    pub exports: Vec<String>,
    /// Bytes of linear memory it starts with, all memories together.
    pub memory_min: u64,
    /// Bytes of linear memory it can grow to, where it says so.
    pub memory_max: Option<u64>,
    /// Functions with a body, in all of a component's modules.
    pub functions: u64,
    /// Bytes of its custom sections, like names and debug information, which are not compiled.
    pub custom: u64,
    /// What it may touch.
    pub needs: BTreeSet<Need>,
    /// Whether it has the entry point of a task: `_start`, or `wasi:cli/run`.
    pub is_command: bool,
    /// The first import of a core module that no task is given. (What a component imports may be no more than types, which
    /// shows when it is linked.)
    pub foreign: Option<Foreign>,
}

impl Inspection {
    /// Whether it can be a task, as far as that shows before it is compiled.
    ///
    /// # Errors
    /// With the first reason why not.
    pub fn check_program(&self) -> Result<(), NotAProgram> {
        self.check_age()?;
        if !self.is_command {
            return Err(NotAProgram::Library(self.kind));
        }
        match &self.foreign {
            Some(foreign) => Err(NotAProgram::Foreign(foreign.clone())),
            None => Ok(()),
        }
    }

    /// Whether it is built for a WASI that there is.
    ///
    /// # Errors
    /// With what it imports.
    pub fn check_age(&self) -> Result<(), TooNew> {
        let is_too_new = |import: &&String| import.starts_with("wasi:") && import.contains("@0.3.");
        self.imports.iter().find(is_too_new).map_or(Ok(()), |import| Err(TooNew { import: import.clone() }))
    }
}

/// Whether these bytes can be a task, as far as that shows before they are compiled.
///
/// # Errors
/// With the first reason why not.
pub fn check_program(bytes: &[u8]) -> Result<(), NotAProgram> {
    inspect(bytes)?.check_program()
}

/// Reads the binary form or the text form (`.wat`).
///
/// # Errors
/// When the bytes are neither, or break off.
pub fn inspect(bytes: &[u8]) -> Result<Inspection, NotAModule> {
    let binary = to_binary(bytes)?;
    let mut reader = Reader::default();
    for payload in Parser::new(0).parse_all(&binary) {
        reader.read(payload.map_err(|error| NotAModule(error.to_string()))?)?;
    }
    reader.finish()
}

/// The binary form of either form.
///
/// # Errors
/// When the bytes are neither.
pub fn to_binary(bytes: &[u8]) -> Result<Cow<'_, [u8]>, NotAModule> {
    if bytes.starts_with(b"\0asm") {
        return Ok(Cow::Borrowed(bytes));
    }
    if !looks_like_text(bytes) {
        let start: Vec<String> = bytes.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        let what = if bytes.is_empty() { "is empty".to_owned() } else { format!("starts with {}", start.join(" ")) };
        return Err(NotAModule(format!("{what}, not with 00 61 73 6d as WebAssembly does")));
    }
    wat::parse_bytes(bytes).map_err(|error| {
        // The first line says what; the others draw an arrow at the place.
        NotAModule(error.to_string().lines().next().unwrap_or("is not WebAssembly text").to_owned())
    })
}

/// A file of another kind should be called that, and not be reported as text with a mistake in it.
pub fn looks_like_text(bytes: &[u8]) -> bool {
    let start = bytes.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(bytes.len());
    bytes[start..].starts_with(b"(") || bytes[start..].starts_with(b";;")
}

#[derive(Default)]
struct Reader {
    kind: Option<Kind>,
    /// How many modules and components the current one lies in.
    depth: usize,
    imports: Vec<String>,
    exports: Vec<String>,
    memory_min: u64,
    memory_max: Option<u64>,
    functions: u64,
    custom: u64,
    touched: Vec<String>,
    /// Whether a component imports something else than WASI.
    is_foreign: bool,
    /// The first of a core module.
    foreign: Option<Foreign>,
    has_entry: bool,
}

impl Reader {
    fn read(&mut self, payload: Payload<'_>) -> Result<(), NotAModule> {
        let broken = |error: wasmparser::BinaryReaderError| NotAModule(error.to_string());
        match payload {
            Payload::Version { encoding, .. } if self.kind.is_none() => {
                self.kind = Some(match encoding {
                    Encoding::Module => Kind::Core,
                    Encoding::Component => Kind::Component,
                });
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => self.depth += 1,
            Payload::End(_) => self.depth = self.depth.saturating_sub(1),
            Payload::CodeSectionStart { count, .. } => self.functions += u64::from(count),
            Payload::CustomSection(section) => self.custom += section.range().len() as u64,
            Payload::MemorySection(section) => {
                for memory in section {
                    let memory = memory.map_err(broken)?;
                    self.memory(memory.initial, memory.maximum);
                }
            }
            Payload::ImportSection(section) if self.depth == 0 => {
                for import in section.into_imports() {
                    let import = import.map_err(broken)?;
                    if let TypeRef::Memory(memory) = import.ty {
                        self.memory(memory.initial, memory.maximum);
                    }
                    let is_given = import.module == WASI
                        && matches!(import.ty, TypeRef::Func(_) | TypeRef::FuncExact(_))
                        && FUNCTIONS.contains(&import.name);
                    if !is_given && self.foreign.is_none() {
                        self.foreign = Some(Foreign { name: import.name.to_owned(), module: import.module.to_owned() });
                    }
                    self.touched.push(import.name.to_owned());
                    self.imports.push(format!("{}.{}", import.module, import.name));
                }
            }
            Payload::ExportSection(section) if self.depth == 0 => {
                for export in section {
                    let export = export.map_err(broken)?;
                    self.has_entry |= export.name == "_start" && export.kind == ExternalKind::Func;
                    self.exports.push(export.name.to_owned());
                }
            }
            Payload::ComponentImportSection(section) if self.depth == 0 => {
                for import in section {
                    let name = import.map_err(broken)?.name.name.to_owned();
                    self.is_foreign |= !name.starts_with("wasi:");
                    self.touched.push(name.clone());
                    self.imports.push(name);
                }
            }
            Payload::ComponentExportSection(section) if self.depth == 0 => {
                for export in section {
                    let export = export.map_err(broken)?;
                    let name = export.name.name;
                    self.has_entry |=
                        name.starts_with("wasi:cli/run@") && export.kind == ComponentExternalKind::Instance;
                    self.exports.push(name.to_owned());
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn memory(&mut self, min: u64, max: Option<u64>) {
        self.memory_min = self.memory_min.saturating_add(min.saturating_mul(PAGE));
        if let Some(max) = max {
            let so_far = self.memory_max.unwrap_or(0);
            self.memory_max = Some(so_far.saturating_add(max.saturating_mul(PAGE)));
        }
    }

    fn finish(self) -> Result<Inspection, NotAModule> {
        let kind = self.kind.ok_or_else(|| NotAModule("breaks off before its first section".to_owned()))?;
        Ok(Inspection {
            kind,
            needs: self
                .touched
                .iter()
                .filter_map(|name| need(name))
                .chain((self.is_foreign || self.foreign.is_some()).then_some(Need::Foreign))
                .collect(),
            imports: self.imports,
            exports: self.exports,
            memory_min: self.memory_min,
            memory_max: self.memory_max,
            functions: self.functions,
            custom: self.custom,
            is_command: self.has_entry,
            foreign: self.foreign,
        })
    }
}

fn need(import: &str) -> Option<Need> {
    let is_any = |prefixes: &[&str]| prefixes.iter().any(|prefix| import.starts_with(prefix));
    if is_any(&["sock_", "wasi:sockets/", "wasi:http/"]) {
        Some(Need::Network)
    } else if is_any(&["path_", "fd_readdir", "wasi:filesystem/types"]) {
        Some(Need::Files)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_module_tells_its_imports_exports_and_memory() {
        let text = r#"(module
            (import "wasi_snapshot_preview1" "path_open"
                (func (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
            (memory (export "memory") 2 16)
            (func (export "_start")))"#;

        let inspection = inspect(text.as_bytes()).unwrap();

        assert_eq!(inspection.kind, Kind::Core);
        assert_eq!(inspection.imports, ["wasi_snapshot_preview1.path_open"]);
        assert_eq!(inspection.exports, ["memory", "_start"]);
        assert_eq!((inspection.memory_min, inspection.memory_max), (128 << 10, Some(1 << 20)));
        assert_eq!(inspection.functions, 1);
        assert_eq!(inspection.needs, BTreeSet::from([Need::Files]));
        assert!(inspection.is_command);
    }

    #[test]
    fn a_module_that_wants_more_than_wasi_says_so() {
        let inspection = inspect(br#"(module (import "env" "foo" (func)) (func (export "_start")))"#).unwrap();

        assert_eq!(inspection.needs, BTreeSet::from([Need::Foreign]));
    }

    #[test]
    fn what_cannot_be_a_task_is_told_before_it_is_compiled() {
        let refusal = |text: &str| check_program(text.as_bytes()).unwrap_err().to_string();
        let import = |module, name| {
            refusal(&format!(r#"(module (import "{module}" "{name}" (func)) (func (export "_start")))"#))
        };

        assert_eq!(check_program(br#"(module (func (export "_start")))"#), Ok(()));
        assert_eq!(import("env", "foo"), "imports `foo` from `env`, which no task is given");
        assert_eq!(
            import("wasi_snapshot_preview1", "sock_open"),
            "imports `sock_open` from `wasi_snapshot_preview1`, which no task is given"
        );
        assert!(refusal("(module)").starts_with("exports no `_start` function"));
        assert!(refusal("(component)").starts_with("exports no `wasi:cli/run`"));
        assert!(refusal("nothing").starts_with("not a WebAssembly module"));
    }

    #[test]
    fn a_component_is_told_from_a_module() {
        assert_eq!(inspect(b"(component)").unwrap().kind, Kind::Component);
    }

    #[test]
    fn another_kind_of_file_is_called_that() {
        let error = inspect(b"\x7fELF\x02\x01").unwrap_err();

        assert_eq!(error.to_string(), "starts with 7f 45 4c 46, not with 00 61 73 6d as WebAssembly does");
    }

    #[test]
    fn a_truncated_module_is_refused() {
        let mut binary = to_binary(b"(module (memory 1) (func))").unwrap().into_owned();
        binary.truncate(binary.len() - 3);

        assert!(inspect(&binary).is_err());
    }
}
