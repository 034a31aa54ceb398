//! Reads one value of one flag, so that nothing behind clap is left to parse.

mod amounts;
mod folders;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use haggle_core::access::is_role;
use haggle_core::attributes;
use haggle_core::grants::NotAHost;
use haggle_core::{
    Bytes, Constraint, Endpoint, FrameworkId, Fuel, HttpHost, MilliCpu, OutputOverrun, Placement, TaskId,
};
use haggle_sdk::WindowStart;

pub(crate) use amounts::Amounts;
pub(super) use amounts::{amounts, kept_for_role, scalars, some_amounts};
pub(crate) use folders::{Mount, OpenFolder};
pub(super) use folders::{folder, host_folder, input, mount};

/// Processor time, more than none: `0.5`.
pub(super) fn cpus(text: &str) -> Result<MilliCpu, String> {
    let cpus: MilliCpu = text.parse().map_err(|error| format!("{error}"))?;
    if cpus.is_zero() { Err("0 cpus would never run; the least is 0.001".into()) } else { Ok(cpus) }
}

/// Processor time, which may be none: `0`.
pub(super) fn cpus_or_none(text: &str) -> Result<MilliCpu, String> {
    text.parse().map_err(|error| format!("{error}"))
}

/// A share in proportion to others, more than none: `2`.
pub(super) fn share(text: &str) -> Result<MilliCpu, String> {
    let weight = cpus_or_none(text)?;
    if weight.is_zero() { Err("a weight of 0 is no share at all; the least is 0.001".into()) } else { Ok(weight) }
}

/// A size, which may be zero: `16MiB`.
pub(super) fn size(text: &str) -> Result<Bytes, String> {
    text.parse().map_err(|error| format!("{error}"))
}

/// A size, more than nothing: `64MiB`.
pub(super) fn positive_size(text: &str) -> Result<Bytes, String> {
    let bytes = size(text)?;
    if bytes.is_zero() { Err("must be more than 0, like 64MiB".into()) } else { Ok(bytes) }
}

/// How much a task may write, and what becomes of the rest: `1MiB`, `1MiB:end` or `1MiB:truncate`.
pub(super) fn output_limit(text: &str) -> Result<(Bytes, OutputOverrun), String> {
    let (size, overrun) = match text.rsplit_once(':') {
        None => (text, OutputOverrun::End),
        Some((size, "end")) => (size, OutputOverrun::End),
        Some((size, "truncate")) => (size, OutputOverrun::Truncate),
        Some((_, other)) => return Err(format!("{other:?} is neither end nor truncate, as in 1MiB:truncate")),
    };
    Ok((positive_size(size)?, overrun))
}

/// Fuel, more than none, with `_` between digits where that reads better: `1_000_000`.
pub(super) fn fuel(text: &str) -> Result<Fuel, String> {
    match text.replace('_', "").parse() {
        Ok(0) => Err("a task without fuel cannot run one instruction; leave the flag out for no limit".into()),
        Ok(fuel) => Ok(Fuel::new(fuel)),
        Err(_) => Err(format!("{text:?} is not a number of instructions like 1000000")),
    }
}

/// A time span, more than none: `30s`, `1m 30s`, `500ms`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let duration =
        humantime::parse_duration(text).map_err(|_| format!("{text:?} is not a time span like 500ms, 30s or 1m30s"))?;
    if duration < Duration::from_millis(1) { Err("must be 1ms or more".into()) } else { Ok(duration) }
}

/// A time span, or none: `0s`, `1h`.
pub(super) fn duration_or_none(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| format!("{text:?} is not a time span like 0s, 30s or 1h"))
}

/// When something begins: `now`, `2h`, `2027-01-10T03:00:00Z`.
pub(super) fn moment(text: &str) -> Result<WindowStart, String> {
    if text == "now" {
        return Ok(WindowStart::In(Duration::ZERO));
    }
    if let Ok(after) = humantime::parse_duration(text) {
        return Ok(WindowStart::In(after));
    }
    // Without a zone it would be that of this machine, and the master may be elsewhere.
    humantime::parse_rfc3339(text).map(WindowStart::At).map_err(|_| {
        format!("{text:?} is neither now, nor a time from now like 2h, nor a moment like 2027-01-10T03:00:00Z")
    })
}

/// A variable of the environment: `NAME=VALUE`. The value may be empty and may hold further `=`.
pub(super) fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = pair(text, "NAME=VALUE")?;
    if text.contains('\0') { Err("must not contain a NUL byte".into()) } else { Ok((name, value)) }
}

