//! [`QueryService`]: a declared query as an HTTP service.

mod accept;
mod arguments;
mod bound;
mod content;

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use dunlin_http::conditional::{ETag, Outcome, Validators};
use dunlin_http::{
    Body, BoxError, ClientInfo, Context as HandlerContext, Handler, PathParams, Problem, ReplyFuture, ResponseFuture,
};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH, VARY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use tower_service::Service;
use xxhash_rust::xxh3::xxh3_128;

use self::arguments::{Facts, Params};
pub use self::bound::BoundQuery;
pub use self::content::MEDIA_TYPES;
use self::content::Wants;
use crate::declared::Declared;
use crate::error::{Error, ErrorKind};
use crate::json::Format;
use crate::pool::{Answer, Pool};
use crate::query::{Access, Place, Rows, Source};

/// The default limit of a body, in bytes.
const MAX_BODY: usize = 1024 * 1024;

/// Answers HTTP requests with a declared query. Parameters come from the path
/// ([`PathParams`](dunlin_http::PathParams) in the request's extensions), the query string, the
/// head, the body, and the client's [`Identity`](dunlin_http::Identity) and address. Errors are
/// problem documents.
///
/// axum has path parameters of its own; `examples/axum.rs` turns them into
/// [`PathParams`](dunlin_http::PathParams).
///
/// A complete answer to a read has an `ETag` from its content, and `If-None-Match` is evaluated. An
/// answer that depends on a claim, on the client's address or on the request's identifier is
/// `Cache-Control: private`.
#[derive(Clone)]
pub struct QueryService(Arc<Inner>);

/// It has a reference count for each event loop, so that loops do not contend for the query's.
#[derive(Clone)]
struct Inner {
    pool: Pool,
    query: Arc<Declared>,
    max_body: usize,
    /// The parts of the body that parameters are.
    wants: Wants,
    /// The fields that choose the answer (RFC 9110 §12.5.5).
    vary: Option<HeaderValue>,
    /// `true` if the answer is for one client.
    is_private: bool,
    /// `true` if a parameter is a claim.
    reads_claims: bool,
}

/// The future of a [`QueryService`].
pub type AnswerFuture = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// The facts about a request that the answer depends on, besides the parameters.
struct RequestInfo {
    format: Format,
    /// GET or HEAD.
    reads: bool,
    /// The method and the fields, if there is a condition.
    conditions: Option<Box<(Method, HeaderMap)>>,
}

// === impl QueryService ===

impl QueryService {
    /// Makes a service of the query on the pool of this event loop.
    #[must_use]
    pub fn new(pool: Pool, query: Arc<Declared>) -> Self {
        let vary = vary(&query);
        let reads = |places: &[Place]| query.sources().iter().any(|source| places.contains(&source.place()));
        let is_private = reads(&[Place::Claim, Place::ClientIp, Place::RequestId]);
        let reads_claims = reads(&[Place::Claim]);
        let wants = arguments::wants(&query);
        Self(Arc::new(Inner { pool, query, max_body: MAX_BODY, wants, vary, is_private, reads_claims }))
    }

    /// Sets the limit of a body, in bytes. It is 1 MiB by default. A larger body is 413.
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> Self {
        Arc::make_mut(&mut self.0).max_body = bytes;
        self
    }

    /// Answers a request with these path parameters. The [`Service`] takes them from the request's
    /// extensions instead.
    pub fn answer(&self, request: Request<Body>, path: &PathParams) -> AnswerFuture {
        let extensions = request.extensions();
        let identity = self.0.reads_claims.then(|| extensions.get().cloned()).flatten();
        let ip = extensions.get::<ClientInfo>().and_then(|client| client.ip);
        Box::pin(ResponseFuture::new(self.reply(request, path, Facts { identity, ip })))
    }

