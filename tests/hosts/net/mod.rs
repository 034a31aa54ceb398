//! A network of hosts around one switch.

mod line;
mod namespace;

use std::fs;
use std::process::Command;

pub(crate) use line::{Line, Weather};
pub(crate) use namespace::Namespace;

use crate::host::Host;

/// A network that is gone with its value, with all that runs in it.
///
/// Its hosts have addresses of 10.83.0.0/24. No other network can see these, and so each may use the same.
pub(crate) struct Net {
    switch: Namespace,
    /// What everybody in it knows by name.
    names: Vec<(Namespace, String)>,
}

impl Net {
    /// A network without hosts, where this machine lets us make one.
    pub(crate) fn new() -> Option<Self> {
        if let Err(why) = namespace::allowed() {
            left_out(&format!("hosts of their own: {why}"));
            return None;
        }
        namespace::sweep();
        let switch = Namespace::new("switch");
        switch.ip("link add br0 type bridge");
        switch.ip("link set br0 up");
        Some(Self { switch, names: Vec::new() })
    }

    /// A host with this address, plugged into the switch.
    pub(crate) fn host(&mut self, name: &str, address: &str) -> Host {
        let host = Host::new(name, address);
        self.switch.ip(&format!("link add {name} type veth peer name eth0 netns {}", host.namespace().name()));
        self.plug_in(&host);
        host
    }

    /// A host with this address at the end of a long line.
    pub(crate) fn far_host(&mut self, name: &str, address: &str) -> (Host, Line) {
        let host = Host::new(name, address);
        let line = Line::between((host.namespace(), "eth0"), (&self.switch, name));
        self.plug_in(&host);
        (host, line)
    }

    fn plug_in(&mut self, host: &Host) {
        let (name, address) = (host.name(), host.address());
        self.switch.ip(&format!("link set {name} master br0 up"));
        host.namespace().ip(&format!("addr add {address}/24 dev eth0"));
        host.namespace().ip("link set eth0 up");
        self.names.push((host.namespace().clone(), format!("{address} {name}\n")));
        self.tell_names();
    }

    /// A host that sees no other but a router that hides it: what it says comes from the router's address.
    pub(crate) fn host_behind(&mut self, router: &Host, name: &str) -> Host {
        let host = Host::new(name, "192.168.83.2");
        let inside = host.namespace();
        router.namespace().ip(&format!("link add inside type veth peer name eth0 netns {}", inside.name()));
        router.namespace().ip("addr add 192.168.83.1/24 dev inside");
        router.namespace().ip("link set inside up");
        inside.ip("addr add 192.168.83.2/24 dev eth0");
        inside.ip("link set eth0 up");
        inside.ip("route add default via 192.168.83.1");
        // Its own address, nobody could use.
        self.names.push((inside.clone(), String::new()));
        self.tell_names();
        host
    }

    /// Pulls a host's plug, or puts it in again.
    pub(crate) fn plug(&self, host: &Host, state: Plug) {
        let state = match state {
            Plug::In => "up",
            Plug::Pulled => "down",
        };
        self.switch.ip(&format!("link set {} {state}", host.name()));
    }

    /// `ip netns exec` has its programs see this file as `/etc/hosts`.
    fn tell_names(&self) {
        let names: String = self.names.iter().map(|(_, line)| line.as_str()).collect();
        for (namespace, _) in &self.names {
            let folder = namespace.etc();
            fs::create_dir_all(&folder).and_then(|()| fs::write(folder.join("hosts"), &names)).expect("root may write");
        }
    }
}

/// Of a cable.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Plug {
    In,
    Pulled,
}

/// Says what is not tried on this machine. The configuration of the runner of tests has it shown.
pub(crate) fn left_out(what: &str) {
    eprintln!("NOT RUN: {what}");
}

/// Runs a program that sets something up.
///
/// # Panics
/// When it fails.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    String::from_utf8_lossy(&output.stdout).into_owned()
}
