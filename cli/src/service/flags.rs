//! The flags of a daemon, as a service has to be given them: checked, complete, and without a current folder.

use std::any::TypeId;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, CommandFactory};

use crate::args::{Cli, Daemon};

/// Flags whose value is a secret, by their long names. A file of a service manager may be read by others, and shows up
/// in lists of processes.
const SECRETS: [&str; 2] = [JOIN, "token"];

const JOIN: &str = "join";

/// Why flags cannot be those of a service.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FlagError {
    #[error(transparent)]
    Unreadable(#[from] clap::Error),
    #[error("--{0} is a secret, which may not stand in a service's file: put it into a file and give --{0} @FILE")]
    Secret(String),
    #[error("cannot tell what folder {path} is in: {source}", path = path.display())]
    NoFolder { path: PathBuf, source: io::Error },
}

/// What was said elsewhere than in the flags: before the command, or by variables of the environment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Elsewhere<'a> {
    /// Where an agent's master is.
    pub(crate) master: Option<&'a str>,
    /// What lets an agent join, where no flag says it.
    pub(crate) join: Option<&'a str>,
}

/// Reads the flags as `haggle master` or `haggle agent` does, and gives back the words that mean the same wherever and
/// by whomever they are used: with what was said elsewhere, and with absolute paths.
///
/// # Errors
/// As the daemon's own command line has them; and for a secret that is not in a file.
pub(crate) fn words(daemon: Daemon, elsewhere: Elsewhere, flags: &[OsString]) -> Result<Vec<OsString>, FlagError> {
    let mut line: Vec<OsString> = vec!["haggle".into()];
    line.extend(elsewhere.master.map(|master| format!("--master={master}").into()));
    line.push(daemon.to_string().into());
    line.extend_from_slice(flags);
    Cli::read(&line)?;

    let mut cli = Cli::command();
    let matches = cli.try_get_matches_from_mut(line)?;
    let (Some(command), Some((_, matches))) = (cli.find_subcommand(daemon.to_string()), matches.subcommand()) else {
        unreachable!("it was read as this command")
    };
    // A master is told of no other.
    let is_meant = |arg: &&Arg| daemon == Daemon::Agent || arg.get_id() != "master";
    let mut words = vec![daemon.to_string().into()];
    for arg in command.get_arguments().filter(is_meant) {
        words.extend(given(arg, matches)?);
    }
    if daemon == Daemon::Agent
        && let Some(join) = elsewhere.join
    {
        set_default(&mut words, JOIN, &in_file(JOIN, join.as_ref())?);
    }
    Ok(words)
}

/// Adds a flag that was not given.
pub(crate) fn set_default(words: &mut Vec<OsString>, flag: &str, value: &OsStr) {
    let mut word = OsString::from(format!("--{flag}="));
    if !words.iter().any(|given| given.as_encoded_bytes().starts_with(word.as_encoded_bytes())) {
        word.push(value);
        words.push(word);
    }
}

/// One argument as it was given, with each of its values; nothing for one that has its default.
fn given(arg: &Arg, matches: &ArgMatches) -> Result<Vec<OsString>, FlagError> {
    let id = arg.get_id().as_str();
    let source = matches.value_source(id);
    let (Some(ValueSource::CommandLine), Some(flag)) = (source, arg.get_long()) else {
        return Ok(Vec::new());
    };
    if !arg.get_action().takes_values() {
        return Ok(vec![format!("--{flag}").into()]);
    }
    let values = matches.get_raw(id).into_iter().flatten().filter(|value| !value.is_empty());
    values
        .map(|value| {
            let mut word = OsString::from(format!("--{flag}="));
            word.push(durable(arg, flag, value)?);
            Ok(word)
        })
        .collect()
}

/// A value that means the same in any folder, and gives no secret away.
fn durable(arg: &Arg, flag: &str, value: &OsStr) -> Result<OsString, FlagError> {
    if SECRETS.contains(&flag) {
        return in_file(flag, value);
    }
    if arg.get_value_parser().type_id() == TypeId::of::<PathBuf>() {
        return absolute(Path::new(value)).map(PathBuf::into_os_string);
    }
    Ok(value.to_owned())
}

/// A secret that is named by its file.
///
/// # Errors
/// When it is the secret itself.
fn in_file(flag: &str, value: &OsStr) -> Result<OsString, FlagError> {
    let file = value.to_str().and_then(|value| value.strip_prefix('@')).filter(|file| !file.is_empty());
    let file = file.ok_or_else(|| FlagError::Secret(flag.to_owned()))?;
    let mut named = OsString::from("@");
    named.push(absolute(Path::new(file))?);
    Ok(named)
}

