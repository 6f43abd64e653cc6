//! One request and its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use dunlin_http::Body;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version};

use super::Stats;
use super::conn::{Conn, Driver, Failure, Patience};
use super::incoming::{Drive, Incoming};
use super::origin::{Lease, Origin};
use super::outgoing::{Outgoing, Upload};
use crate::FetchError;

/// What may differ from one request to the next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) response_timeout: Duration,
    pub(crate) read_timeout: Duration,
    /// How long to wait for `100 Continue` before the body is sent.
    pub(crate) expect: Option<Duration>,
    pub(crate) retry: bool,
}

/// Hears of interim responses (RFC 9110 §15.2) other than 100.
pub(crate) type Hear = Arc<dyn Fn(StatusCode, &HeaderMap) + Send + Sync>;

/// An answer, and the connection if it was upgraded.
pub(crate) struct Answer {
    pub(crate) response: Response<Body>,
    pub(crate) upgraded: Option<Upgraded>,
}

/// A connection that another protocol takes over.
pub(crate) struct Upgraded {
    /// The future that hands it over, unless it has done so already.
    pub(crate) driver: Option<Driver>,
    /// The connection. It no longer counts against the origin's limit, because a tunnel may last
    /// for days and would take a place from requests.
    _conn: Option<Conn>,
}

// === impl Origin ===

impl Origin {
    /// Sends a request whose target and fields are as they shall be, but for the framing of the
    /// body. `again` makes the same request once more; without it, a request that may be sent again
    /// is copied. `hear` is told of interim responses.
    pub(super) async fn exchange(
        self: &Arc<Self>,
        mut request: Request<Body>,
        terms: Terms,
        again: Option<&(dyn Fn() -> Request<Body> + Sync)>,
        hear: Option<&Hear>,
    ) -> Result<Answer, FetchError> {
        Stats::count(&self.shared.stats.requests);
        frame(&mut request);
        // RFC 9112 §9.3.1: only idempotent requests are sent again, and only if nothing of them is
        // lost.
        let replayable = terms.retry && request.method().is_idempotent() && request.body().is_empty();
        let (parts, body) = request.into_parts();
        let (body, upload) = Outgoing::new(body, terms.expect.is_some());
        let mut request = Request::from_parts(parts, body);
        let interim = Arc::new(AtomicU32::new(0));
        listen(&mut request, upload.as_ref().filter(|_| terms.expect.is_some()), hear, &interim);
        let patience = Patience { head: terms.response_timeout, gate: terms.expect };
        let mut fresh = false;
        loop {
            let mut lease = self.lease(fresh).await?;
            let Some(conn) = &mut lease.conn else { return Err(FetchError::Busy) };
            let reused = conn.reused;
            let copied = (again.is_none() && replayable && reused && !fresh).then(|| copy(&request));
            let failure = match conn.exchange(request, upload.as_deref(), patience, &interim).await {
                Ok(response) => return answer(lease, response, upload, terms),
                Err(failure) => failure,
            };
            // Whatever happened, nothing more can come of this connection.
            lease.conn = None;
            drop(lease);
            if let Some(error) = upload.as_ref().and_then(|upload| upload.take_error()) {
                return Err(FetchError::RequestBody(error));
            }
            request = match failure {
                Failure::Unsent(request) if reused => *request,
                Failure::Unanswered(_) if reused && replayable => {
                    Stats::count(&self.shared.stats.retries);
                    fresh = true;
                    let mut request = copied.or_else(|| again.map(remake)).ok_or(FetchError::Busy)?;
                    listen(&mut request, None, hear, &interim);
                    request
                }
                Failure::TooManyInterim => return Err(FetchError::Protocol("too many interim responses".into())),
                Failure::Unsent(_) => return Err(FetchError::Protocol("closed before the request".into())),
                Failure::Unanswered(error) | Failure::Broken(error) => return Err(FetchError::Protocol(error.into())),
                Failure::Timeout => return Err(FetchError::Timeout(terms.response_timeout)),
            };
        }
    }
}

/// The number of interim responses to one request. One more, and the answer is taken to be broken.
pub(super) const MAX_INTERIM: u32 = 32;

/// Has the connection tell of interim responses: 100 to the `upload` that waits for it, others to
/// `hear`.
fn listen(
    request: &mut Request<Outgoing>,
    upload: Option<&Arc<Upload>>,
    hear: Option<&Hear>,
    interim: &Arc<AtomicU32>,
) {
    if upload.is_none() && hear.is_none() {
        return;
    }
    let (upload, hear, interim) = (upload.cloned(), hear.cloned(), interim.clone());
    hyper::ext::on_informational(request, move |response| {
        if interim.fetch_add(1, Ordering::Relaxed) >= MAX_INTERIM {
            return;
        }
        if response.status() == StatusCode::CONTINUE {
            upload.iter().for_each(|upload| upload.open());
        } else if let Some(hear) = &hear {
            hear(response.status(), response.headers());
        }
    });
}

