//! Listening sockets that go from one process to the next.
//!
//! The server that runs keeps copies of its sockets behind a Unix socket. Whoever connects gets them, one at a time
//! with its address, each acknowledged; once the successor serves, it says so, and the server that ran shuts down. The
//! sockets themselves never close, so no connection that waits in one is lost.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};

use super::{Bound, Socket};
use crate::Addr;

/// The server that runs now, to its successor.
#[derive(Debug)]
pub(crate) struct Predecessor {
    stream: UnixStream,
    bound: Vec<Bound>,
}

/// The copies of a running server's sockets.
#[derive(Debug)]
pub(crate) struct Keeper {
    listener: UnixListener,
    sockets: Arc<Vec<(Addr, Socket)>>,
}

const SOCKET: u8 = b'+';
const END: u8 = b'.';
const READY: u8 = b'!';
/// A process that was asked to hand over and does not answer must not hold its successor up.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a successor may take to make its services.
const START: Duration = Duration::from_secs(300);

/// How descriptors are sent and received, where the system has a say in it.
#[cfg(not(target_vendor = "apple"))]
const FLAGS: (SendFlags, RecvFlags) = (SendFlags::NOSIGNAL, RecvFlags::CMSG_CLOEXEC);
#[cfg(target_vendor = "apple")]
const FLAGS: (SendFlags, RecvFlags) = (SendFlags::empty(), RecvFlags::empty());

// === impl Predecessor ===

impl Predecessor {
    /// Asks the server that runs now for its sockets; `None` if none runs.
    pub(crate) fn ask(path: &Path) -> io::Result<Option<Self>> {
        let Ok(mut stream) = UnixStream::connect(path) else { return Ok(None) };
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut bound: Vec<Bound> = Vec::new();
        while let Some((addr, socket)) = receive(&mut stream)? {
            match bound.iter_mut().find(|known| known.addr == addr) {
                Some(known) => known.sockets.push(socket),
                None => bound.push(Bound { addr, sockets: vec![socket] }),
            }
        }
        Ok(Some(Self { stream, bound }))
    }

    /// The sockets of `addr`, if it handed any over.
    pub(super) fn take(&mut self, addr: &Addr) -> Option<Bound> {
        let index = self.bound.iter().position(|known| known.addr == *addr)?;
        Some(self.bound.swap_remove(index))
    }

    /// Says that the successor serves.
    pub(crate) fn release(mut self) -> io::Result<()> {
        self.stream.write_all(&[READY])
    }
}

// === impl Keeper ===

impl Keeper {
    pub(crate) fn new(path: &Path, bound: &[Bound]) -> io::Result<Self> {
        let copies = |bound: &Bound| {
            let addr = bound.addr.clone();
            bound.sockets.iter().map(move |socket| Ok((addr.clone(), socket.try_clone()?))).collect::<Vec<_>>()
        };
        let sockets = bound.iter().flat_map(copies).collect::<io::Result<_>>()?;
        // Whoever listens on the path now is the predecessor, which this server takes the place of.
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, sockets: Arc::new(sockets) })
    }

    /// Hands the sockets to whoever asks, and shuts the server down when a successor serves.
    pub(crate) async fn run(self, stop: impl FnOnce()) -> io::Result<()> {
        let listener = tokio::net::UnixListener::from_std(self.listener)?;
        loop {
            let stream = listener.accept().await?.0.into_std()?;
            let sockets = self.sockets.clone();
            match tokio::task::spawn_blocking(move || hand_over(stream, &sockets)).await {
                Ok(Ok(())) => {
                    tracing::info!("another process has taken the listening sockets over");
                    stop();
                    return Ok(());
                }
                Ok(Err(error)) => tracing::warn!(%error, "the listening sockets were not taken over"),
                Err(_) => return Ok(()),
            }
        }
    }
}

fn hand_over(mut stream: UnixStream, sockets: &[(Addr, Socket)]) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut answer = [0];
    for (addr, socket) in sockets {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors = [socket.as_fd()];
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
        let text = [&[SOCKET], addr.to_string().as_bytes()].concat();
        sendmsg(&stream, &[IoSlice::new(&text)], &mut control, FLAGS.0)?;
        stream.read_exact(&mut answer)?;
    }
    stream.write_all(&[END])?;
    stream.set_read_timeout(Some(START))?;
    stream.read_exact(&mut answer)?;
    if answer == [READY] { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

fn receive(stream: &mut UnixStream) -> io::Result<Option<(Addr, Socket)>> {
    let mut text = [0; 4096];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = recvmsg(&*stream, &mut [IoSliceMut::new(&mut text)], &mut control, FLAGS.1)?;
    let descriptor = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    let addr = match text.get(..message.bytes) {
        Some([END]) => return Ok(None),
        Some([SOCKET, addr @ ..]) => std::str::from_utf8(addr).ok().and_then(|addr| addr.parse().ok()),
        _ => None,
    };
    stream.write_all(&[SOCKET])?;
    let addr: Addr = addr.ok_or_else(invalid)?;
    let descriptor: OwnedFd = descriptor.ok_or_else(invalid)?;
    rustix::io::fcntl_setfd(&descriptor, rustix::io::FdFlags::CLOEXEC)?;
    let socket = match addr {
        Addr::Tcp(_) => Socket::Tcp(descriptor.into()),
        _ => Socket::Unix(descriptor.into()),
    };
    Ok(Some((addr, socket)))
}
