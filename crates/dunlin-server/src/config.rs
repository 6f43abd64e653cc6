//! [`Config`]: the settings of a server, with defaults that are safe on the open internet.

use std::path::PathBuf;
use std::time::Duration;

use dunlin_http::Network;

use crate::{Addr, BindError, Listen, Tls};

/// The settings of a [`Server`](crate::Server). Every deadline and limit is on by default.
#[derive(Clone, Debug)]
pub struct Config {
    /// The addresses to listen on.
    pub listen: Vec<Listen>,
    /// The way in which connections are spread over threads.
    pub event_loop: EventLoop,
    /// The number of loops, or of threads of the shared runtime. 0: one for each core that this
    /// process may use.
    pub workers: usize,
    /// `true` to pin each loop's thread to a core of its own. Only for [`EventLoop::PerCore`] on
    /// Linux.
    pub pin: bool,
    /// The number of connections that may wait in the kernel to be accepted, for each loop.
    pub backlog: u32,
    /// `true` to bind with `SO_REUSEPORT` even if another process of this user listens on the
    /// address, to share it with that process or to take over from it. Without it, an address in
    /// use is an error.
    ///
    /// With it, listening begins when the loops serve. A server that shuts down first sends new
    /// connections to the processes that stay, and accepts those that are half open. A few clients
    /// wait a second for it (Linux). Elsewhere a connection that opens in that moment may be reset.
    pub reuse_port: bool,
    /// The Unix socket through which a running server passes its listening sockets to the next one.
    /// A server that binds with the same path takes them over, and the old server drains. No
    /// connection is refused or lost in between.
    pub handover: Option<PathBuf>,
    /// The user that this process becomes after [binding](crate::Server::bind), which the caller
    /// takes care of. A running server of this user may hand its sockets over to root.
    pub user: Option<u32>,

    /// The time for which a connection may be idle between two requests. Zero: one request for each
    /// connection.
    pub keep_alive: Duration,
    /// The time without a byte after which the system probes an accepted TCP connection, in whole
    /// seconds (RFC 9293 §3.8.4). Unanswered probes are repeated every 15 seconds. It finds clients
    /// that are gone while nothing is sent to them. `None`: no probes.
    pub tcp_keepalive: Option<Duration>,
    /// The time from accepting a connection to its first byte.
    pub first_byte_timeout: Duration,
    /// The time to the complete head of a request. For the first one it counts from accepting, the
    /// TLS handshake included; for later ones from their first byte.
    pub header_timeout: Duration,
    /// The time over which a request's body must make [`min_rate`](Self::min_rate). Only the time
    /// in which the server waits for the client counts. Each stream of HTTP/2 is judged by itself.
    pub body_timeout: Duration,
    /// The same for a response. Only the time in which the server waits for the client to take more
    /// counts.
    pub write_timeout: Duration,
    /// The smallest progress of a body in either direction, in bytes per second, on average over
    /// [`body_timeout`](Self::body_timeout) and [`write_timeout`](Self::write_timeout).
    pub min_rate: u32,
    /// The time for which an idle connection keeps its buffers. After that it is a bare socket
    /// until bytes come.
    pub park_after: Duration,
    /// The number of requests after which a connection is closed, so that load balancers can spread
    /// clients anew.
    pub max_requests_per_connection: u64,
    /// The time after which a connection is closed, as soon as no request is in flight.
    pub max_connection_age: Duration,

    /// The time for which a server that shuts down still accepts connections, so that load
    /// balancers notice.
    pub lame_duck: Duration,
    /// The time after that in which requests in flight may end before they are cut.
    pub drain: Duration,

