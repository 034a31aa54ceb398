//! `wasi:sockets`: wasmtime's own, with their number and buffers bounded and their bytes counted.
//!
//! That they reach only what is granted is not held here, but by the check of every address in [`super::Net::new`].

use std::mem;
use std::sync::Arc;

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, LinkerInstance, Resource, ResourceType};
use wasmtime_wasi::WasiView;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddressFamily};
use wasmtime_wasi::p2::bindings::sockets::tcp::HostTcpSocket;
use wasmtime_wasi::p2::bindings::sockets::udp::{
    HostIncomingDatagramStream, HostOutgoingDatagramStream, HostUdpSocket, IncomingDatagram, IncomingDatagramStream,
    OutgoingDatagram, OutgoingDatagramStream,
};
use wasmtime_wasi::p2::bindings::sockets::{tcp_create_socket, udp_create_socket};
use wasmtime_wasi::p2::pipe::{ClosedInputStream, ClosedOutputStream};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, SocketResult, TcpSocket, UdpSocket};
use wasmtime_wasi::sockets::WasiSocketsView;

use super::connections::{Permit, SOCKET_BUFFER};
use super::traffic::{CountedInput, CountedOutput};
use super::{Preview2State, wasi};
use crate::meters::Meters;

type Store<'a> = StoreContextMut<'a, Preview2State>;

/// The answer to a guest, or the trap that ends it.
pub(super) fn answer<T>(result: SocketResult<T>) -> wasmtime::Result<(Result<T, ErrorCode>,)> {
    match result {
        Ok(value) => Ok((Ok(value),)),
        Err(error) => Ok((Err(error.downcast()?),)),
    }
}

pub(super) fn add_to_linker(linker: &mut Linker<Preview2State>) -> wasmtime::Result<()> {
    linker
        .instance(wasi!("sockets/tcp-create-socket"))?
        .func_wrap("create-tcp-socket", |mut store: Store<'_>, (family,): (IpAddressFamily,)| {
            answer(create_tcp(store.data_mut(), family))
        })?;
    linker.instance(wasi!("sockets/udp-create-socket"))?.func_wrap_async(
        "create-udp-socket",
        |mut store: Store<'_>, (family,): (IpAddressFamily,)| {
            Box::new(async move { answer(create_udp(store.data_mut(), family).await) })
        },
    )?;
    tcp(&mut linker.instance(wasi!("sockets/tcp"))?)?;
    udp(&mut linker.instance(wasi!("sockets/udp"))?)
}

fn tcp(tcp: &mut LinkerInstance<'_, Preview2State>) -> wasmtime::Result<()> {
    tcp.resource("tcp-socket", ResourceType::host::<TcpSocket>(), |mut store: Store<'_>, rep| {
        HostTcpSocket::drop(&mut store.data_mut().sockets(), Resource::new_own(rep))?;
        store.data_mut().net.sockets.remove(&rep);
        Ok(())
    })?;
    tcp.func_wrap("[method]tcp-socket.finish-connect", |mut store: Store<'_>, (socket,): (Resource<TcpSocket>,)| {
        answer(finish_connect(store.data_mut(), socket))
    })?;
    tcp.func_wrap(
        "[method]tcp-socket.set-receive-buffer-size",
        |mut store: Store<'_>, (socket, size): (Resource<TcpSocket>, u64)| {
            answer(HostTcpSocket::set_receive_buffer_size(&mut store.data_mut().sockets(), socket, bounded(size)))
        },
    )?;
    tcp.func_wrap(
        "[method]tcp-socket.set-send-buffer-size",
        |mut store: Store<'_>, (socket, size): (Resource<TcpSocket>, u64)| {
            answer(HostTcpSocket::set_send_buffer_size(&mut store.data_mut().sockets(), socket, bounded(size)))
        },
    )
}

fn udp(udp: &mut LinkerInstance<'_, Preview2State>) -> wasmtime::Result<()> {
    udp.resource("udp-socket", ResourceType::host::<UdpSocket>(), |mut store: Store<'_>, rep| {
        HostUdpSocket::drop(&mut store.data_mut().sockets(), Resource::new_own(rep))?;
        store.data_mut().net.sockets.remove(&rep);
        Ok(())
    })?;
    udp.func_wrap(
        "[method]udp-socket.set-receive-buffer-size",
        |mut store: Store<'_>, (socket, size): (Resource<UdpSocket>, u64)| {
            answer(HostUdpSocket::set_receive_buffer_size(&mut store.data_mut().sockets(), socket, bounded(size)))
        },
    )?;
    udp.func_wrap(
        "[method]udp-socket.set-send-buffer-size",
        |mut store: Store<'_>, (socket, size): (Resource<UdpSocket>, u64)| {
            answer(HostUdpSocket::set_send_buffer_size(&mut store.data_mut().sockets(), socket, bounded(size)))
        },
    )?;
    udp.func_wrap(
        "[method]incoming-datagram-stream.receive",
        |mut store: Store<'_>, (stream, most): (Resource<IncomingDatagramStream>, u64)| {
            answer(receive(store.data_mut(), stream, most))
        },
    )?;
    udp.func_wrap(
        "[method]outgoing-datagram-stream.send",
        |mut store: Store<'_>, (stream, datagrams): (Resource<OutgoingDatagramStream>, Vec<OutgoingDatagram>)| {
            answer(send(store.data_mut(), stream, datagrams))
        },
    )
}