    fn reply(&self, request: Request<Body>, path: &PathParams, facts: Facts) -> ReplyFuture {
        let this = self.0.clone();
        // The rare case has a future of its own, so that the future of a read stays small.
        if this.wants.fields || this.wants.whole {
            let path = path.clone();
            return ReplyFuture::response(async move {
                let (parts, body) = request.into_parts();
                let params = match content::Body::read(body, &parts.headers, this.max_body, this.wants).await {
                    Ok(body) => {
                        let (uri, headers) = (&parts.uri, &parts.headers);
                        let parts = arguments::Parts { uri, path: &path, headers, facts: &facts, body: &body };
                        arguments::of(&this.query, &parts, this.wants.fields)
                    }
                    Err(error) => Err(error),
                };
                let info = RequestInfo::of(&this.query, parts.method, parts.headers);
                this.respond(params, info).await
            });
        }
        let (parts, body) = request.into_parts();
        drop(body);
        let (uri, headers) = (&parts.uri, &parts.headers);
        let given = arguments::Parts { uri, path, headers, facts: &facts, body: &content::Body::absent() };
        let params = arguments::of(&this.query, &given, false);
        let info = RequestInfo::of(&this.query, parts.method, parts.headers);
        ReplyFuture::response(this.respond(params, info))
    }
}

// === impl Inner ===

impl Inner {
    async fn respond(self: Arc<Self>, params: Result<Params, Error>, info: RequestInfo) -> Response<Body> {
        if self.refuses(&info) {
            return precondition_failed();
        }
        let answer = match params {
            Ok(params) => self.pool.run(&self.query, &params, info.format).await,
            Err(error) => Err(error),
        };
        let mut response = self.response(answer, info);
        if self.is_private {
            // RFC 9111 §5.2.2.7: no shared cache may store it.
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private"));
        }
        response
    }

    #[inline]
    fn response(&self, answer: Result<Answer, Error>, info: RequestInfo) -> Response<Body> {
        match answer {
            Ok(Answer::Rows(bytes)) => self.whole(bytes, info),
            // A stream has no validator, so If-Match cannot hold.
            Ok(Answer::Stream(_)) if info.has(&IF_MATCH) => precondition_failed(),
            Ok(Answer::Stream(body)) => self.with_type(Response::new(body), info.format),
            Ok(Answer::Changed(count)) if count > 0 || self.query.rows == Rows::Many => {
                let mut response = Response::new(Body::empty());
                // RFC 9110 §15.3.5: success without content.
                let plain = self.query.status == StatusCode::OK;
                *response.status_mut() = if plain { StatusCode::NO_CONTENT } else { self.query.status };
                response
            }
            Ok(Answer::None | Answer::Changed(_)) if self.query.skips_conflicts => {
                Problem::new(StatusCode::CONFLICT).detail("a row like this exists already").into_response()
            }
            Ok(Answer::None | Answer::Changed(_)) => {
                Problem::new(StatusCode::NOT_FOUND).detail("there is no such row").into_response()
            }
            Err(error) => {
                self.log(&error);
                error.problem().into_response()
            }
        }
    }

    /// Returns `true` for a write with a condition about the current state, which is unknown here.
    /// RFC 9110 §13.1.1: the method must not be performed unless the condition holds.
    fn refuses(&self, info: &RequestInfo) -> bool {
        let writes = self.query.access == Access::Write || !info.reads;
        writes && (info.has(&IF_MATCH) || info.has(&IF_NONE_MATCH))
    }

    fn whole(&self, bytes: Bytes, info: RequestInfo) -> Response<Body> {
        // RFC 9110 §8.8.3: the answer of a write is no representation that a later request gets.
        if self.query.access == Access::Write || !info.reads {
            return self.with_type(Response::new(Body::from(bytes)), info.format);
        }
        let etag = etag(&bytes);
        let outcome = info.conditions.map_or(Outcome::Proceed, |info| evaluate(&etag, &info.0, &info.1));
        if outcome == Outcome::Failed {
            return precondition_failed();
        }
        let mut response = if outcome == Outcome::NotModified {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            self.vary(response.headers_mut());
            response
        } else {
            self.with_type(Response::new(Body::from(bytes)), info.format)
        };
        response.headers_mut().insert(ETAG, etag);
        response
    }

    fn with_type(&self, mut response: Response<Body>, format: Format) -> Response<Body> {
        *response.status_mut() = self.query.status;
        response.headers_mut().insert(CONTENT_TYPE, content_type(format));
        response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        self.vary(response.headers_mut());
        response
    }

