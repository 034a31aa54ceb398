//! `haggle ui`.

use std::io::Write;
use std::process::{Command, Stdio};

use haggle_tls::Secret;
use tempfile::NamedTempFile;

use super::Verdict;
use super::proxy::Opened;
use crate::args::UiArgs;
use crate::error::CommandError;
use crate::proxy::{Door, serve};
use crate::signals::Signals;
use crate::target::Target;
use crate::{logging, output};

/// What opens an address in this system's browser.
const OPENER: &[&str] = if cfg!(windows) {
    &["cmd", "/C", "start", ""]
} else if cfg!(target_os = "macos") {
    &["open"]
} else {
    &["xdg-open"]
};

pub(super) async fn run(target: &Target, args: UiArgs) -> Verdict {
    logging::start(&args.log, "warn")?;
    let mut signals = Signals::catch().map_err(CommandError::Signals)?;
    let Opened { client, who, listener, address, token } = Opened::on(target, args.listen).await?;
    let ticket = Secret::random();
    let door = Door::new(&token).with_ticket(&token, &ticket);
    let entrance = format!("http://{address}{}", Door::entrance(&ticket));
    let who = output::printable(&format!("{} ({})", who.name, who.kind));
    let master = client.url();
    // The ticket is on no command line, where others of this machine would see it.
    let leads = leads_to(&entrance).ok().filter(|leads| !args.print && open(leads));
    let text = match &leads {
        Some(_) => format!("http://{address} shows {master} to your browser as {who}.\nCtrl-C ends it.\n"),
        None => format!("{entrance}\nshows {master} as {who}; that address is good once.\nCtrl-C ends it.\n"),
    };
    output::bytes(text.as_bytes())?;
    tokio::select! {
        () = signals.next() => Ok(0),
        never = serve(listener, door, client) => match never {},
    }
}

/// A file that only this user can read, and that leads a browser there.
fn leads_to(address: &str) -> std::io::Result<NamedTempFile> {
    let mut file = tempfile::Builder::new().prefix("haggle-ui-").suffix(".html").tempfile()?;
    let refresh = format!("<meta http-equiv=\"refresh\" content=\"0; url={address}\">");
    writeln!(file, "<!doctype html><meta charset=\"utf-8\"><title>Haggle</title>{refresh}")?;
    file.flush()?;
    Ok(file)
}

/// Whether a browser was started.
fn open(leads: &NamedTempFile) -> bool {
    let mut opener = Command::new(OPENER[0]);
    opener.args(&OPENER[1..]).arg(leads.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    opener.status().is_ok_and(|status| status.success())
}