/// Buffers are a hint: who asks for larger ones goes on with those there are.
fn bounded(size: u64) -> u64 {
    size.min(u64::from(SOCKET_BUFFER))
}

impl Preview2State {
    fn meters(&self) -> SocketResult<Arc<Meters>> {
        let granted = self.net.granted.as_ref().ok_or(ErrorCode::AccessDenied)?;
        Ok(Arc::clone(&granted.meters))
    }

    fn socket_permit(&mut self) -> SocketResult<Permit> {
        self.meters()?;
        Ok(self.net.connections.open().ok_or(ErrorCode::NewSocketLimit)?)
    }
}

fn create_tcp(state: &mut Preview2State, family: IpAddressFamily) -> SocketResult<Resource<TcpSocket>> {
    let permit = state.socket_permit()?;
    let mut sockets = state.sockets();
    let socket = tcp_create_socket::Host::create_tcp_socket(&mut sockets, family)?;
    let again = || Resource::new_borrow(socket.rep());
    HostTcpSocket::set_receive_buffer_size(&mut sockets, again(), u64::from(SOCKET_BUFFER))?;
    HostTcpSocket::set_send_buffer_size(&mut sockets, again(), u64::from(SOCKET_BUFFER))?;
    state.net.sockets.insert(socket.rep(), permit);
    Ok(socket)
}

async fn create_udp(state: &mut Preview2State, family: IpAddressFamily) -> SocketResult<Resource<UdpSocket>> {
    let permit = state.socket_permit()?;
    let mut sockets = state.sockets();
    let socket = udp_create_socket::Host::create_udp_socket(&mut sockets, family).await?;
    let again = || Resource::new_borrow(socket.rep());
    HostUdpSocket::set_receive_buffer_size(&mut sockets, again(), u64::from(SOCKET_BUFFER))?;
    HostUdpSocket::set_send_buffer_size(&mut sockets, again(), u64::from(SOCKET_BUFFER))?;
    state.net.sockets.insert(socket.rep(), permit);
    Ok(socket)
}

type Streams = (Resource<DynInputStream>, Resource<DynOutputStream>);

fn finish_connect(state: &mut Preview2State, socket: Resource<TcpSocket>) -> SocketResult<Streams> {
    let meters = state.meters()?;
    let (input, output) = HostTcpSocket::finish_connect(&mut state.sockets(), socket)?;
    let table = state.ctx().table;
    let slot = table.get_mut(&input)?;
    let inner = mem::replace(slot, Box::new(ClosedInputStream));
    *slot = Box::new(CountedInput { inner, meters: Arc::clone(&meters) });
    let slot = table.get_mut(&output)?;
    let inner = mem::replace(slot, Box::new(ClosedOutputStream));
    *slot = Box::new(CountedOutput { inner, meters });
    Ok((input, output))
}

fn receive(
    state: &mut Preview2State,
    stream: Resource<IncomingDatagramStream>,
    most: u64,
) -> SocketResult<Vec<IncomingDatagram>> {
    let meters = state.meters()?;
    let datagrams = HostIncomingDatagramStream::receive(&mut state.sockets(), stream, most)?;
    meters.net_moved(datagrams.iter().map(|datagram| datagram.data.len()).sum());
    Ok(datagrams)
}

fn send(
    state: &mut Preview2State,
    stream: Resource<OutgoingDatagramStream>,
    datagrams: Vec<OutgoingDatagram>,
) -> SocketResult<u64> {
    let meters = state.meters()?;
    let lengths: Vec<usize> = datagrams.iter().map(|datagram| datagram.data.len()).collect();
    let sent = HostOutgoingDatagramStream::send(&mut state.sockets(), stream, datagrams)?;
    let taken = usize::try_from(sent).unwrap_or(usize::MAX);
    meters.net_moved(lengths.into_iter().take(taken).sum());
    Ok(sent)
}
