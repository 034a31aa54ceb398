//! What people write to say where an artifact is.

use std::fmt;
use std::str::FromStr;

use haggle_core::Digest;
use url::Url;

/// Longer is no address that a person gave.
const LONGEST: usize = 2_048;

/// As the distribution specification of the OCI has it.
const REPOSITORY_MAX: usize = 255;
const TAG_MAX: usize = 128;

/// As S3 has it.
const KEY_MAX: usize = 1_024;

/// What a reference means that names neither tag nor digest.
const DEFAULT_TAG: &str = "latest";

/// Where an artifact is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// In an OCI registry: `oci://registry[:port]/repository[:tag|@sha256:…]`.
    Oci(OciRef),
    /// In an object store that speaks S3: `s3://bucket/key`.
    S3 {
        /// Which bucket.
        bucket: String,
        /// Which object in it.
        key: String,
    },
    /// On a web server: `https://…`, or `http://…` where that is allowed.
    Web(Url),
}

/// Something in an OCI registry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OciRef {
    /// Its host, with a port if one was named.
    pub registry: String,
    /// Its repository there.
    pub repository: String,
    /// Which one.
    pub reference: Reference,
}

/// Which one of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reference {
    /// What this points to now.
    Tag(String),
    /// The one whose manifest has this digest.
    Digest(Digest),
}

/// A text that names no source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} names no artifact: {why}")]
pub struct NotASource {
    text: String,
    why: String,
}

impl Source {
    /// Whether a text is meant as a source, be it right or wrong: no file is called so.
    pub fn is_meant(text: &str) -> bool {
        text.split_once("://")
            .is_some_and(|(scheme, _)| !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()))
    }

    /// A name for people: the last part of where it is.
    pub fn name(&self) -> &str {
        let path = match self {
            Self::Oci(reference) => &reference.repository,
            Self::S3 { key, .. } => key,
            Self::Web(url) => url.path(),
        };
        let name = path.rsplit('/').next().unwrap_or_default();
        let name = name.strip_suffix(".wasm").unwrap_or(name);
        if name.is_empty() { "task" } else { name }
    }
}

impl FromStr for Source {
    type Err = NotASource;

    fn from_str(text: &str) -> Result<Self, NotASource> {
        let wrong = |why: &str| NotASource { text: text.chars().take(LONGEST).collect(), why: why.to_owned() };
        if text.len() > LONGEST {
            return Err(wrong("it is longer than 2048 bytes"));
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(wrong("it has a space or a control character in it"));
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(|| wrong(WANTED))?;
        match scheme {
            "oci" => Ok(Self::Oci(oci(rest).map_err(|why| wrong(&why))?)),
            "s3" => s3(rest).map_err(wrong),
            "http" | "https" => web(text).map_err(|why| wrong(&why)),
            _ => Err(wrong(WANTED)),
        }
    }
}

const WANTED: &str = "wanted is oci://registry/name:tag, s3://bucket/key or https://host/path";

fn oci(rest: &str) -> Result<OciRef, String> {
    let (registry, name) = rest.split_once('/').ok_or("it has no repository: oci://registry/name:tag")?;
    check_authority(registry)?;
    let (name, digest) = match name.split_once('@') {
        Some((name, digest)) => (name, Some(digest.parse::<Digest>().map_err(|error| error.to_string())?)),
        None => (name, None),
    };
    let (repository, tag) = match name.rsplit_once(':') {
        Some((repository, tag)) => (repository, Some(tag)),
        None => (name, None),
    };
    if !is_repository(repository) {
        return Err("a repository is made of lower-case letters, digits and single . _ - between slashes".into());
    }
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Err("a tag has up to 128 letters, digits, . _ and -, and begins with none of the last two".into());
    }
    let reference = match digest {
        Some(digest) => Reference::Digest(digest),
        None => Reference::Tag(tag.unwrap_or(DEFAULT_TAG).to_owned()),
    };
    Ok(OciRef { registry: registry.to_ascii_lowercase(), repository: repository.to_owned(), reference })
}

/// A host and perhaps a port, and nothing that a URL would take for something else.
fn check_authority(authority: &str) -> Result<(), String> {
    let wrong = || format!("{authority:?} is not a host or a host and a port");
    let url = Url::parse(&format!("https://{authority}/")).map_err(|_| wrong())?;
    let is_plain = url.username().is_empty() && url.password().is_none() && !authority.contains(['@', '?', '#', '\\']);
    if is_plain && url.path() == "/" && url.host_str().is_some() { Ok(()) } else { Err(wrong()) }
}

fn is_repository(name: &str) -> bool {
    let is_part = |part: &str| {
        let of_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = part.as_bytes();
        let ends_well = bytes.first().copied().is_some_and(of_name) && bytes.last().copied().is_some_and(of_name);
        ends_well && bytes.iter().all(|&byte| of_name(byte) || b"._-".contains(&byte)) && !part.contains("..")
    };
    name.len() <= REPOSITORY_MAX && name.split('/').all(is_part)
}

