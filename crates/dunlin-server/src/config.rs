//! [`Config`]: everything a server can be told, with defaults that are safe on the open internet.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::Addr;

/// What a [`Server`](crate::Server) is told. Every deadline and limit is on by default.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen.
    pub listen: Vec<Addr>,
    /// How connections are spread over threads.
    pub event_loop: EventLoop,
    /// How many loops, or threads of the shared runtime. 0: one for each core this process may use.
    pub workers: usize,
    /// Whether each loop's thread is pinned to a core of its own ([`EventLoop::PerCore`] on Linux
    /// only).
    pub pin: bool,
    /// How many connections may wait in the kernel to be accepted, for each loop.
    pub backlog: u32,
    /// Bind with `SO_REUSEPORT` even if another process of this user listens on the address, to
    /// share it with that process or to take over from it. Without it, an address in use is an
    /// error.
    ///
    /// With it, listening begins when the loops serve, and a server that shuts down leaves no
    /// connection behind: it first has new ones go to the processes that stay, and takes in those
    /// that are half open. A few clients wait a second for it (Linux; elsewhere a connection that
    /// opens in that moment may be reset).
    pub reuse_port: bool,
    /// A Unix socket by which the listening sockets go from a running server to the next one:
    /// whoever binds with the same path takes them over, and the old server drains. No connection
    /// is refused or lost in between.
    pub handover: Option<PathBuf>,

    /// How long a connection may be idle between two requests. Zero: one request for each
    /// connection.
    pub keep_alive: Duration,
    /// From accepting a connection to its first byte.
    pub first_byte_timeout: Duration,
    /// To the complete head of a request: for the first one from accepting, the TLS handshake
    /// included, for later ones from their first byte.
    pub header_timeout: Duration,
    /// How long a client may take for each [`min_rate`](Self::min_rate) × seconds of a request's
    /// body. Only the time in which the server waits for the client counts. Over HTTP/2 each stream
    /// is judged by itself.
    pub body_timeout: Duration,
    /// The same for a response: only the time in which the server waits for the client to take more
    /// counts.
    pub write_timeout: Duration,
    /// The least progress of a body in either direction, in bytes a second, on average over
    /// [`body_timeout`](Self::body_timeout) and [`write_timeout`](Self::write_timeout).
    pub min_rate: u32,
    /// How long an idle connection keeps its buffers. After that it is a bare socket until bytes
    /// come.
    pub park_after: Duration,
    /// After so many requests a connection is closed, so that load balancers can spread clients
    /// anew.
    pub max_requests_per_connection: u64,
    /// After this long a connection is closed as soon as it has answered what it was asked.
    pub max_connection_age: Duration,

    /// How long a server that shuts down still takes new connections, so that load balancers learn
    /// of it.
    pub lame_duck: Duration,
    /// How long after that requests under way may take before they are cut.
    pub drain: Duration,

    /// How many connections at once, over all loops. 0: as many as the limit of file descriptors
    /// leaves room for; the soft limit is raised to the hard one first.
    pub max_connections: usize,
    /// How many connections at once from one client address (IPv6: from one /64). 0: seven eighths
    /// of all, so that one client alone never takes the last place.
    pub max_connections_per_client: usize,
    /// How many upgraded connections at once, over all loops; a request for one more is answered 503.
    /// One client has as many as [`max_connections_per_client`](Self::max_connections_per_client), or
    /// seven eighths of all.
    pub max_tunnels: usize,
    /// How long an upgraded connection may go without a byte in either direction.
    pub tunnel_idle: Duration,
    /// The largest body of a request, in bytes: 413 if more is announced, and
    /// [`BodyError::TooLarge`](dunlin_http::BodyError) if more comes.
    pub max_body: u64,
    /// The largest head of a request, in bytes; 431 beyond it. At least [`Self::LEAST_HEAD`].
    pub max_head: usize,
    /// The most header fields of a request, 256 at most; 431 beyond it.
    pub max_fields: usize,
    /// The longest request target, in bytes; 414 beyond it.
    pub max_target: usize,
    /// `true` if paths are brought into one form before anything looks at them: see
    /// [`dunlin_http::target`]. `false` is for services that sign or compare raw paths; an empty
    /// path is `/` even so.
    pub normalise_paths: bool,

    /// Whether plain sockets take HTTP/2 by prior knowledge, besides HTTP/1.1.
    pub h2c: bool,
    /// Limits of HTTP/2.
    pub http2: Http2,
    /// Certificate and key. With it every TCP listener speaks TLS, and ALPN decides between HTTP/2
    /// and HTTP/1.1.
    pub tls: Option<Tls>,
    /// The addresses, each with a prefix length, whose connections begin with a PROXY protocol
    /// header, v1 or v2. Those of others are taken as they are.
    pub proxy_protocol_from: Vec<(IpAddr, u8)>,
}

/// How connections are spread over threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EventLoop {
    /// A single-threaded runtime for each core, with a listening socket and a service of its own:
    /// nothing on the hot path is shared.
    #[default]
    PerCore,
    /// tokio's work-stealing runtime, for handlers that compute long.
    Shared,
}

/// Limits of HTTP/2.
#[derive(Clone, Debug)]
pub struct Http2 {
    /// Streams at once on a connection.
    pub max_streams: u32,
    /// Streams that the client reset and the server has not yet let go of; beyond it the connection
    /// is closed. This and the next bound the *rapid reset* attack.
    pub max_pending_resets: usize,
    /// Streams that the server reset because the client broke the rules; beyond it the connection
    /// is closed.
    pub max_local_resets: usize,
    /// Frames a second that carry no request and no data (PING, SETTINGS, RST_STREAM, PRIORITY,
    /// empty DATA, …), on average over ten seconds; beyond it the connection is closed.
    pub max_control_rate: u32,
}

/// A certificate chain and its key, as PEM files. Both are read again when they change; a pair that
/// does not fit together is reported, and the last good one is kept.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The certificate chain, the server's own first.
    pub certificate: PathBuf,
    /// Its private key: PKCS #8, PKCS #1 or SEC 1.
    pub key: PathBuf,
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![Addr::Tcp(([127, 0, 0, 1], 8080).into())],
            event_loop: EventLoop::default(),
            workers: 0,
            pin: false,
            backlog: 4096,
            reuse_port: false,
            handover: None,
            keep_alive: Duration::from_secs(75),
            first_byte_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(10),
            min_rate: 500,
            park_after: Duration::from_millis(20),
            max_requests_per_connection: 1_000_000,
            max_connection_age: Duration::from_secs(3600),
            lame_duck: Duration::ZERO,
            drain: Duration::from_secs(10),
            max_connections: 0,
            max_connections_per_client: 0,
            max_tunnels: 10_000,
            tunnel_idle: Duration::from_secs(3600),
            max_body: 1 << 20,
            max_head: 16 << 10,
            max_fields: 100,
            max_target: 8 << 10,
            normalise_paths: true,
            h2c: false,
            http2: Http2::default(),
            tls: None,
            proxy_protocol_from: Vec::new(),
        }
    }
}

impl Config {
    /// The least that [`max_head`](Self::max_head) may be.
    pub const LEAST_HEAD: u64 = 8192;

    /// How many loops or threads there will be.
    pub(crate) fn worker_count(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, Into::into),
            workers => workers,
        }
    }
}

impl Default for Http2 {
    fn default() -> Self {
        Self { max_streams: 128, max_pending_resets: 20, max_local_resets: 256, max_control_rate: 500 }
    }
}
