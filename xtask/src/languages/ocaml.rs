//! OCaml: its compiler, as Debian has it, makes bytecode; what interprets that, in C, is compiled for WASI here. An exception that
//! C raises is a `longjmp`, and so an exception of WebAssembly.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::clang::{Clang, tag};
use crate::process;
use crate::toolchain::debian;

/// The compiler, and its headers.
const PACKAGES: [&str; 2] = ["ocaml", "ocaml-base"];

/// Of the runtime all but its own entry point.
const RUNTIME: [&str; 50] = [
    "afl",
    "alloc",
    "array",
    "backtrace",
    "backtrace_byt",
    "bigarray",
    "callback",
    "codefrag",
    "compact",
    "compare",
    "custom",
    "debugger",
    "domain",
    "dynlink",
    "eventlog",
    "extern",
    "fail_byt",
    "finalise",
    "fix_code",
    "floats",
    "freelist",
    "gc_ctrl",
    "globroots",
    "hash",
    "intern",
    "interp",
    "ints",
    "io",
    "lexing",
    "major_gc",
    "md5",
    "memory",
    "memprof",
    "meta",
    "minor_gc",
    "misc",
    "obj",
    "parsing",
    "printexc",
    "roots_byt",
    "signals",
    "signals_byt",
    "skiplist",
    "stacks",
    "startup_aux",
    "startup_byt",
    "str",
    "sys",
    "unix",
    "weak",
];

/// What its `configure` would find.
const MACHINE: &str = "\
#define SIZEOF_SHORT 2
#define SIZEOF_INT 4
#define SIZEOF_LONG 4
#define SIZEOF_PTR 4
#define SIZEOF_LONGLONG 8
#define ARCH_INT64_TYPE long long
#define ARCH_UINT64_TYPE unsigned long long
#define ARCH_INT64_PRINTF_FORMAT \"ll\"
#define INT64_LITERAL(number) number ## LL
#define PROFINFO_WIDTH 0
";
const SYSTEM: &str = "\
#define OCAML_OS_TYPE \"Unix\"
#define OCAML_STDLIB_DIR \"/ocaml\"
#define HAS_C99_FLOAT_OPS
#define HAS_WORKING_ROUND
#define HAS_WORKING_FMA
#define HAS_GETTIMEOFDAY
#define HAS_STRERROR
#define HAS_STDINT_H
#define HAS_UNISTD
#define HAS_DIRENT
";
const BUILT: &str = "#define OCAML_STDLIB_DIR \"/ocaml\"\n#define HOST \"wasm32-wasi\"\n";

/// What systems have that have processes and users.
const PROCESSES: &str = "\
static inline int getppid(void) { return 1; }
static inline int getuid(void) { return 0; }
static inline int geteuid(void) { return 0; }
static inline int getgid(void) { return 0; }
static inline int getegid(void) { return 0; }
static inline int system(const char *command) { return 127; }
";
const WAIT: &str = "#define WIFEXITED(status) 1\n#define WEXITSTATUS(status) (status)\n";

/// The entry point, and what is in the debugger where there are sockets.
const MAIN: &str = "\
void caml_startup(char **argv);
void caml_shutdown(void);
int caml_debugger_saved_instruction(int *at) { return *at; }
int main(int argc, char **argv) { caml_startup(argv); caml_shutdown(); }
";

const FLAGS: [&str; 9] = [
    "-mllvm",
    "-wasm-enable-sjlj",
    "-DCAML_NAME_SPACE",
    "-DHAS_FFS",
    // Instructions are told apart by a `switch`, and not by addresses of code.
    "-DSHRINKED_GNUC",
    "-D_WASI_EMULATED_SIGNAL",
    "-D_WASI_EMULATED_PROCESS_CLOCKS",
    "-D_WASI_EMULATED_GETPID",
    "-includeprocesses.h",
];

const LIBRARIES: [&str; 3] = ["-lwasi-emulated-signal", "-lwasi-emulated-process-clocks", "-lwasi-emulated-getpid"];

/// Unpacks the compiler into `root`, and the sources of its runtime into `root/source`.
pub(super) fn fetch(root: &Path) -> anyhow::Result<()> {
    debian::unpack(root, &PACKAGES, &[])?;
    debian::unpack_source(root, PACKAGES[0])
}

/// Compiles a program, and what interprets it.
pub(super) fn build(zig: &Path, ocaml: &Path, source: &Path, objects: &Path, module: &Path) -> anyhow::Result<()> {
    let headers = objects.join("headers");
    for folder in ["caml", "sys"] {
        fs::create_dir_all(headers.join(folder))?;
    }
    let installed = ocaml.join("usr/lib/ocaml");
    fs::copy(installed.join("caml/version.h"), headers.join("caml/version.h"))?;
    for (name, text) in [
        ("m.h", MACHINE),
        ("s.h", SYSTEM),
        ("build_config.h", BUILT),
        ("processes.h", PROCESSES),
        ("sys/wait.h", WAIT),
        ("main.c", MAIN),
        ("exceptions.s", &tag("__c_longjmp")),
    ] {
        fs::write(headers.join(name), text)?;
    }
    let bytecode = objects.join("program.c");
    // It overwrites nothing.
    let _ = fs::remove_file(&bytecode);
    let mut compiler = Command::new(ocaml.join("usr/bin/ocamlc.opt"));
    compiler.env("OCAMLLIB", &installed).env("CAMLLIB", &installed).args(["-output-obj", "-o"]);
    // What it makes beside its source stays here.
    let own = objects.join("program.ml");
    fs::copy(source, &own)?;
    process::run(compiler.arg(&bytecode).arg(&own))?;

    let clang = Clang::new(zig, objects);
    let runtime = ocaml.join("source/runtime");
    let all = [headers.clone(), runtime.clone()];
    for name in RUNTIME {
        // Its interpreter goes on after a `longjmp` with what it had in variables, of which C promises nothing.
        let level: &[&str] = if name == "interp" { &["-O0"] } else { &[] };
        clang.compile(name, &runtime.join(format!("{name}.c")), &all, &[&FLAGS[..], level].concat())?;
    }
    clang.compile("program", &bytecode, &all, &FLAGS)?;
    clang.compile("main", &headers.join("main.c"), &all, &FLAGS)?;
    clang.compile("exceptions", &headers.join("exceptions.s"), &[], &["-fwasm-exceptions"])?;
    let jumps = clang.library("libc/wasi/libc-top-half/musl/src/setjmp/wasm32/rt.c");
    clang.compile("jumps", &jumps, &[], &["-fwasm-exceptions"])?;
    let names: Vec<&str> = RUNTIME.into_iter().chain(["program", "main", "exceptions", "jumps"]).collect();
    clang.link(&names, &LIBRARIES, module)
}
