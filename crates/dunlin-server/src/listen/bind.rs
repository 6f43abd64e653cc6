//! Binding addresses.

use std::io;
use std::net::SocketAddr;
use std::os::fd::FromRawFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, chown};
use std::path::Path;
use std::sync::Arc;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol, Socket as Raw, Type};

use super::accounts::{group_id, user_id};
use super::{Bound, Endpoint, EndpointState, Listen, Predecessor, Socket, set_keepalive};
use crate::{Addr, BindError, Config};

/// The descriptors that are reserved for files, outbound connections and listeners. A sixteenth of
/// the descriptor limit is reserved besides, for sealed files of which the kernel sends content.
const RESERVED: usize = 256;
/// The limit of that sixteenth.
const RESERVED_FILES: usize = 1024;

/// Binds every address of `config` that `predecessor` does not hand over. TCP addresses are bound
/// once for each of `loops`.
pub(crate) fn bind(
    config: &Config,
    loops: usize,
    mut predecessor: Option<&mut Predecessor>,
) -> Result<Vec<Bound>, BindError> {
    let mut all = Vec::new();
    for listen in &config.listen {
        let addr = &listen.addr;
        let listen_error = |source| BindError::Listen { addr: addr.clone(), source };
        let bound = match predecessor.as_mut().and_then(|predecessor| predecessor.take(addr)) {
            Some(sockets) => vec![(addr.clone(), sockets)],
            None => match addr {
                Addr::Tcp(tcp) => vec![bind_tcp(*tcp, config, loops).map_err(listen_error)?],
                Addr::Unix(path) => vec![(addr.clone(), vec![bind_unix(path, listen, config).map_err(listen_error)?])],
                Addr::Systemd(name) => systemd(name).map_err(listen_error)?,
            },
        };
        let speaks_tls = config.speaks_tls(listen);
        for (addr, sockets) in bound {
            let is_tcp = matches!(sockets.first(), Some(Socket::Tcp(_)));
            let state = Arc::new(EndpointState::new(speaks_tls && is_tcp));
            all.push(Bound { listen: listen.clone(), endpoint: Endpoint { addr, state }, sockets });
        }
    }
    Ok(all)
}

/// Binds a socket for each of the `loops`. Returns the address with the port that the system chose.
fn bind_tcp(addr: SocketAddr, config: &Config, loops: usize) -> io::Result<(Addr, Vec<Socket>)> {
    // SO_REUSEPORT would join the sockets of another process that listens. A socket without it
    // finds that out.
    if addr.port() != 0 && !config.reuse_port {
        tcp_socket(addr, false, config)?;
    }
    let mut sockets = Vec::with_capacity(loops);
    let mut addr = addr;
    for _ in 0..loops {
        let socket = tcp_socket(addr, true, config)?;
        // On an address that other processes serve, listening begins with the loop, because the
        // kernel sends connections to every socket that listens.
        if !config.reuse_port {
            socket.listen(backlog(config))?;
        }
        let socket: std::net::TcpListener = socket.into();
        addr = socket.local_addr()?;
        sockets.push(Socket::Tcp(socket));
    }
    Ok((Addr::Tcp(addr), sockets))
}

pub(super) fn backlog(config: &Config) -> i32 {
    i32::try_from(config.backlog).unwrap_or(i32::MAX)
}

fn tcp_socket(addr: SocketAddr, reuse_port: bool, config: &Config) -> io::Result<Raw> {
    let socket = Raw::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(reuse_port)?;
    if addr.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // Accepted sockets inherit both, which saves system calls for each.
    socket.set_tcp_nodelay(true)?;
    set_keepalive(&socket, config.tcp_keepalive)?;
    socket.bind(&addr.into())?;
    Ok(socket)
}

