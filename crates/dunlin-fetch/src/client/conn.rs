//! A connection that is driven by whoever uses it.
//!
//! No task stands behind a connection: the future that waits for an answer, and then the body that
//! is read, poll it themselves. So a request costs no switches between tasks, and a dropped one
//! takes its connection along.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as _, Frame};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::alarm::Alarm;
use super::outgoing::{Outgoing, Upload};
use super::relay::Relay;
use super::send::MAX_INTERIM;
use crate::Config;

/// What drives a connection: it ends when the connection does.
pub(crate) type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// A connection on which one request after the other is sent.
pub(crate) struct Conn {
    sender: SendRequest<Outgoing>,
    /// `None` once the connection has ended, or when another task drives it.
    driver: Option<Driver>,
    relay: Relay,
    answered: Arc<AtomicBool>,
    pub(crate) alarm: Alarm,
    pub(crate) opened: Instant,
    /// How long it may be kept unused.
    pub(crate) idle: Duration,
    /// Whether a request was answered on it before.
    pub(crate) reused: bool,
}

/// Why a request had no answer.
pub(crate) enum Failure {
    /// Nothing of it was sent.
    Unsent(Box<Request<Outgoing>>),
    /// It was sent, perhaps in part, and the connection ended before the first byte of an answer.
    Unanswered(hyper::Error),
    /// The answer is broken.
    Broken(hyper::Error),
    /// The answer took too long.
    Timeout,
    /// The upstream sends interim responses without end.
    TooManyInterim,
}

/// How long to wait.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    /// For the head of an answer.
    pub(crate) head: Duration,
    /// For `100 Continue`, before the body is sent all the same.
    pub(crate) gate: Option<Duration>,
}

// === impl Conn ===

impl Conn {
    pub(crate) async fn open<T>(io: T, config: &Config) -> hyper::Result<Self>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let answered = Arc::new(AtomicBool::new(false));
        let io = TokioIo::new(Tap { io, answered: answered.clone(), is_closed_for_writes: false });
        let mut builder = Builder::new();
        if config.max_fields != Config::default().max_fields {
            // The default number has its place on the stack.
            builder.max_headers(config.max_fields);
        }
        let (sender, connection) = builder
            .max_header_size(config.max_head)
            // RFC 9112 §5.1, §5.2: a gateway may mend both instead of answering 502, as browsers
            // do.
            .allow_spaces_after_header_name_in_responses(true)
            .allow_obsolete_multiline_headers_in_responses(true)
            .handshake(io)
            .await?;
        let driver: Driver = Box::pin(connection.with_upgrades());
        let opened = Instant::now();
        let (relay, alarm) = (Relay::new(), Alarm::new());
        Ok(Self { sender, driver: Some(driver), relay, answered, alarm, opened, idle: Duration::MAX, reused: false })
    }

    /// Sends a request and waits for the head of its answer.
    pub(crate) async fn exchange(
        &mut self,
        request: Request<Outgoing>,
        upload: Option<&Upload>,
        patience: Patience,
        interim: &AtomicU32,
    ) -> Result<Response<Incoming>, Failure> {
        self.answered.store(false, Ordering::Relaxed);
        let start = Instant::now();
        let mut gate = patience.gate.filter(|_| upload.is_some()).map(|wait| start + wait);
        let mut answer = pin!(self.sender.try_send_request(request));
        let (driver, relay, alarm) = (&mut self.driver, &self.relay, &mut self.alarm);
        let outcome = std::future::poll_fn(|cx| {
            let polled = relay.poll(cx, true, |cx| drive(driver, cx), |cx| answer.as_mut().poll(cx));
            if interim.load(Ordering::Relaxed) > MAX_INTERIM {
                return Poll::Ready(Err(Failure::TooManyInterim));
            }
            if let Poll::Ready(outcome) = polled {
                return Poll::Ready(Ok(outcome));
            }
            if let (Some(until), Some(upload)) = (gate, upload) {
                if alarm.poll(until, cx).is_pending() {
                    return Poll::Pending;
                }
                gate = None;
                upload.open();
            }
            let since = upload.map_or(Some(start), Upload::waiting_since);
            match since.map(|since| alarm.poll(since + patience.head, cx)) {
                Some(Poll::Ready(())) => Poll::Ready(Err(Failure::Timeout)),
                _ => Poll::Pending,
            }
        });
        match outcome.await {
            Err(failure) => Err(failure),
            Ok(Ok(response)) => Ok(response),
            Ok(Err(mut error)) => Err(match error.take_message() {
                Some(request) => Failure::Unsent(Box::new(request)),
                None if !self.answered.load(Ordering::Relaxed) => Failure::Unanswered(error.into_error()),
                None => Failure::Broken(error.into_error()),
            }),
        }
    }

    /// Waits for a part of an answer's body.
    pub(crate) fn poll_body(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let driver = &mut self.driver;
        self.relay.poll(cx, false, |cx| drive(driver, cx), |cx| Pin::new(&mut *body).poll_frame(cx))
    }

    /// Whether the next request can be sent. The task that had it until now hears no more of it.
    pub(crate) fn is_ready(&mut self) -> bool {
        let (driver, ready) = (&mut self.driver, self.sender.is_ready());
        self.relay.poll_alone(|cx| {
            if !ready {
                drive(driver, cx);
            }
        });
        self.driver.is_some() && self.sender.is_ready()
    }

    /// Gives the driver to the caller, who then sees to the rest. The connection is not used again.
    pub(crate) fn take_driver(&mut self) -> Option<Driver> {
        self.driver.take()
    }
}

fn drive(driver: &mut Option<Driver>, cx: &mut Context<'_>) {
    if let Some(polled) = driver.as_mut().map(|driver| driver.as_mut().poll(cx))
        && polled.is_ready()
    {
        // An error was told to whoever waits for the answer or its body, if there is anybody.
        *driver = None;
    }
}

/// Notes whether any byte came, and goes on reading when the peer takes no more.
///
/// RFC 9112 §9.5: a server may answer an upload early and close. What is written then fails, but
/// the answer may have arrived. So a failed write is not reported: nothing more is written, and the
/// read side ends the connection, with the answer or without.
struct Tap<T> {
    io: T,
    answered: Arc<AtomicBool>,
    /// `true` once a write has failed, because the peer has closed.
    is_closed_for_writes: bool,
}

impl<T> Tap<T> {
    /// Turns the failure of a write into a wait without end if the peer has closed.
    fn after_write<R>(&mut self, polled: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        match polled {
            Poll::Ready(Err(error)) if has_closed(&error) => {
                self.is_closed_for_writes = true;
                Poll::Pending
            }
            polled => polled,
        }
    }
}

fn has_closed(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset)
}

// === impl Tap ===

impl<T: AsyncRead + Unpin> AsyncRead for Tap<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.answered.store(true, Ordering::Relaxed);
        }
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Tap<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_closed_for_writes {
            return Poll::Pending;
        }
        let polled = Pin::new(&mut self.io).poll_write(cx, buf);
        self.after_write(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_closed_for_writes {
            return Poll::Pending;
        }
        let polled = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.after_write(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_closed_for_writes {
            return Poll::Ready(Ok(()));
        }
        let polled = Pin::new(&mut self.io).poll_flush(cx);
        self.after_write(polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_closed_for_writes {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
