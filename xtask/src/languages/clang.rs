//! Zig's own clang, file by file: with exceptions as WebAssembly 3.0 has them, for which `zig c++` brings no libraries.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process;
use crate::workspace::program;

/// For a program in C or C++, of the folder where its objects are kept.
pub(super) struct Clang<'a> {
    toolchain: &'a Path,
    objects: &'a Path,
}

impl<'a> Clang<'a> {
    pub(super) fn new(toolchain: &'a Path, objects: &'a Path) -> Self {
        Self { toolchain, objects }
    }

    /// A path among the sources that come with it.
    pub(super) fn library(&self, path: &str) -> PathBuf {
        self.toolchain.join("ziglang/lib").join(path)
    }

    /// Compiles one file as `name.o`. Of two folders of headers the first counts; those of C come last.
    pub(super) fn compile(&self, name: &str, source: &Path, headers: &[PathBuf], flags: &[&str]) -> anyhow::Result<()> {
        let mut clang = self.zig("clang");
        clang
            .args(["--target=wasm32-wasi", "-nostdinc", "-w", "-mllvm", "-wasm-use-legacy-eh=false", "-O2"])
            .args(flags);
        let of_c = ["include", "libc/include/wasm-wasi-musl", "libc/include/generic-musl"];
        for folder in headers.iter().cloned().chain(of_c.map(|path| self.library(path))) {
            clang.arg("-isystem").arg(folder);
        }
        process::run(clang.arg("-c").arg(source).arg("-o").arg(self.objects.join(format!("{name}.o"))))
    }

    /// Makes a program of all objects.
    pub(super) fn link(&self, names: &[&str], libraries: &[&str], module: &Path) -> anyhow::Result<()> {
        let objects = names.iter().map(|name| self.objects.join(format!("{name}.o")));
        let mut link = self.zig("cc");
        link.args(["-target", "wasm32-wasi", "-O2", "-s", "-o"]).arg(module);
        process::run(link.args(objects).args(libraries))
    }

    fn zig(&self, tool: &str) -> Command {
        let mut zig = Command::new(self.toolchain.join("ziglang").join(program("zig")));
        zig.env("ZIG_GLOBAL_CACHE_DIR", self.toolchain.join("cache")).arg(tool);
        zig
    }
}

/// Assembly that declares the exceptions of a language, of which each carries a pointer.
pub(super) fn tag(name: &str) -> String {
    format!("\t.tagtype {name} i32\n\t.globl {name}\n{name}:\n")
}
