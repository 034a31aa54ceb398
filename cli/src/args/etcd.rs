//! How a master joins others: where their etcd is, and who this master is there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use haggle_master::{EtcdConfig, Several};

/// A file that was named and cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{flag} {path}: {source}", path = path.display())]
pub(crate) struct Unreadable {
    flag: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// What makes a master one of several.
#[derive(Args, Debug)]
#[command(next_help_heading = "Several masters")]
pub(crate) struct EtcdArgs {
    /// The members of an etcd cluster (3.4 or later), which holds the registry and the election of the leader
    ///
    /// Every master with the same etcd and prefix is one of the same cluster: one leads, the others stand by and say
    /// who does. --state then holds artifacts alone, of which every master keeps a copy.
    #[arg(long = "etcd", value_name = "URL,URL,…", value_delimiter = ',', value_parser = url)]
    urls: Vec<String>,
    /// Keep everything below this key, so that several clusters can share an etcd
    #[arg(long = "etcd-prefix", value_name = "KEY", default_value = EtcdConfig::PREFIX, value_parser = prefix, requires = "urls")]
    prefix: String,
    /// The user to be in etcd; its role must be allowed to read and write below the prefix
    #[arg(long = "etcd-user", value_name = "NAME", requires = "urls", requires = "password_file")]
    user: Option<String>,
    /// The file with that user's password; a newline at its end is not part of it
    #[arg(long = "etcd-password-file", value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// The certificates that etcd's are signed with, in PEM [default: the well-known authorities]
    #[arg(long = "etcd-ca", value_name = "FILE", requires = "urls")]
    ca: Option<PathBuf>,
    /// This master's certificate for etcd, in PEM
    #[arg(long = "etcd-cert", value_name = "FILE", requires = "urls", requires = "key")]
    cert: Option<PathBuf>,
    /// The key of that certificate, in PEM
    #[arg(long = "etcd-key", value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// The key with which the masters seal their certificate authority in etcd: the first master makes it, every other one
    /// needs a copy, mode 0600 [default: pki/seal.key in --state]
    #[arg(long = "ca-key-file", value_name = "FILE", requires = "urls")]
    seal_key: Option<PathBuf>,
}

impl EtcdArgs {
    /// What is meant; `None`: a master alone.
    ///
    /// # Errors
    /// When a file that is named cannot be read.
    pub(crate) fn several(self) -> Result<Option<Several>, Unreadable> {
        if self.urls.is_empty() {
            return Ok(None);
        }
        let user = match (self.user, self.password_file) {
            (Some(name), Some(file)) => {
                let password = String::from_utf8_lossy(&read("--etcd-password-file", &file)?).into_owned();
                Some((name, password.trim_end_matches(['\r', '\n']).to_owned()))
            }
            _ => None,
        };
        let identity = match (self.cert, self.key) {
            (Some(cert), Some(key)) => Some((read("--etcd-cert", &cert)?, read("--etcd-key", &key)?)),
            _ => None,
        };
        let ca = self.ca.map(|file| read("--etcd-ca", &file)).transpose()?;
        let etcd = EtcdConfig { urls: self.urls, prefix: self.prefix, user, ca, identity };
        Ok(Some(Several { etcd, seal_key: self.seal_key }))
    }
}

fn read(flag: &'static str, path: &Path) -> Result<Vec<u8>, Unreadable> {
    fs::read(path).map_err(|source| Unreadable { flag, path: path.to_owned(), source })
}

fn url(text: &str) -> Result<String, String> {
    match text.split_once("://") {
        Some(("http" | "https", host)) if !host.is_empty() => Ok(text.to_owned()),
        _ => Err(format!("{text:?} is not a URL like http://10.0.0.1:2379")),
    }
}

fn prefix(text: &str) -> Result<String, String> {
    if text.starts_with('/') && !text.ends_with('/') && !text.contains("//") {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is not a key like /haggle or /haggle/test"))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        etcd: EtcdArgs,
    }

    fn read_line(line: &str) -> Result<Option<Several>, String> {
        let line = Line::try_parse_from(line.split(' ')).map_err(|error| error.to_string())?;
        line.etcd.several().map_err(|error| error.to_string())
    }

    #[test]
    fn without_an_etcd_a_master_is_alone() {
        assert!(read_line("haggle").unwrap().is_none());
    }

    #[test]
    fn several_members_are_named_at_once() {
        let several = read_line("haggle --etcd http://a:2379,http://b:2379").unwrap().unwrap();

        assert_eq!(several.etcd.urls, ["http://a:2379", "http://b:2379"]);
        assert_eq!(several.etcd.prefix, "/haggle");
    }

    #[test]
    fn a_password_is_read_without_the_newline_behind_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "secret\n").unwrap();
        let line = format!("haggle --etcd http://a --etcd-user me --etcd-password-file {}", file.path().display());

        let several = read_line(&line).unwrap().unwrap();

        assert_eq!(several.etcd.user, Some(("me".to_owned(), "secret".to_owned())));
    }

    #[test]
    fn what_is_said_of_an_etcd_is_nothing_without_one() {
        for alone in ["--etcd-prefix /other", "--etcd-ca c", "--ca-key-file k", "--etcd-cert c --etcd-key k"] {
            assert!(read_line(&format!("haggle {alone}")).is_err_and(|why| why.contains("--etcd <URL")), "{alone}");
        }
    }

    #[test]
    fn what_belongs_together_is_given_together() {
        for alone in ["--etcd-user me", "--etcd-cert c", "--etcd-key k", "--etcd-password-file p"] {
            assert!(read_line(&format!("haggle --etcd http://a {alone}")).is_err(), "{alone}");
        }
        assert!(read_line("haggle --etcd a:2379").unwrap_err().contains("is not a URL like"));
        assert!(read_line("haggle --etcd http://a --etcd-prefix haggle/").unwrap_err().contains("is not a key like"));
        let missing = read_line("haggle --etcd http://a --etcd-ca /no/such/file").unwrap_err();
        assert!(missing.starts_with("--etcd-ca /no/such/file: "), "{missing}");
    }
}
