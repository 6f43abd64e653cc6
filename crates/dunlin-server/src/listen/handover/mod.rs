//! The handover of listening sockets from one process to the next.
//!
//! A running server listens on a Unix socket and keeps copies of its listening sockets for a
//! successor. The protocol:
//!
//! 1. The successor connects.
//! 2. The predecessor sends each socket with its address, and waits for an acknowledgement.
//! 3. The predecessor sends the end of the list.
//! 4. The successor sends that it serves, and the predecessor shuts down.
//!
//! The listening sockets never close, so no connection that waits in one is lost.

mod message;

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};

use socket2::SockRef;

use super::{Bound, Socket};
use crate::Addr;
use message::{MAX_BYTES, Message};

/// The running server, seen from its successor.
#[derive(Debug)]
pub(crate) struct Predecessor {
    stream: UnixStream,
    sockets: Vec<(Addr, Vec<Socket>)>,
}

/// The copies of a running server's sockets.
#[derive(Debug)]
pub(crate) struct Keeper {
    listener: UnixListener,
    kept: Kept,
}

/// The sockets that a successor gets. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept(Arc<Mutex<Copies>>);

/// Copies of sockets, with their addresses.
pub(crate) type Copies = Vec<(Addr, Arc<Socket>)>;

/// The successor has a socket.
const TAKEN: u8 = b'+';
/// The successor serves.
const READY: u8 = b'!';
/// The time for one message of the protocol.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(5);
/// The time in which a successor has to make its services.
const START_TIMEOUT: Duration = Duration::from_secs(300);

/// The flags of messages with descriptors.
#[cfg(not(target_vendor = "apple"))]
const FLAGS: (SendFlags, RecvFlags) = (SendFlags::NOSIGNAL, RecvFlags::CMSG_CLOEXEC);
#[cfg(target_vendor = "apple")]
const FLAGS: (SendFlags, RecvFlags) = (SendFlags::empty(), RecvFlags::empty());

// === impl Predecessor ===

impl Predecessor {
    /// Requests the sockets of the running server. Returns `None` if none runs. It may run as
    /// `user`, too, which this process will become.
    pub(crate) fn connect(path: &Path, user: Option<u32>) -> io::Result<Option<Self>> {
        let Ok(mut stream) = UnixStream::connect(path) else { return Ok(None) };
        if !is_trusted(&stream, user) {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "the process behind the handover socket belongs to another user; use a path of this user",
            ));
        }
        stream.set_read_timeout(Some(MESSAGE_TIMEOUT))?;
        let mut sockets: Vec<(Addr, Vec<Socket>)> = Vec::new();
        while let Some((addr, socket)) = receive(&mut stream)? {
            match sockets.iter_mut().find(|(known, _)| *known == addr) {
                Some((_, known)) => known.push(socket),
                None => sockets.push((addr, vec![socket])),
            }
        }
        Ok(Some(Self { stream, sockets }))
    }

    /// Takes the sockets of `addr`. Returns `None` if the predecessor sent none.
    pub(super) fn take(&mut self, addr: &Addr) -> Option<Vec<Socket>> {
        let index = self.sockets.iter().position(|(known, _)| known == addr)?;
        Some(self.sockets.swap_remove(index).1)
    }

    /// Sends that the successor serves.
    pub(crate) fn release(mut self) -> io::Result<()> {
        self.stream.write_all(&[READY])
    }
}

// === impl Keeper ===

impl Keeper {
    pub(crate) fn new(path: &Path, bound: &[Bound]) -> io::Result<Self> {
        let kept = Kept::default();
        kept.add(Kept::copies(bound)?);
        remove_own_socket(path)?;
        let listener = UnixListener::bind(path)?;
        // Another user may connect before this. `is_trusted` refuses it.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, kept })
    }

    /// The sockets, which may change.
    pub(crate) fn kept(&self) -> Kept {
        self.kept.clone()
    }

    /// Sends the sockets to each process of this user that connects. Calls `stop` once a successor
    /// serves.
    pub(crate) async fn run(self, stop: impl FnOnce()) -> io::Result<()> {
        let listener = tokio::net::UnixListener::from_std(self.listener)?;
        loop {
            let stream = listener.accept().await?.0.into_std()?;
            let sockets = self.kept.all();
            match tokio::task::spawn_blocking(move || hand_over(stream, &sockets)).await {
                Ok(Ok(())) => {
                    tracing::info!("another process has taken the listening sockets over");
                    stop();
                    return Ok(());
                }
                Ok(Err(error)) => {
                    tracing::warn!(%error, "a handover of the listening sockets failed; this process goes on serving");
                }
                Err(_) => return Ok(()),
            }
        }
    }
}

// === impl Kept ===

impl Kept {
    /// Copies of the sockets of addresses.
    pub(crate) fn copies(bound: &[Bound]) -> io::Result<Copies> {
        let sockets = bound.iter().flat_map(|bound| bound.sockets.iter().map(|socket| (&bound.endpoint.addr, socket)));
        sockets.map(|(addr, socket)| Ok((addr.clone(), Arc::new(socket.try_clone()?)))).collect()
    }