fn absolute(path: &Path) -> Result<PathBuf, FlagError> {
    std::path::absolute(path).map_err(|source| FlagError::NoFolder { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use clap::Command;

    use super::*;

    fn read(daemon: Daemon, master: Option<&str>, line: &str) -> Result<String, String> {
        read_beside(daemon, Elsewhere { master, join: None }, line)
    }

    fn read_beside(daemon: Daemon, elsewhere: Elsewhere, line: &str) -> Result<String, String> {
        let flags: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        let words = words(daemon, elsewhere, &flags).map_err(|error| error.to_string())?;
        let again = Cli::read([OsString::from("haggle")].iter().chain(&words));
        assert!(again.is_ok(), "{words:?}: {again:?}");
        Ok(words.join(OsStr::new(" ")).into_string().unwrap())
    }

    #[test]
    fn what_was_typed_is_kept_and_defaults_are_not_written_down() {
        let line = "--cpus 0.5 --attribute rack=b7 --attribute a=b --allow-network --name=small";

        let words = read(Daemon::Agent, Some("127.0.0.1:5050"), line).unwrap();

        let mut sorted: Vec<_> = words.split(' ').collect();
        sorted.sort_unstable();
        assert_eq!(
            sorted,
            [
                "--allow-network",
                "--attribute=a=b",
                "--attribute=rack=b7",
                "--cpus=0.5",
                "--master=127.0.0.1:5050",
                "--name=small",
                "agent"
            ]
        );
    }

    #[test]
    fn a_list_keeps_all_its_values() {
        let line = "--etcd http://a:2379,http://b:2379 --weight x=1 --weight y=2";

        let words = read(Daemon::Master, None, line).unwrap();

        for word in ["--etcd=http://a:2379", "--etcd=http://b:2379", "--weight=x=1", "--weight=y=2"] {
            assert!(words.contains(word), "{words}");
        }
    }

    #[test]
    fn a_master_is_told_of_no_other() {
        assert_eq!(read(Daemon::Master, Some("127.0.0.1:1"), ""), Ok("master".to_owned()));
    }

    #[test]
    fn a_path_is_written_down_in_full() {
        let here = std::env::current_dir().unwrap();

        let words = read(Daemon::Agent, None, "--work-dir w --allow-folder ./data").unwrap();

        assert!(words.contains(&format!("--work-dir={}", here.join("w").display())), "{words}");
        assert!(words.contains(&format!("--allow-folder={}", here.join("data").display())), "{words}");
    }

    #[test]
    fn a_default_does_not_replace_what_was_given() {
        let mut words = ["agent".into(), "--log-file=/a".into()].to_vec();

        set_default(&mut words, "log-file", "/b".as_ref());
        set_default(&mut words, "name", "x y".as_ref());

        assert_eq!(words, ["agent", "--log-file=/a", "--name=x y"]);
    }

    #[test]
    fn a_flag_that_the_daemon_refuses_is_refused_in_its_words() {
        let refused = read(Daemon::Agent, None, "--cpus 0").unwrap_err();
        assert!(refused.contains("0 cpus would never run"), "{refused}");
        assert!(read(Daemon::Master, None, "--cpus 1").unwrap_err().contains("unexpected argument '--cpus'"));
    }

    #[test]
    fn a_token_of_the_environment_is_one_too_unless_a_flag_gives_another() {
        let given =
            |join, line: &str| read_beside(Daemon::Agent, Elsewhere { join: Some(join), ..Elsewhere::default() }, line);
        let file = |name: &str| format!("agent --join=@{}", std::path::absolute(name).unwrap().display());

        assert_eq!(given("@token", ""), Ok(file("token")));
        assert_eq!(given("@token", "--join @other"), Ok(file("other")));
        assert!(given("hgl1.abc", "").unwrap_err().contains("--join @FILE"));
        let elsewhere = Elsewhere { join: Some("hgl1.abc"), ..Elsewhere::default() };
        assert_eq!(read_beside(Daemon::Master, elsewhere, ""), Ok("master".to_owned()), "a master joins nobody");
    }

    #[test]
    fn a_secret_is_named_by_its_file() {
        let command = Command::new("agent").arg(Arg::new("join").long("join"));
        let durable = |value: &str| {
            let matches = command.clone().get_matches_from(["agent", "--join", value]);
            given(command.get_arguments().next().unwrap(), &matches).map_err(|error| error.to_string())
        };
        let file = std::path::absolute("token").unwrap();

        assert_eq!(durable("@token").unwrap(), [OsString::from(format!("--join=@{}", file.display()))]);
        for secret in ["hgl1.abc", "@", "-"] {
            let refused = durable(secret).unwrap_err();
            assert!(refused.contains("--join @FILE") && !refused.contains("abc"), "{refused}");
        }
    }
}
