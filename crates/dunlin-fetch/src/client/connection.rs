//! [`Connection`]: a connection that its user drives.
//!
//! A connection has no task. The future that waits for a response polls it, and then the body that
//! is read. So a request needs no switch between tasks, and a dropped request closes its
//! connection.

use std::future::Future;
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
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::io::OriginIo;
use super::options::MAX_INTERIM;
use super::relay::Relay;
use super::request_body::{RequestBody, Upload};
use super::timer::Timer;
use crate::Config;

/// The future that moves a connection's bytes. It ends when the connection does.
pub(crate) type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// A connection that carries one request after another.
pub(crate) struct Connection {
    sender: SendRequest<RequestBody>,
    /// `None` once the connection has ended, or when another task drives it.
    driver: Option<Driver>,
    relay: Relay,
    /// `true` if any byte of the current response has arrived.
    has_read: Arc<AtomicBool>,
    pub(crate) timer: Timer,
    pub(crate) opened: Instant,
    /// The time for which it may stay idle.
    pub(crate) idle_timeout: Duration,
    /// `true` if it has carried a response before.
    pub(crate) reused: bool,
}

/// The reason why a request got no response.
pub(crate) enum SendFailure {
    /// Nothing of the request was sent.
    Unsent(Box<Request<RequestBody>>),
    /// The connection ended before the first byte of a response, and after a part of the request.
    Unanswered(hyper::Error),
    /// The response is malformed or incomplete.
    Invalid(hyper::Error),
    /// The response took too long.
    Timeout,
    /// There were more than [`MAX_INTERIM`] interim responses.
    TooManyInterim,
}

/// The time limits of one request on a connection.
#[derive(Clone, Copy)]
pub(crate) struct Timeouts {
    /// For the head of the response.
    pub(crate) response: Duration,
    /// For 100 (Continue). When it has passed, the body is sent.
    pub(crate) expect: Option<Duration>,
}

// === impl Connection ===

impl Connection {
    /// Makes a connection of `io`. Nothing is sent yet.
    pub(crate) async fn open<T>(io: T, config: &Config) -> hyper::Result<Self>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let has_read = Arc::new(AtomicBool::new(false));
        let io = TokioIo::new(OriginIo::new(io, has_read.clone()));
        let mut builder = Builder::new();
        if config.max_fields != Config::default().max_fields {
            // hyper keeps the default number on the stack, and allocates for any other.
            builder.max_headers(config.max_fields);
        }
        let (sender, connection) = builder
            .max_header_size(config.max_head)
            // RFC 9112 §5.1, §5.2: a gateway may correct both instead of responding with 502, as
            // browsers do.
            .allow_spaces_after_header_name_in_responses(true)
            .allow_obsolete_multiline_headers_in_responses(true)
            .handshake(io)
            .await?;
        Ok(Self {
            sender,
            driver: Some(Box::pin(connection.with_upgrades())),
            relay: Relay::new(),
            has_read,
            timer: Timer::new(),
            opened: Instant::now(),
            idle_timeout: Duration::MAX,
            reused: false,
        })
    }

    /// Sends a request and waits for the head of its response.
    pub(crate) async fn exchange(
        &mut self,
        request: Request<RequestBody>,
        upload: Option<&Upload>,
        timeouts: Timeouts,
        interim: &AtomicU32,
    ) -> Result<Response<Incoming>, SendFailure> {
        self.has_read.store(false, Ordering::Relaxed);
        let start = Instant::now();
        let mut continue_by = timeouts.expect.filter(|_| upload.is_some()).map(|wait| start + wait);
        let mut response = pin!(self.sender.try_send_request(request));
        let (driver, relay, timer) = (&mut self.driver, &self.relay, &mut self.timer);
        let outcome = std::future::poll_fn(|cx| {
            let polled = relay.poll(cx, true, |cx| drive(driver, cx), |cx| response.as_mut().poll(cx));
            if interim.load(Ordering::Relaxed) > MAX_INTERIM {
                return Poll::Ready(Err(SendFailure::TooManyInterim));
            }
            if let Poll::Ready(outcome) = polled {
                return Poll::Ready(Ok(outcome));
            }
            if let (Some(deadline), Some(upload)) = (continue_by, upload) {
                if timer.poll(deadline, cx).is_pending() {
                    return Poll::Pending;
                }
                continue_by = None;
                upload.start();
            }
            let since = upload.map_or(Some(start), Upload::waiting_since);
            match since.map(|since| timer.poll(since + timeouts.response, cx)) {
                Some(Poll::Ready(())) => Poll::Ready(Err(SendFailure::Timeout)),
                _ => Poll::Pending,
            }
        });
        match outcome.await {
            Err(failure) => Err(failure),
            Ok(Ok(response)) => Ok(response),
            Ok(Err(mut error)) => Err(match error.take_message() {
                Some(request) => SendFailure::Unsent(Box::new(request)),
                None if !self.has_read.load(Ordering::Relaxed) => SendFailure::Unanswered(error.into_error()),
                None => SendFailure::Invalid(error.into_error()),
            }),
        }
    }

    /// Waits for the next frame of a response body.
    pub(crate) fn poll_body(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let driver = &mut self.driver;
        self.relay.poll(cx, false, |cx| drive(driver, cx), |cx| Pin::new(&mut *body).poll_frame(cx))
    }

    /// Returns `true` if it can carry the next request. It no longer wakes the task of the last
    /// one.
    pub(crate) fn is_ready(&mut self) -> bool {
        let (driver, ready) = (&mut self.driver, self.sender.is_ready());
        self.relay.poll_alone(|cx| {
            if !ready {
                drive(driver, cx);
            }
        });
        self.driver.is_some() && self.sender.is_ready()
    }

    /// Hands the driver to the caller, who polls it from then on. The connection carries no further
    /// request.
    pub(crate) fn take_driver(&mut self) -> Option<Driver> {
        self.driver.take()
    }
}

fn drive(driver: &mut Option<Driver>, cx: &mut Context<'_>) {
    if let Some(polled) = driver.as_mut().map(|driver| driver.as_mut().poll(cx))
        && polled.is_ready()
    {
        // hyper reports an error to the future of the response or to its body.
        *driver = None;
    }
}