/// An attribute of an agent: `rack=b7`.
pub(super) fn attribute(text: &str) -> Result<(String, String), String> {
    let (name, value) = pair(text, "NAME=VALUE")?;
    if attributes::is_reserved(&name) {
        return Err(format!("{name} is not for you to say: the agent says it of itself"));
    }
    Ok((name, value))
}

/// A role's weight: `batch=2`.
pub(super) fn weight(text: &str) -> Result<(String, NonZeroU32), String> {
    let (name, number) = pair(text, "ROLE=N")?;
    let weight = whole_weight(&number)?;
    Ok((role(&name)?, weight))
}

/// One port of one host: `db.example:5432`.
pub(super) fn endpoint(text: &str) -> Result<Endpoint, String> {
    text.parse().map_err(|error: NotAHost| error.to_string())
}

/// A host that answers HTTP requests: `api.example`, `api.example:8080`.
pub(super) fn http_host(text: &str) -> Result<HttpHost, String> {
    text.parse().map_err(|error: NotAHost| error.to_string())
}

/// A role as the master takes it.
pub(super) fn role(text: &str) -> Result<String, String> {
    if is_role(text) {
        Ok(text.to_string())
    } else {
        Err(format!("{text:?} is no role: names joined by /, none empty, . or .., no spaces, at most 128 bytes"))
    }
}

/// What something weighs: `2`.
pub(super) fn whole_weight(text: &str) -> Result<NonZeroU32, String> {
    text.parse().map_err(|_| format!("the weight {text:?} is not a whole number from 1 up"))
}

/// Something of a role, or that the role above says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said<T>(pub(crate) Option<T>);

impl<T> Said<T> {
    fn read(text: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Result<Self, String> {
        if text == "default" { Ok(Self(None)) } else { read(text).map(|said| Self(Some(said))) }
    }
}

/// Amounts, or `default`.
pub(super) fn amounts_or_default(text: &str) -> Result<Said<Amounts>, String> {
    Said::read(text, amounts)
}

/// The name of a placement, or `default`.
pub(super) fn placement(text: &str) -> Result<Said<Placement>, String> {
    Said::read(text, |text| text.parse().map_err(|error| format!("{error}, nor default")))
}

/// What an agent must be: `zone=a`, `zone!=a`, `gpu`, `!gpu`.
pub(super) fn constraint(text: &str) -> Result<Constraint, String> {
    text.parse().map_err(|error| format!("{error}"))
}

/// Of whom it is asked what is in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Whom {
    Task(TaskId),
    Framework(FrameworkId),
    /// Of a role or of a framework, whatever there is.
    Name(String),
}

/// An id of a task or a framework, or a name.
pub(super) fn whom(text: &str) -> Result<Whom, String> {
    if text.trim().is_empty() {
        return Err("a task, a framework, a role or the name of a framework is wanted".into());
    }
    let task = text.parse().map(Whom::Task);
    let framework = || text.parse().map(Whom::Framework);
    Ok(task.or_else(|_| framework()).unwrap_or_else(|_| Whom::Name(text.to_owned())))
}

/// Roles that a token is for: `a/b` is that one, `a/*` all below it, `*` every one.
pub(super) fn role_pattern(text: &str) -> Result<String, String> {
    let below = text.strip_suffix("/*").unwrap_or(text);
    let plain = |part: &str| !part.is_empty() && !part.contains(|letter: char| letter.is_whitespace() || letter == '*');
    if text == "*" || below.split('/').all(plain) {
        Ok(text.to_string())
    } else {
        Err(format!("{text:?} is neither a role, like a/b, nor all of them below one, like a/*, nor *"))
    }
}

/// Where to listen: `127.0.0.1:5050`.
pub(super) fn listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("{text:?} is not an address and a port like 127.0.0.1:5050"))
}

/// The same, on loopback.
pub(super) fn listen_on_loopback(text: &str) -> Result<SocketAddr, String> {
    on_loopback(text, "haggle up is for this machine alone, and listens on loopback; others join a haggle master")
}

/// The same for a proxy.
pub(super) fn proxy_on_loopback(text: &str) -> Result<SocketAddr, String> {
    on_loopback(
        text,
        "haggle proxy speaks plain text, and so listens on loopback alone; others log in to the master itself",
    )
}

fn on_loopback(text: &str, else_why: &str) -> Result<SocketAddr, String> {
    let address = listen(text)?;
    if address.ip().to_canonical().is_loopback() { Ok(address) } else { Err(else_why.to_owned()) }
}

/// A list of attributes or variables in which every name occurs once.
pub(crate) fn without_duplicates<'a>(
    flag: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Result<(), super::Contradiction> {
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(super::Contradiction::Twice { flag: flag.to_string(), name: name.to_string() });
        }
    }
    Ok(())
}

