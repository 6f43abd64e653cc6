//! One request to an origin and its response, with a retry.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use dunlin_http::Body;
use http::{Request, Response, StatusCode, Version};

use super::connection::{Connection, Driver, SendFailure, Timeouts};
use super::framing;
use super::http2::Http2Tunnel;
use super::options::{MAX_INTERIM, OnInterim, RequestOptions};
use super::origin::{Lease, Origin};
use super::pending::Pending;
use super::request_body::{RequestBody, Upload};
use super::response_body::{DrivenBy, ResponseBody};
use super::stats::Stats;
use crate::Error;

/// A response, and its connection if that changed to another protocol.
pub(crate) struct Received {
    pub(crate) response: Response<Body>,
    pub(crate) upgraded: Option<Upgraded>,
}

/// A connection that changed to another protocol.
pub(crate) struct Upgraded {
    pub(crate) io: UpgradedIo,
    /// Held as long as the tunnel.
    pub(crate) pending: Option<Pending>,
}

/// The connection of a tunnel. It does not count against the origin's limit, because a tunnel may
/// last for days.
pub(crate) enum UpgradedIo {
    /// The response has the socket as its `OnUpgrade`.
    Http1 {
        /// The future that hands the socket over, unless it has done so already.
        driver: Option<Driver>,
        connection: Option<Connection>,
    },
    /// A stream.
    Http2(Http2Tunnel),
}

/// A request that failed.
pub(crate) struct Failed {
    pub(crate) error: Error,
    pub(crate) fate: Fate,
}

/// The state of a request that failed.
pub(crate) enum Fate {
    /// Nothing of it was sent.
    Unsent(Box<Request<Body>>),
    /// A part of it was sent, and the connection ended before the first byte of a response.
    Unanswered,
    /// It may have been processed.
    Sent,
}

/// Makes a request once more.
pub(crate) type Rebuild<'a> = &'a (dyn Fn() -> Request<Body> + Sync);

// === impl Received ===

impl Received {
    /// The response to a request that did not ask for another protocol.
    pub(crate) fn not_upgraded(self) -> Result<Response<Body>, Error> {
        match self.upgraded {
            None => Ok(self.response),
            Some(_) => Err(Error::Protocol("101 (Switching Protocols) without a request for it".into())),
        }
    }
}

// === impl Upgraded ===

impl Upgraded {
    /// A tunnel over HTTP/2.
    pub(super) const fn http2(tunnel: Http2Tunnel, pending: Option<Pending>) -> Self {
        Self { io: UpgradedIo::Http2(tunnel), pending }
    }
}

// === impl Failed ===

impl Failed {
    pub(super) const fn sent(error: Error) -> Self {
        Self { error, fate: Fate::Sent }
    }

    fn unsent(error: Error, request: Request<RequestBody>) -> Self {
        Self { error, fate: Fate::Unsent(Box::new(request.map(RequestBody::into_body))) }
    }
}

// === impl Origin ===

impl Origin {
    /// Sends a request whose target and fields are final, except for the framing of the body.
    ///
    /// A retry uses `rebuild`, and without it a copy of the request. `on_interim` is called for
    /// interim responses.
    pub(crate) async fn send(
        self: &Arc<Self>,
        request: Request<Body>,
        options: RequestOptions,
        rebuild: Option<Rebuild<'_>>,
        on_interim: Option<&OnInterim>,
    ) -> Result<Received, Error> {
        Stats::count(&self.shared.stats.requests);
        match self.attempt(request, options, rebuild, on_interim, None).await {
            Ok(received) => {
                self.health.succeeded(&self.address);
                Ok(received)
            }
            Err(Failed { error, .. }) => {
                Stats::count(&self.shared.stats.failures);
                self.health.failed(&self.address, &error);
                Err(error)
            }
        }
    }

