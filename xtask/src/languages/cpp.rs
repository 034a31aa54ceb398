//! C++ with exceptions. The libraries behind them lie beside zig as sources, and are compiled here: those that it makes itself
//! end a program at a throw.

use std::fs;
use std::path::Path;

use super::clang::{Clang, tag};

/// Of LLVM's libc++abi: throwing, catching, and the types that are thrown.
const ABI: [&str; 16] = [
    "abort_message",
    "cxa_aux_runtime",
    "cxa_default_handlers",
    "cxa_demangle",
    "cxa_exception",
    "cxa_exception_storage",
    "cxa_guard",
    "cxa_handlers",
    "cxa_personality",
    "cxa_virtual",
    "fallback_malloc",
    "private_typeinfo",
    "stdlib_exception",
    "stdlib_new_delete",
    "stdlib_stdexcept",
    "stdlib_typeinfo",
];

/// Of libc++ what is not in its headers.
const LIBRARY: [&str; 4] = ["new_helpers", "stdexcept", "string", "verbose_abort"];

/// What libc++ is configured by.
const CONFIGURED: [&str; 17] = [
    "-D_LIBCPP_ABI_VERSION=1",
    "-D_LIBCPP_ABI_NAMESPACE=__1",
    "-D_LIBCPP_HAS_THREADS=0",
    "-D_LIBCPP_HAS_MONOTONIC_CLOCK",
    "-D_LIBCPP_HAS_TERMINAL",
    "-D_LIBCPP_HAS_MUSL_LIBC=1",
    "-D_LIBCPP_HAS_VENDOR_AVAILABILITY_ANNOTATIONS=0",
    "-D_LIBCPP_HAS_FILESYSTEM=0",
    "-D_LIBCPP_HAS_RANDOM_DEVICE",
    "-D_LIBCPP_HAS_LOCALIZATION",
    "-D_LIBCPP_HAS_UNICODE",
    "-D_LIBCPP_HAS_WIDE_CHARACTERS",
    "-D_LIBCPP_HAS_NO_STD_MODULES",
    "-D_LIBCPP_PSTL_BACKEND_SERIAL",
    "-D_LIBCPP_HARDENING_MODE=_LIBCPP_HARDENING_MODE_NONE",
    "-D_LIBCPP_ASSERTION_SEMANTIC_DEFAULT=_LIBCPP_ASSERTION_SEMANTIC_IGNORE",
    "-D_LIBCPP_INSTRUMENTED_WITH_ASAN=0",
];

const OWN: [&str; 6] = [
    "-DNDEBUG",
    "-D_LIBCXXABI_BUILDING_LIBRARY",
    "-D_LIBCPP_BUILDING_LIBRARY",
    "-DLIBCXX_BUILDING_LIBCXXABI",
    "-D_LIBCXXABI_HAS_NO_THREADS",
    "-fdeclspec",
];

const LANGUAGE: [&str; 3] = ["-std=c++23", "-nostdinc++", "-fwasm-exceptions"];

/// Compiles a program, and all that it needs.
pub(super) fn build(toolchain: &Path, source: &Path, objects: &Path, module: &Path) -> anyhow::Result<()> {
    let clang = Clang::new(toolchain, objects);
    let public = ["libcxx/include", "libcxxabi/include"].map(|path| clang.library(path));
    clang.compile("program", source, &public, &[&LANGUAGE[..], &CONFIGURED].concat())?;

    let inner = ["libcxxabi/src", "libcxx/src", "libcxx/libc", "libunwind/include"].map(|path| clang.library(path));
    let headers = [&public[..], &inner].concat();
    let flags = [&LANGUAGE[..], &CONFIGURED, &OWN].concat();
    for (folder, files) in [("libcxxabi", &ABI[..]), ("libcxx", &LIBRARY)] {
        for file in files {
            let source = clang.library(&format!("{folder}/src/{file}.cpp"));
            clang.compile(&object(folder, file), &source, &headers, &flags)?;
        }
    }
    let unwinding = clang.library("libunwind/src/Unwind-wasm.c");
    let flags = ["-fwasm-exceptions", "-fdeclspec", "-DNDEBUG", "-D_LIBUNWIND_HAS_NO_THREADS"];
    clang.compile("unwind", &unwinding, &headers[2..], &flags)?;
    let exceptions = objects.join("exceptions.s");
    fs::write(&exceptions, tag("__cpp_exception"))?;
    clang.compile("exceptions", &exceptions, &[], &["-fwasm-exceptions"])?;

    let of = |folder, files: &[&str]| files.iter().map(|file| object(folder, file)).collect::<Vec<_>>();
    let names = [of("libcxxabi", &ABI), of("libcxx", &LIBRARY)].concat();
    let own = ["program", "unwind", "exceptions"];
    let names: Vec<&str> = own.into_iter().chain(names.iter().map(String::as_str)).collect();
    clang.link(&names, &[], module)
}

fn object(folder: &str, file: &str) -> String {
    format!("{folder}-{file}")
}