fn is_tag(tag: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = tag.as_bytes();
    bytes.len() <= TAG_MAX
        && bytes.first().copied().is_some_and(is_word)
        && bytes.iter().all(|&byte| is_word(byte) || b".-".contains(&byte))
}

fn s3(rest: &str) -> Result<Source, &'static str> {
    let (bucket, key) = rest.split_once('/').ok_or("it has no key: s3://bucket/key")?;
    let of_bucket = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
    if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(of_bucket) || bucket.contains("..") {
        return Err("a bucket has 3 to 63 lower-case letters, digits, . and -");
    }
    if key.is_empty() || key.len() > KEY_MAX || key.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err("a key has 1 to 1024 bytes, and no part between slashes is empty, . or ..");
    }
    Ok(Source::S3 { bucket: bucket.to_owned(), key: key.to_owned() })
}

fn web(text: &str) -> Result<Source, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a name and a password belong into ~/.netrc, where no list shows them".into());
    }
    if url.fragment().is_some() {
        return Err("a part behind # is for browsers".into());
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("it has no host".into());
    }
    Ok(Source::Web(url))
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Oci(reference) => reference.fmt(f),
            Self::S3 { bucket, key } => write!(f, "s3://{bucket}/{key}"),
            // What follows a question mark is often a signature.
            Self::Web(url) => match url.query() {
                Some(_) => write!(f, "{}?…", &url[..url::Position::AfterPath]),
                None => url.fmt(f),
            },
        }
    }
}

impl fmt::Display for OciRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { registry, repository, reference } = self;
        match reference {
            Reference::Tag(tag) => write!(f, "oci://{registry}/{repository}:{tag}"),
            Reference::Digest(digest) => write!(f, "oci://{registry}/{repository}@{digest}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        text.parse::<Source>().map_or_else(|error| error.to_string(), |source| source.to_string())
    }

    #[test]
    fn what_is_written_is_read_and_written_again() {
        let pinned = format!("oci://registry.example:5000/team/app@sha256:{}", "ab".repeat(32));
        for (text, again) in [
            ("oci://registry.example/team/app:1.0", "oci://registry.example/team/app:1.0"),
            ("oci://Registry.example/app", "oci://registry.example/app:latest"),
            ("oci://localhost:5000/a_b/c-d.e:v1", "oci://localhost:5000/a_b/c-d.e:v1"),
            ("oci://[::1]:5000/app:v1", "oci://[::1]:5000/app:v1"),
            (&pinned, &pinned),
            (&pinned.replace('@', ":1.0@"), &pinned),
            ("s3://bucket/some/key.wasm", "s3://bucket/some/key.wasm"),
            ("https://host.example/a/b.wasm", "https://host.example/a/b.wasm"),
            ("https://host.example/b.wasm?X-Signature=abc", "https://host.example/b.wasm?…"),
        ] {
            assert_eq!(read(text), again);
        }
    }

    #[test]
    fn what_could_mean_something_else_is_no_source() {
        for text in [
            "file:///etc/passwd",
            "oci://registry.example",
            "oci://registry.example/",
            "oci://registry.example/../../etc:v1",
            "oci://registry.example/a/../b:v1",
            "oci://registry.example/a//b:v1",
            "oci://registry.example/App:v1",
            "oci://registry.example/app:-v1",
            "oci://registry.example/app:a/b",
            "oci://registry.example/app@sha256:12",
            "oci://name:secret@registry.example/app:v1",
            "oci://registry.example?x=/app:v1",
            "oci:///app:v1",
            "s3://b/key",
            "s3://bucket",
            "s3://bucket/",
            "s3://bucket/../other/key",
            "s3://bucket/a/./b",
            "s3://Bucket/key",
            "https://name:secret@host.example/a.wasm",
            "https://host.example/a.wasm#b",
            "https://host.example/a b.wasm",
            "https://",
        ] {
            assert!(text.parse::<Source>().is_err(), "{text}");
        }
        assert!("a".repeat(LONGEST + 1).parse::<Source>().is_err());
    }

    #[test]
    fn a_source_is_told_from_a_file() {
        assert!(Source::is_meant("oci://a/b:c") && Source::is_meant("ftp://x"));
        assert!(!Source::is_meant("module.wasm") && !Source::is_meant("./a://b") && !Source::is_meant("sha256:ab"));
    }

    #[test]
    fn its_name_is_its_last_part() {
        let name = |text: &str| text.parse::<Source>().unwrap().name().to_owned();

        assert_eq!(name("oci://registry.example/team/app:1"), "app");
        assert_eq!(name("s3://bucket/jobs/nightly.wasm"), "nightly");
        assert_eq!(name("https://host.example/"), "task");
    }
}
