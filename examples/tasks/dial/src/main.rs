//! Says what can be reached from where it runs: `dial lookup NAME`, `dial tcp HOST:PORT [TEXT]`,
//! `dial udp HOST:PORT TEXT`, `dial listen`, `dial many HOST:PORT N`.
//!
//! A component, since WASI 0.1 knows no way to connect. What it reaches is up to `haggle run --allow-net HOST:PORT`.

mod address;

use std::io::{self, Write};
use std::process::ExitCode;

use wasip2::io::streams::{InputStream, OutputStream, StreamError};
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::ip_name_lookup::resolve_addresses;
use wasip2::sockets::network::{ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Network};
use wasip2::sockets::tcp::{ShutdownType, TcpSocket};
use wasip2::sockets::tcp_create_socket::create_tcp_socket;
use wasip2::sockets::udp::OutgoingDatagram;
use wasip2::sockets::udp_create_socket::create_udp_socket;

/// As much as is read at once.
const PIECE: u64 = 64 << 10;

fn main() -> ExitCode {
    let network = instance_network();
    support::run(|args| {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        match args[..] {
            ["lookup", name] => {
                for found in lookup(&network, name)? {
                    println!("{}", address::display(found));
                }
                Ok(())
            }
            ["tcp", to] => tcp(&network, to, None),
            ["tcp", to, text] => tcp(&network, to, Some(text)),
            ["udp", to, text] => udp(&network, to, text),
            ["listen"] => listen(&network),
            ["many", to, count] => many(&network, to, support::number(count)?),
            _ => Err("usage: dial lookup NAME | tcp HOST:PORT [TEXT] | udp HOST:PORT TEXT | listen | many HOST:PORT N"
                .to_string()),
        }
    })
}

fn lookup(network: &Network, name: &str) -> Result<Vec<IpAddress>, String> {
    let stream = resolve_addresses(network, name).map_err(refused("lookup"))?;
    let mut found = Vec::new();
    loop {
        match stream.resolve_next_address() {
            Ok(Some(address)) => found.push(address),
            Ok(None) => return Ok(found),
            Err(ErrorCode::WouldBlock) => stream.subscribe().block(),
            Err(error) => return Err(refused("lookup")(error)),
        }
    }
}

/// An address is taken as it is written; the first of those of a name is taken.
fn target(network: &Network, text: &str) -> Result<IpSocketAddress, String> {
    let (host, port) = text.rsplit_once(':').ok_or_else(|| format!("{text:?} has no port"))?;
    let port = support::number(port)?;
    match address::parse(host) {
        Some(ip) => Ok(address::with_port(ip, port)),
        None => {
            let first = lookup(network, host)?.into_iter().next();
            Ok(address::with_port(first.ok_or_else(|| format!("{host} has no address"))?, port))
        }
    }
}

/// Prints what comes; with a text, sends it before, and says that there is no more.
fn tcp(network: &Network, to: &str, text: Option<&str>) -> Result<(), String> {
    let connection = connect(network, target(network, to)?)?;
    if let Some(text) = text {
        send(&connection.output, text)?;
        connection.socket.shutdown(ShutdownType::Send).map_err(refused("shutdown"))?;
    }
    let mut stdout = io::stdout().lock();
    loop {
        match connection.input.blocking_read(PIECE) {
            Ok(piece) => stdout.write_all(&piece).map_err(|error| error.to_string())?,
            Err(StreamError::Closed) => return Ok(()),
            Err(error) => return Err(format!("receive: {error:?}")),
        }
    }
}

/// The streams come first, since they have to be gone before their socket.
struct Connection {
    input: InputStream,
    output: OutputStream,
    socket: TcpSocket,
}

fn connect(network: &Network, to: IpSocketAddress) -> Result<Connection, String> {
    let socket = create_tcp_socket(address::family(to)).map_err(refused("socket"))?;
    socket.start_connect(network, to).map_err(refused("connect"))?;
    socket.subscribe().block();
    let (input, output) = socket.finish_connect().map_err(refused("connect"))?;
    Ok(Connection { input, output, socket })
}

fn send(output: &OutputStream, text: &str) -> Result<(), String> {
    for piece in text.as_bytes().chunks(4096) {
        output.blocking_write_and_flush(piece).map_err(|error| format!("send: {error:?}"))?;
    }
    Ok(())
}

fn udp(network: &Network, to: &str, text: &str) -> Result<(), String> {
    let to = target(network, to)?;
    let socket = create_udp_socket(address::family(to)).map_err(refused("socket"))?;
    socket.start_bind(network, address::any(to)).map_err(refused("bind"))?;
    socket.finish_bind().map_err(refused("bind"))?;
    let (incoming, outgoing) = socket.stream(None).map_err(refused("stream"))?;
    outgoing.subscribe().block();
    outgoing.check_send().map_err(refused("send"))?;
    let datagram = OutgoingDatagram { data: text.as_bytes().to_vec(), remote_address: Some(to) };
    outgoing.send(&[datagram]).map_err(refused("send"))?;
    incoming.subscribe().block();
    for answer in incoming.receive(1).map_err(refused("receive"))? {
        io::stdout().write_all(&answer.data).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn listen(network: &Network) -> Result<(), String> {
    let socket = create_tcp_socket(IpAddressFamily::Ipv4).map_err(refused("socket"))?;
    let anywhere = IpSocketAddress::Ipv4(address::ANY_V4);
    socket.start_bind(network, anywhere).map_err(refused("bind"))?;
    socket.finish_bind().map_err(refused("bind"))?;
    socket.start_listen().map_err(refused("listen"))?;
    println!("listening");
    Ok(())
}

/// How many connections it is given at once.
fn many(network: &Network, to: &str, count: usize) -> Result<(), String> {
    let to = target(network, to)?;
    let mut open = Vec::new();
    for _ in 0..count {
        match connect(network, to) {
            Ok(connection) => open.push(connection),
            Err(error) => {
                println!("{} connections, then {error}", open.len());
                return Ok(());
            }
        }
    }
    println!("{} connections", open.len());
    Ok(())
}

fn refused(what: &str) -> impl Fn(ErrorCode) -> String {
    move |error| format!("{what}: {}", error.name())
}