    pub(crate) fn add(&self, sockets: Copies) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(sockets);
    }

    pub(crate) fn remove(&self, addr: &Addr) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|(kept, _)| kept != addr);
    }

    fn all(&self) -> Copies {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Removes the socket that a process of this user has left, or that the predecessor listens on.
///
/// # Errors
/// Returns an error, and removes nothing, if anything else is at the path.
fn remove_own_socket(path: &Path) -> io::Result<()> {
    let metadata = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        metadata => metadata?,
    };
    let user = rustix::process::geteuid().as_raw();
    if !metadata.file_type().is_socket() || (metadata.uid() != user && user != 0) {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "the path is taken by something other than a socket of this user",
        ));
    }
    std::fs::remove_file(path)
}

/// Returns `true` if the process at the other end runs as this user, as root, or as `also`.
fn is_trusted(stream: &UnixStream, also: Option<u32>) -> bool {
    let own = rustix::process::geteuid().as_raw();
    peer_user(stream).is_some_and(|user| user == own || user == 0 || Some(user) == also)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn peer_user(stream: &UnixStream) -> Option<u32> {
    rustix::net::sockopt::socket_peercred(stream).ok().map(|peer| peer.uid.as_raw())
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn peer_user(stream: &UnixStream) -> Option<u32> {
    let (mut user, mut group) = (0, 0);
    // SAFETY: the descriptor is open, and both places are writable.
    let result = unsafe { libc::getpeereid(std::os::fd::AsRawFd::as_raw_fd(stream), &raw mut user, &raw mut group) };
    (result == 0).then_some(user)
}

fn hand_over(mut stream: UnixStream, sockets: &[(Addr, Arc<Socket>)]) -> io::Result<()> {
    if !is_trusted(&stream, None) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "a process of another user requested them"));
    }
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(MESSAGE_TIMEOUT))?;
    stream.set_write_timeout(Some(MESSAGE_TIMEOUT))?;
    let mut answer = [0];
    for (addr, socket) in sockets {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors = [socket.as_fd()];
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
        let message = Message::Socket(addr).to_bytes();
        sendmsg(&stream, &[IoSlice::new(&message)], &mut control, FLAGS.0)?;
        stream.read_exact(&mut answer)?;
    }
    stream.write_all(&Message::<Addr>::End.to_bytes())?;
    stream.set_read_timeout(Some(START_TIMEOUT))?;
    stream.read_exact(&mut answer)?;
    if answer == [READY] { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

fn receive(stream: &mut UnixStream) -> io::Result<Option<(Addr, Socket)>> {
    let mut text = [0; MAX_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = recvmsg(&*stream, &mut [IoSliceMut::new(&mut text)], &mut control, FLAGS.1)?;
    let descriptor = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    let addr: Addr = match text.get(..message.bytes).and_then(Message::parse).ok_or_else(invalid)? {
        Message::End => return Ok(None),
        Message::Socket(addr) => addr,
    };
    stream.write_all(&[TAKEN])?;
    let descriptor: OwnedFd = descriptor.ok_or_else(invalid)?;
    rustix::io::fcntl_setfd(&descriptor, rustix::io::FdFlags::CLOEXEC)?;
    listening(addr, descriptor).map(Some)
}

/// Checks that a socket that was handed over listens at `addr`.
fn listening(addr: Addr, descriptor: OwnedFd) -> io::Result<(Addr, Socket)> {
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("the socket for {addr} {what}"));
    let raw = SockRef::from(&descriptor);
    if raw.r#type()? != socket2::Type::STREAM || !raw.is_listener()? {
        return Err(wrong("does not listen"));
    }
    // A blocking socket would stop its loop at the first accept.
    raw.set_nonblocking(true)?;
    let socket = match addr {
        Addr::Tcp(_) => Socket::Tcp(descriptor.into()),
        _ => Socket::Unix(descriptor.into()),
    };
    match socket.addr()? == addr {
        true => Ok((addr, socket)),
        false => Err(wrong("is bound to another address")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_socket_of_this_user_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("handover");
        remove_own_socket(&path).unwrap();
        std::fs::write(&path, "precious").unwrap();
        assert!(remove_own_socket(&path).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
        std::fs::remove_file(&path).unwrap();
        drop(UnixListener::bind(&path).unwrap());
        remove_own_socket(&path).unwrap();
        assert!(!path.exists());
        std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
        assert!(remove_own_socket(&path).is_err() && path.is_symlink());
    }

    #[test]
    fn this_user_is_trusted() {
        let (one, other) = UnixStream::pair().unwrap();
        assert!(is_trusted(&one, None) && is_trusted(&other, None));
    }

    #[test]
    fn only_sockets_that_listen_at_their_address_are_taken() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = Addr::Tcp(listener.local_addr().unwrap());
        let copy = || OwnedFd::from(listener.try_clone().unwrap());
        let (_, Socket::Tcp(taken)) = listening(addr, copy()).unwrap() else { panic!("another kind") };
        assert_eq!(taken.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert!(listening("127.0.0.1:1".parse().unwrap(), copy()).is_err());
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(listening(Addr::Tcp(stream.local_addr().unwrap()), stream.into()).is_err());
        let datagram = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(listening(Addr::Tcp(datagram.local_addr().unwrap()), datagram.into()).is_err());
    }
}