/// Binds a socket file. Clients can connect once it has its owner and its mode.
fn bind_unix(path: &Path, listen: &Listen, config: &Config) -> io::Result<Socket> {
    let socket = unix_socket(path)?;
    if let Err(error) = own(path, listen).and_then(|()| socket.listen(backlog(config))) {
        let _ = std::fs::remove_file(path);
        return Err(error);
    }
    Ok(Socket::Unix(std::os::fd::OwnedFd::from(socket).into()))
}

/// Gives a socket file its owner and its mode.
pub(crate) fn own(path: &Path, listen: &Listen) -> io::Result<()> {
    let user = listen.user.as_deref().map(user_id).transpose()?;
    let group = listen.group.as_deref().map(group_id).transpose()?;
    if user.is_some() || group.is_some() {
        chown(path, user, group)?;
    }
    if let Some(mode) = listen.mode {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// A socket that is bound to `path`. The file of a socket that nothing listens on is replaced.
fn unix_socket(path: &Path) -> io::Result<Raw> {
    use std::os::unix::net::UnixStream;
    let addr = socket2::SockAddr::unix(path)?;
    let socket = Raw::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.bind(&addr) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let stale = std::fs::symlink_metadata(path)?.file_type().is_socket() && UnixStream::connect(path).is_err();
            if !stale {
                return Err(error);
            }
            std::fs::remove_file(path)?;
            socket.bind(&addr)?;
        }
        bound => bound?,
    }
    Ok(socket)
}

/// Takes the sockets that the service manager passed under `name` (sd_listen_fds(3)). Each is taken
/// once, because a second owner would close its descriptor twice.
fn systemd(name: &str) -> io::Result<Vec<(Addr, Vec<Socket>)>> {
    let passed = std::sync::LazyLock::force(&PASSED);
    let mut passed = passed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut bound = Vec::new();
    for (_, socket) in passed.extract_if(.., |(fd_name, _)| name.is_empty() || fd_name == name) {
        bound.push((socket.addr()?, vec![socket]));
    }
    if bound.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            "the service manager passed no such socket (LISTEN_FDS); check FileDescriptorName= in its unit",
        ));
    }
    Ok(bound)
}

type Passed = std::sync::Mutex<Vec<(String, Socket)>>;

static PASSED: std::sync::LazyLock<Passed> = std::sync::LazyLock::new(|| passed_sockets().into());

fn passed_sockets() -> Vec<(String, Socket)> {
    let var = |name| std::env::var(name).unwrap_or_default();
    if var("LISTEN_PID").parse() != Ok(std::process::id()) {
        return Vec::new();
    }
    let count: i32 = var("LISTEN_FDS").parse().unwrap_or(0);
    let names = var("LISTEN_FDNAMES");
    let mut names = names.split(':');
    (3..3 + count)
        .filter_map(|fd| {
            let name = names.next().unwrap_or_default().to_owned();
            // A number without a descriptor must not become an owned one.
            // SAFETY: F_GETFD takes any number, and changes nothing.
            if unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
                return None;
            }
            // SAFETY: LISTEN_PID is ours, so descriptors 3 and following were passed to this
            // process to own; this runs once, so no other owner is made.
            let socket = unsafe { Raw::from_raw_fd(fd) };
            socket.set_cloexec(true).ok()?;
            socket.set_nonblocking(true).ok()?;
            let socket = match socket.local_addr().ok()?.domain() {
                Domain::UNIX => Socket::Unix(std::os::fd::OwnedFd::from(socket).into()),
                _ => {
                    socket.set_tcp_nodelay(true).ok()?;
                    Socket::Tcp(socket.into())
                }
            };
            Some((name, socket))
        })
        .collect()
}

/// Returns the number of descriptors for connections: the limit less a reserve. The soft limit is
/// raised to the hard one first.
pub(crate) fn free_descriptors() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if setrlimit(Resource::Nofile, raised).is_ok() {
            limit = raised;
        }
    }
    let limit = limit.current.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let reserved = RESERVED + (limit / 16).min(RESERVED_FILES);
    limit.saturating_sub(reserved.min(limit / 2)).min(1 << 20)
}