    /// As [`Origin::send`], without log lines and counters of the request. A failure returns the
    /// request if nothing of it was sent. `pending` is held until the response has ended.
    pub(crate) async fn attempt(
        self: &Arc<Self>,
        mut request: Request<Body>,
        options: RequestOptions,
        rebuild: Option<Rebuild<'_>>,
        on_interim: Option<&OnInterim>,
        pending: Option<Pending>,
    ) -> Result<Received, Failed> {
        if let Some(pool) = &self.http2 {
            // Boxed, so that the future of a request over HTTP/1.1 is no larger.
            return Box::pin(self.attempt_http2(pool, request, options, rebuild, on_interim, pending)).await;
        }
        framing::set_framing(&mut request);
        // RFC 9112 §9.3.1: only idempotent requests are retried, and only if nothing of them is
        // lost.
        let replayable = options.retry && request.method().is_idempotent() && request.body().is_empty();
        let (parts, body) = request.into_parts();
        let (body, upload) = RequestBody::new(body, options.expect_timeout.is_some());
        let mut request = Request::from_parts(parts, body);
        let interim = Arc::new(AtomicU32::new(0));
        let held = upload.as_ref().filter(|_| options.expect_timeout.is_some());
        on_informational(&mut request, held, on_interim, &interim);
        let timeouts = Timeouts { response: options.response_timeout, expect: options.expect_timeout };
        let mut fresh = false;
        loop {
            let mut lease = match self.lease(fresh).await {
                Ok(lease) => lease,
                Err(error) => return Err(Failed::unsent(error, request)),
            };
            let Some(connection) = &mut lease.connection else { return Err(Failed::sent(Error::Busy)) };
            let reused = connection.reused;
            let copied = (rebuild.is_none() && replayable && reused && !fresh).then(|| copy(&request));
            let failure = match connection.exchange(request, upload.as_deref(), timeouts, &interim).await {
                Ok(response) => return receive(lease, response, upload, options, pending).map_err(Failed::sent),
                Err(failure) => failure,
            };
            // No later request can use this connection, whatever the failure is.
            lease.connection = None;
            drop(lease);
            if let Some(error) = upload.as_ref().and_then(|upload| upload.take_error()) {
                return Err(Failed::sent(Error::RequestBody(error)));
            }
            request = match failure {
                SendFailure::Unsent(request) if reused => *request,
                SendFailure::Unanswered(_) if reused && replayable => {
                    Stats::count(&self.shared.stats.retries);
                    fresh = true;
                    let mut request = copied.or_else(|| rebuild.map(remake)).ok_or(Failed::sent(Error::Busy))?;
                    on_informational(&mut request, None, on_interim, &interim);
                    request
                }
                SendFailure::TooManyInterim => {
                    return Err(Failed::sent(Error::Protocol("too many interim responses".into())));
                }
                SendFailure::Unsent(request) => {
                    return Err(Failed::unsent(Error::Protocol("closed before the request".into()), *request));
                }
                SendFailure::Unanswered(error) => {
                    return Err(Failed { error: Error::Protocol(error.into()), fate: Fate::Unanswered });
                }
                SendFailure::Invalid(error) => return Err(Failed::sent(Error::Protocol(error.into()))),
                SendFailure::Timeout => return Err(Failed::sent(Error::Timeout(options.response_timeout))),
            };
        }
    }
}

/// Passes interim responses on: 100 (Continue) to the `held` body, others to `on_interim`.
fn on_informational(
    request: &mut Request<RequestBody>,
    held: Option<&Arc<Upload>>,
    on_interim: Option<&OnInterim>,
    interim: &Arc<AtomicU32>,
) {
    if held.is_none() && on_interim.is_none() {
        return;
    }
    let (held, on_interim, interim) = (held.cloned(), on_interim.cloned(), interim.clone());
    hyper::ext::on_informational(request, move |response| {
        if interim.fetch_add(1, Ordering::Relaxed) >= MAX_INTERIM {
            return;
        }
        if response.status() == StatusCode::CONTINUE {
            held.iter().for_each(|upload| upload.start());
        } else if let Some(on_interim) = &on_interim {
            on_interim(response.status(), response.headers());
        }
    });
}

/// Copies a request that has no body.
fn copy(request: &Request<RequestBody>) -> Request<RequestBody> {
    let (body, _) = RequestBody::new(Body::empty(), false);
    let mut copy = Request::new(body);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

/// Calls `rebuild` and sets the framing.
fn remake(rebuild: Rebuild<'_>) -> Request<RequestBody> {
    let mut request = rebuild();
    framing::set_framing(&mut request);
    request.map(|body| RequestBody::new(body, false).0)
}

/// Makes the response of a head that has arrived. Its body drives the connection from here on.
fn receive(
    mut lease: Lease,
    response: Response<hyper::body::Incoming>,
    upload: Option<Arc<Upload>>,
    options: RequestOptions,
    pending: Option<Pending>,
) -> Result<Received, Error> {
    let (mut parts, body) = response.into_parts();
    framing::check_response(&parts.headers).map_err(|error| Error::Protocol(error.into()))?;
    parts.version = Version::HTTP_11;
    let Some(connection) = &mut lease.connection else { return Err(Error::Busy) };
    if let Some(timeout) = framing::keep_alive_timeout(&parts.headers) {
        connection.idle_timeout = timeout;
    }
    if parts.status == StatusCode::SWITCHING_PROTOCOLS {
        let driver = connection.take_driver();
        let io = UpgradedIo::Http1 { driver, connection: lease.connection.take() };
        let upgraded = Some(Upgraded { io, pending });
        return Ok(Received { response: Response::from_parts(parts, Body::empty()), upgraded });
    }
    let driven_by = match upload {
        Some(upload) if !upload.is_done() => match connection.take_driver() {
            Some(driver) => {
                let task = tokio::spawn(async { drop(driver.await) }).abort_handle();
                DrivenBy::Task { _lease: lease, task }
            }
            None => DrivenBy::Done,
        },
        _ => DrivenBy::Body(lease),
    };
    let body = Body::new(ResponseBody::new(body, driven_by, options.read_timeout, pending));
    Ok(Received { response: Response::from_parts(parts, body), upgraded: None })
}