    fn vary(&self, headers: &mut HeaderMap) {
        if let Some(vary) = &self.vary {
            headers.insert(VARY, vary.clone());
        }
    }

    fn log(&self, error: &Error) {
        let query = self.query.name.as_str();
        match error.kind() {
            ErrorKind::Internal => tracing::error!(query, %error, "a query failed"),
            ErrorKind::Timeout => tracing::warn!(query, %error, "a query took too long"),
            // An outage has a line of its own, which one line per request would hide.
            _ => tracing::debug!(query, %error, "a query was refused"),
        }
    }
}

impl Handler<HandlerContext> for QueryService {
    type Error = Infallible;
    type Future = ReplyFuture;

    fn handle(&self, request: Request<Body>, context: &HandlerContext) -> ReplyFuture {
        let identity = context.identity.as_ref().filter(|_| self.0.reads_claims).cloned();
        self.reply(request, &context.params, Facts { identity, ip: context.client.ip })
    }
}

impl<B> Service<Request<B>> for QueryService
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = AnswerFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> AnswerFuture {
        let mut request = request.map(Body::new);
        let path = request.extensions_mut().remove::<PathParams>().unwrap_or_default();
        self.answer(request, &path)
    }
}

impl fmt::Debug for QueryService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryService").field("query", &self.0.query).finish_non_exhaustive()
    }
}

// === impl RequestInfo ===

impl RequestInfo {
    /// Returns `true` if the request has this condition.
    fn has(&self, name: &HeaderName) -> bool {
        self.conditions.as_ref().is_some_and(|conditions| conditions.1.contains_key(name))
    }

    fn of(query: &Declared, method: Method, headers: HeaderMap) -> Self {
        let format = match query.rows {
            Rows::One => Format::Json,
            Rows::Many => accept::choose(query.formats, &headers),
        };
        let reads = matches!(method, Method::GET | Method::HEAD);
        let conditions = Validators::has_preconditions(&headers).then(|| Box::new((method, headers)));
        Self { format, reads, conditions }
    }
}

/// The fields that choose the answer: `Accept` the format, and those that are parameters.
fn vary(query: &Declared) -> Option<HeaderValue> {
    let chosen = query.rows == Rows::Many && query.formats != Default::default();
    let headers = query.sources().iter().filter(|source| source.place() == Place::Header).map(Source::key);
    let cookies = query.sources().iter().any(|source| source.place() == Place::Cookie).then_some("cookie");
    let names: Vec<&str> = chosen.then_some("accept").into_iter().chain(headers).chain(cookies).collect();
    if names.is_empty() { None } else { HeaderValue::from_str(&names.join(", ")).ok() }
}

/// The media type of a format. The values are checked at compile time.
fn content_type(format: Format) -> HeaderValue {
    const JSON: HeaderValue = HeaderValue::from_static(Format::Json.content_type());
    const CSV: HeaderValue = HeaderValue::from_static(Format::Csv.content_type());
    const NDJSON: HeaderValue = HeaderValue::from_static(Format::Ndjson.content_type());
    match format {
        Format::Json => JSON,
        Format::Csv => CSV,
        Format::Ndjson => NDJSON,
    }
}

/// A strong tag: 128 bits of the content's XXH3, which is the same in every instance. It does not
/// have to withstand attacks: a client that makes two answers with one tag only hides a change of
/// its own rows.
fn etag(bytes: &[u8]) -> HeaderValue {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let digest = xxh3_128(bytes).to_be_bytes();
    let mut text = [b'"'; 34];
    for (pair, byte) in text[1..33].chunks_exact_mut(2).zip(digest) {
        pair[0] = HEX[usize::from(byte >> 4)];
        pair[1] = HEX[usize::from(byte & 15)];
    }
    HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

fn evaluate(etag: &HeaderValue, method: &Method, headers: &HeaderMap) -> Outcome {
    let etag = etag.to_str().ok().and_then(ETag::parse);
    Validators { etag, last_modified: None }.evaluate(method, headers)
}

fn precondition_failed() -> Response<Body> {
    Problem::new(StatusCode::PRECONDITION_FAILED).into_response()
}