/// A request like `request`, which has no body.
fn copy(request: &Request<Outgoing>) -> Request<Outgoing> {
    let (body, _) = Outgoing::new(Body::empty(), false);
    let mut copy = Request::new(body);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

/// The request that `again` makes, as it is sent.
fn remake(again: &(dyn Fn() -> Request<Body> + Sync)) -> Request<Outgoing> {
    let mut request = again();
    frame(&mut request);
    request.map(|body| Outgoing::new(body, false).0)
}

/// Sets the framing of the body by what the body is, whatever the fields say: a difference between
/// the two would let one request end where another begins.
fn frame(request: &mut Request<Body>) {
    *request.version_mut() = Version::HTTP_11;
    let len = request.body().len();
    let headers = request.headers_mut();
    headers.remove(TRANSFER_ENCODING);
    match len {
        Some(0) if !headers.contains_key(CONTENT_LENGTH) => {}
        Some(len) => drop(headers.insert(CONTENT_LENGTH, len.into())),
        None => {
            headers.remove(CONTENT_LENGTH);
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
    }
}

fn answer(
    mut lease: Lease,
    response: Response<hyper::body::Incoming>,
    upload: Option<Arc<Upload>>,
    terms: Terms,
) -> Result<Answer, FetchError> {
    let (mut parts, body) = response.into_parts();
    check_framing(&parts).map_err(|error| FetchError::Protocol(error.into()))?;
    parts.version = Version::HTTP_11;
    let Some(conn) = &mut lease.conn else { return Err(FetchError::Busy) };
    if let Some(seconds) = parts.headers.get(&KEEP_ALIVE).and_then(announced) {
        // A second less: what is announced is counted from when the answer was sent.
        conn.idle = Duration::from_secs(seconds.saturating_sub(1));
    }
    if parts.status == StatusCode::SWITCHING_PROTOCOLS {
        let driver = conn.take_driver();
        let upgraded = Some(Upgraded { driver, _conn: lease.conn.take() });
        return Ok(Answer { response: Response::from_parts(parts, Body::empty()), upgraded });
    }
    let drive = match upload {
        Some(upload) if !upload.is_done() => match conn.take_driver() {
            Some(driver) => {
                let task = tokio::spawn(async { drop(driver.await) }).abort_handle();
                Drive::Task { _lease: lease, task }
            }
            None => Drive::Done,
        },
        _ => Drive::Body(lease),
    };
    let body = Body::new(Incoming::new(body, drive, terms.read_timeout));
    Ok(Answer { response: Response::from_parts(parts, body), upgraded: None })
}

/// `Keep-Alive: timeout=5`, as RFC 2068 §19.7.1.1 had it and servers still send it.
static KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

fn announced(value: &HeaderValue) -> Option<u64> {
    dunlin_http::list::split(value.to_str().ok()?).find_map(|part| part.strip_prefix("timeout=")?.trim().parse().ok())
}

/// Refuses an answer that two readers could take to end in two places (RFC 9112 §6.3).
fn check_framing(parts: &http::response::Parts) -> Result<(), &'static str> {
    let mut lines = parts.headers.get_all(TRANSFER_ENCODING).iter();
    let Some(first) = lines.next() else { return Ok(()) };
    if parts.headers.contains_key(CONTENT_LENGTH) {
        return Err("both Transfer-Encoding and Content-Length");
    }
    let known = first.as_bytes().eq_ignore_ascii_case(b"chunked");
    if lines.next().is_some() || !(known || is_unheard_of(first)) {
        return Err("a transfer coding other than chunked");
    }
    Ok(())
}

/// Whether this is a name that no transfer coding has, nor any reader could take for `chunked`: it
/// says nothing of the content, which then ends with the connection (RFC 9112 §6.3). A coding that
/// there is would have to be undone.
fn is_unheard_of(coding: &HeaderValue) -> bool {
    const CODINGS: [&str; 8] = ["chunked", "gzip", "deflate", "compress", "identity", "trailers", "br", "zstd"];
    let Ok(name) = coding.to_str() else { return false };
    let name = name.to_ascii_lowercase();
    dunlin_http::list::is_token(&name) && !CODINGS.iter().any(|coding| name.contains(coding))
}