    /// The limit of connections at once, over all loops. 0: the number that the limit of file
    /// descriptors leaves room for. The soft limit is raised to the hard one first.
    pub max_connections: usize,
    /// The limit of connections at once from one client address (IPv6: from one /64). 0: seven
    /// eighths of all, so that one client alone cannot use them all up.
    pub max_connections_per_client: usize,
    /// The limit of upgraded connections at once, over all loops. A request for one more is
    /// answered 503. The limit of one client is
    /// [`max_connections_per_client`](Self::max_connections_per_client), or seven eighths of all.
    pub max_tunnels: usize,
    /// The time for which an upgraded connection may go without a byte in either direction.
    pub tunnel_idle: Duration,
    /// The largest body of a request, in bytes. A larger `Content-Length` is answered 413; a body
    /// that becomes larger is [`BodyError::TooLarge`](dunlin_http::BodyError).
    pub max_body: u64,
    /// The largest head of a request, in bytes; 431 beyond it. At least [`Self::MIN_HEAD`].
    pub max_head: usize,
    /// The limit of header fields of a request, 256 at most; 431 beyond it.
    pub max_fields: usize,
    /// The longest request target, in bytes; 414 beyond it.
    pub max_target: usize,
    /// `true` to normalise paths before anything looks at them: see [`dunlin_http::target`].
    /// `false` is for services that sign or compare raw paths. An empty path is `/` in either case.
    pub normalise_paths: bool,

    /// `true` to accept HTTP/2 by prior knowledge on plain sockets, besides HTTP/1.1.
    pub h2c: bool,
    /// The limits of HTTP/2.
    pub http2: Http2,
    /// The certificates and the rules of the listeners that speak TLS: see [`Listen::tls`]. ALPN
    /// decides between HTTP/2 and HTTP/1.1.
    pub tls: Option<Tls>,
    /// The networks whose connections begin with a PROXY protocol header, v1 or v2. Connections
    /// from other addresses have none.
    pub proxy_protocol_from: Vec<Network>,
}

/// The way in which connections are spread over threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EventLoop {
    /// A single-threaded runtime for each core, with a listening socket and a service of its own.
    /// Nothing on the hot path is shared.
    #[default]
    PerCore,
    /// tokio's work-stealing runtime, for handlers that compute for long.
    Shared,
}

/// Limits of HTTP/2.
#[derive(Clone, Debug)]
pub struct Http2 {
    /// Streams at once on a connection.
    pub max_streams: u32,
    /// Streams that the client has reset and the server has not yet released; beyond it the
    /// connection is closed. This limit and the next bound the *rapid reset* attack.
    pub max_pending_resets: usize,
    /// Streams that the server has reset because the client broke the rules; beyond it the
    /// connection is closed.
    pub max_local_resets: usize,
    /// Frames per second that carry no request and no data (PING, SETTINGS, RST_STREAM, PRIORITY,
    /// empty DATA, …), on average over ten seconds; beyond it the connection is closed.
    pub max_control_rate: u32,
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![Addr::Tcp(([127, 0, 0, 1], 8080).into()).into()],
            event_loop: EventLoop::default(),
            workers: 0,
            pin: false,
            backlog: 4096,
            reuse_port: false,
            handover: None,
            user: None,
            keep_alive: Duration::from_secs(75),
            tcp_keepalive: Some(Duration::from_secs(60)),
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
    /// The smallest allowed [`max_head`](Self::max_head).
    pub const MIN_HEAD: u64 = 8192;

    /// The number of loops or threads.
    pub(crate) fn worker_count(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, Into::into),
            workers => workers,
        }
    }

    /// Returns an error if a setting is invalid, or contradicts another.
    pub(crate) fn check(&self) -> Result<(), BindError> {
        if (self.max_head as u64) < Self::MIN_HEAD {
            return Err(BindError::Config("max_head must be at least 8192 bytes"));
        }
        for listen in &self.listen {
            listen.check().map_err(BindError::Config)?;
            if listen.tls == Some(true) && self.tls.is_none() {
                return Err(BindError::Config("a listener has tls = true; it needs a certificate and a key"));
            }
        }
        Ok(())
    }

    /// Returns `true` if the TCP connections of a listener speak TLS.
    pub(crate) fn speaks_tls(&self, listen: &Listen) -> bool {
        let by_default = || self.tls.is_some() && self.listen.iter().all(|listen| listen.tls != Some(true));
        listen.tls.unwrap_or_else(by_default)
    }
}

impl Default for Http2 {
    fn default() -> Self {
        Self { max_streams: 128, max_pending_resets: 20, max_local_resets: 256, max_control_rate: 500 }
    }
}