fn pair(text: &str, wanted: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_string(), value.to_string())),
        _ => Err(format!("{text:?} is not of the form {wanted}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_of_zero_is_refused() {
        assert!(cpus("0").is_err());
        assert!(cpus("0.000").is_err());
        assert!(positive_size("0MiB").is_err());
        assert!(fuel("0").is_err());
        assert!(duration("0s").is_err());
    }

    #[test]
    fn quotas_are_read_in_their_units() {
        assert_eq!(cpus("0.25"), Ok(MilliCpu::new(250)));
        assert_eq!(positive_size("64MiB"), Ok(Bytes::from_mib(64)));
        assert_eq!(size("0"), Ok(Bytes::ZERO));
        assert_eq!(fuel("1_000_000"), Ok(Fuel::new(1_000_000)));
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
    }

    #[test]
    fn what_is_no_quota_says_what_one_looks_like() {
        assert_eq!(
            cpus("lots").unwrap_err(),
            "\"lots\" is not a number of cores like 2 or 0.25, in thousandths at the finest"
        );
        assert_eq!(size("64MB").unwrap_err(), "\"64MB\" is not a size like 64MiB, 1GiB or 4096");
        assert_eq!(duration("soon").unwrap_err(), "\"soon\" is not a time span like 500ms, 30s or 1m30s");
    }

    #[test]
    fn a_variable_may_hold_further_equals_signs_and_may_be_empty() {
        assert_eq!(variable("A=b=c"), Ok(("A".into(), "b=c".into())));
        assert_eq!(variable("A="), Ok(("A".into(), String::new())));
        assert!(variable("A").is_err());
        assert!(variable("=b").is_err());
    }

    #[test]
    fn what_becomes_of_too_much_output_is_named_behind_the_limit() {
        assert_eq!(output_limit("1MiB"), Ok((Bytes::from_mib(1), OutputOverrun::End)));
        assert_eq!(output_limit("1MiB:end"), Ok((Bytes::from_mib(1), OutputOverrun::End)));
        assert_eq!(output_limit("4KiB:truncate"), Ok((Bytes::from_kib(4), OutputOverrun::Truncate)));
        assert_eq!(output_limit("1MiB:cut").unwrap_err(), "\"cut\" is neither end nor truncate, as in 1MiB:truncate");
        assert!(output_limit("0:truncate").is_err());
    }

    #[test]
    fn a_pattern_names_one_role_or_all_below_one_or_all() {
        for good in ["*", "a", "a/b", "a/*", "a/b/*"] {
            assert_eq!(role_pattern(good).as_deref(), Ok(good));
        }
        for wrong in ["", "/", "/*", "a/", "/a", "a*", "*/a", "a/*/b", "a b", "**"] {
            assert!(role_pattern(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_an_agent_says_of_itself_is_no_attribute_for_its_operator() {
        assert_eq!(attribute("rack=b7"), Ok(("rack".into(), "b7".into())));
        for wrong in ["haggle.net=allowed", "haggle.dir:/srv=read", "hostname=h1"] {
            assert!(attribute(wrong).unwrap_err().contains("the agent says it of itself"), "{wrong}");
        }
    }

    #[test]
    fn a_placement_has_a_name() {
        assert_eq!(placement("spread"), Ok(Said(Some(Placement::Spread))));
        assert_eq!(placement("default"), Ok(Said(None)));
        assert!(placement("random").unwrap_err().contains("none of the placements binpack and spread"));
        assert_eq!(amounts_or_default("default"), Ok(Said(None)));
    }

    #[test]
    fn whoever_waits_is_named_by_an_id_or_a_name() {
        assert_eq!(whom("task-3.7"), Ok(Whom::Task(TaskId { framework: FrameworkId(3), number: 7 })));
        assert_eq!(whom("framework-3"), Ok(Whom::Framework(FrameworkId(3))));
        assert_eq!(whom("eng/batch"), Ok(Whom::Name("eng/batch".into())));
        assert!(whom(" ").is_err());
    }

    #[test]
    fn a_role_is_a_path_of_names() {
        assert_eq!(role("eng/batch").as_deref(), Ok("eng/batch"));
        for wrong in ["", "/a", "a/", "a//b", "a b", ".", "a/..", &"r".repeat(129)] {
            assert!(role(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn weights_are_whole_and_positive() {
        assert_eq!(weight("batch=2").unwrap(), ("batch".into(), NonZeroU32::new(2).unwrap()));
        for wrong in ["batch", "batch=0", "batch=-1", "=1", "a b=1", "/a=1"] {
            assert!(weight(wrong).is_err(), "{wrong}");
        }
    }
}
