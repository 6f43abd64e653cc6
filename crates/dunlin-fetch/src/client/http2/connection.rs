//! [`Http2Connection`]: a connection that carries many requests at once.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use dunlin_http::BoxError;
use h2::Ping;
use h2::client::{Builder, SendRequest};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::Instant;

use crate::Config;
use crate::client::io::OriginIo;

/// The limit of bytes that a response may have on its way, ahead of its reader.
const STREAM_WINDOW: u32 = 256 * 1024;
/// The limit of bytes that all responses of a connection may have on their way: that of each one.
/// With less, some slow readers would stop the others.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * MAX_STREAMS as u32;
/// The limit of streams on one connection. The origin may allow fewer.
const MAX_STREAMS: usize = 128;
/// The shortest pause between two looks at an idle connection.
const MIN_PAUSE: Duration = Duration::from_millis(100);

/// The future that moves a connection's bytes. It ends when the connection does.
type Driver = Pin<Box<dyn Future<Output = Result<(), h2::Error>> + Send>>;

/// A connection that has been opened, before its task starts.
pub(in crate::client) struct Opened {
    sender: SendRequest<Bytes>,
    driver: Driver,
    has_read: Arc<AtomicBool>,
}

/// A connection that carries many requests at once.
pub(super) struct Http2Connection {
    pub(super) sender: SendRequest<Bytes>,
    /// `true` if any byte has arrived since the last request.
    pub(super) has_read: Arc<AtomicBool>,
    /// `true` if it gets no further request.
    is_retired: AtomicBool,
    streams: AtomicUsize,
    opened: Instant,
    /// The age in milliseconds at which a stream last began or ended.
    last_used: AtomicU64,
    /// Wakes the task of a retired connection whose last stream has ended.
    unused: Notify,
}

/// A stream of a connection, from the request to the end of the response.
pub(super) struct Slot {
    pub(super) connection: Arc<Http2Connection>,
    /// `true` if the connection was not opened for this request.
    pub(super) reused: bool,
    permit: Option<OwnedSemaphorePermit>,
}

// === impl Opened ===

impl Opened {
    /// Opens a connection over `io`, and waits for the first answer of the peer.
    ///
    /// The wait costs one round trip. After it, the settings of the peer are known, and a peer that
    /// does not speak HTTP/2 has not received a request.
    pub(in crate::client) async fn open<T>(io: T, config: &Config) -> Result<Self, BoxError>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let has_read = Arc::new(AtomicBool::new(false));
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(u32::try_from(config.max_head).unwrap_or(u32::MAX));
        let (sender, mut connection) = builder.handshake(OriginIo::plain(io, has_read.clone())).await?;
        if let Some(mut ping_pong) = connection.ping_pong() {
            let mut pong = pin!(ping_pong.ping(Ping::opaque()));
            std::future::poll_fn(|cx| {
                if let Poll::Ready(ended) = Pin::new(&mut connection).poll(cx) {
                    return Poll::Ready(Err(match ended {
                        Ok(()) => io::Error::from(io::ErrorKind::UnexpectedEof).into(),
                        Err(error) => BoxError::from(error),
                    }));
                }
                pong.as_mut().poll(cx).map(|pong| pong.map(drop).map_err(BoxError::from))
            })
            .await?;
        }
        Ok(Self { sender, driver: Box::pin(connection), has_read })
    }
}

// === impl Http2Connection ===

impl Http2Connection {
    /// Starts the task of a connection. The task closes it once it is no longer used: `retire`
    /// decides, after it has been idle for `idle_timeout`.
    pub(super) fn start<F>(opened: Opened, idle_timeout: Duration, retire: F) -> Arc<Self>
    where
        F: Fn(&Arc<Self>) -> bool + Send + 'static,
    {
        let Opened { sender, mut driver, has_read } = opened;
        let connection = Arc::new(Self {
            sender,
            has_read,
            is_retired: AtomicBool::new(false),
            streams: AtomicUsize::new(0),
            opened: Instant::now(),
            last_used: AtomicU64::new(0),
            unused: Notify::new(),
        });
        let this = connection.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    ended = &mut driver => {
                        tracing::debug!(?ended, "an HTTP/2 connection to an upstream ended");
                        this.retire();
                        break;
                    }
                    () = this.unused.notified() => {}
                    () = tokio::time::sleep(idle_timeout.max(MIN_PAUSE)) => {}
                }
                if this.is_unused(idle_timeout) && retire(&this) {
                    break;
                }
            }
        });
        connection
    }

    /// Returns `true` if it can carry one more request.
    pub(super) fn has_room(&self, max_age: Duration) -> bool {
        let is_old = || self.opened.elapsed() >= max_age;
        let limit = || self.sender.current_max_send_streams().min(MAX_STREAMS);
        !self.is_retired() && self.streams.load(Ordering::Acquire) < limit() && !is_old()
    }

    /// Adds a stream. The caller holds the lock of the pool.
    pub(super) fn add(self: &Arc<Self>, permit: OwnedSemaphorePermit, reused: bool) -> Slot {
        self.streams.fetch_add(1, Ordering::AcqRel);
        self.touch();
        Slot { connection: self.clone(), reused, permit: Some(permit) }
    }

    /// Gives it no further request. It is closed when the last stream has ended.
    pub(super) fn retire(&self) {
        self.is_retired.store(true, Ordering::Release);
    }

    pub(super) fn is_retired(&self) -> bool {
        self.is_retired.load(Ordering::Acquire)
    }

    /// Returns `true` if it has no stream, and is retired or has had none for `idle_timeout`.
    pub(super) fn is_unused(&self, idle_timeout: Duration) -> bool {
        let idle = || {
            let last_used = Duration::from_millis(self.last_used.load(Ordering::Relaxed));
            self.opened.elapsed().saturating_sub(last_used) >= idle_timeout
        };
        self.streams.load(Ordering::Acquire) == 0 && (self.is_retired() || idle())
    }

    fn touch(&self) {
        self.last_used.store(self.opened.elapsed().as_millis() as u64, Ordering::Relaxed);
    }
}

// === impl Slot ===

impl Slot {
    /// Stops counting against the origin's limit, because a tunnel may last for days.
    pub(super) fn release_permit(&mut self) {
        self.permit = None;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.connection.touch();
        if self.connection.streams.fetch_sub(1, Ordering::AcqRel) == 1 && self.connection.is_retired() {
            self.connection.unused.notify_one();
        }
    }
}
