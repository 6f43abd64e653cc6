//! [`QueryService`]: a declared query as an HTTP service.

mod accept;
mod arguments;

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use dunlin_http::conditional::{ETag, Outcome, Validators};
use dunlin_http::{
    Body, BoxError, Context as HandlerContext, Handler, Identity, PathParams, Problem, ReplyFuture, ResponseFuture,
};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH, VARY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use tower_service::Service;
use xxhash_rust::xxh3::xxh3_128;

use self::arguments::Params;
use crate::database::Declared;
use crate::error::{Error, ErrorKind};
use crate::json::Format;
use crate::pool::{Answer, Pool};
use crate::query::{Access, Place, Rows, Source};

/// The most that a JSON body may have by default.
const MAX_BODY: usize = 1024 * 1024;

/// Answers HTTP requests with a declared query. It takes parameters from the path
/// ([`PathParams`](dunlin_http::PathParams) in the request's extensions), the query string and a
/// JSON body, and answers itself in every case: errors are problem documents.
///
/// Of axum's routes, whose parameters are its own, `examples/axum.rs` makes
/// [`PathParams`](dunlin_http::PathParams).
///
/// A complete answer to a read has an `ETag` from its content, and `If-None-Match` is 304.
#[derive(Clone)]
pub struct QueryService(Arc<Inner>);

/// Behind a count of the service's own: the query's is that of all event loops.
#[derive(Clone)]
struct Inner {
    pool: Pool,
    query: Arc<Declared>,
    max_body: usize,
    /// The fields that choose the answer (RFC 9110 §12.5.5).
    vary: Option<HeaderValue>,
    /// `true` if the answer depends on the client's identity.
    is_private: bool,
}

/// The answer of a [`QueryService`].
pub type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// What the answer depends on besides the parameters.
struct Asked {
    format: Format,
    /// GET or HEAD.
    reads: bool,
    /// Only where there are any.
    conditions: Option<Box<(Method, HeaderMap)>>,
}

// === impl QueryService ===

impl QueryService {
    /// The query on the pool of this event loop.
    #[must_use]
    pub fn new(pool: Pool, query: Arc<Declared>) -> Self {
        let vary = vary(&query);
        let is_private = query.sources().any(|source| source.place() == Place::Claim);
        Self(Arc::new(Inner { pool, query, max_body: MAX_BODY, vary, is_private }))
    }

    /// The most bytes that a JSON body may have; 1 MiB unless told. More is 413.
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> Self {
        Arc::make_mut(&mut self.0).max_body = bytes;
        self
    }

    /// Answers a request whose path's parameters the caller has in hand. As a [`Service`] it takes
    /// them from the request's extensions.
    pub fn answer(&self, request: Request<Body>, path: &PathParams) -> Answering {
        let identity = request.extensions().get::<Arc<Identity>>().cloned();
        Box::pin(ResponseFuture::new(self.reply(request, path, identity)))
    }

    fn reply(&self, request: Request<Body>, path: &PathParams, identity: Option<Arc<Identity>>) -> ReplyFuture {
        let this = self.0.clone();
        // What is rare is left out of the future of a read, which stays small so.
        if this.query.reads_body() {
            let path = path.clone();
            return ReplyFuture::response(async move {
                let (parts, body) = request.into_parts();
                let params = match arguments::read(body, this.max_body).await {
                    Ok(fields) => {
                        let (uri, headers, identity) = (&parts.uri, &parts.headers, identity.as_deref());
                        arguments::of(&this.query, arguments::Parts { uri, path: &path, headers, identity, fields })
                    }
                    Err(error) => Err(error),
                };
                this.respond(params, Asked::of(&this.query, parts.method, parts.headers)).await
            });
        }
        let (parts, body) = request.into_parts();
        drop(body);
        let (uri, headers, identity) = (&parts.uri, &parts.headers, identity.as_deref());
        let fields = arguments::Fields::new();
        let params = arguments::of(&this.query, arguments::Parts { uri, path, headers, identity, fields });
        let asked = Asked::of(&this.query, parts.method, parts.headers);
        ReplyFuture::response(async move { this.respond(params, asked).await })
    }
}

// === impl Inner ===

impl Inner {
    async fn respond(&self, params: Result<Params, Error>, asked: Asked) -> Response<Body> {
        let mut response = self.answer(params, asked).await;
        if self.is_private {
            // RFC 9111 §5.2.2.7: no shared cache may store it.
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private"));
        }
        response
    }

    async fn answer(&self, params: Result<Params, Error>, asked: Asked) -> Response<Body> {
        if self.refuses(&asked) {
            return precondition_failed();
        }
        let answer = match params {
            Ok(params) => self.pool.run(&self.query, &params, asked.format).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(Answer::Rows(bytes)) => self.whole(bytes, asked),
            // What streams has no validator, so If-Match cannot hold.
            Ok(Answer::Stream(_)) if asked.has(&IF_MATCH) => precondition_failed(),
            Ok(Answer::Stream(body)) => self.with_type(Response::new(body), asked.format),
            Ok(Answer::Changed(count)) if count > 0 || self.query.rows == Rows::Many => {
                let mut response = Response::new(Body::empty());
                // RFC 9110 §15.3.5: done, and there is nothing to send.
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

    /// Returns `true` for a write with a condition about what is there now, which this route does
    /// not know. RFC 9110 §13.1.1: the method must not be performed unless the condition holds.
    fn refuses(&self, asked: &Asked) -> bool {
        let writes = self.query.access == Access::Write || !asked.reads;
        writes && (asked.has(&IF_MATCH) || asked.has(&IF_NONE_MATCH))
    }

    fn whole(&self, bytes: Bytes, asked: Asked) -> Response<Body> {
        // RFC 9110 §8.8.3: what was written is no representation to be asked for again.
        if self.query.access == Access::Write || !asked.reads {
            return self.with_type(Response::new(Body::from(bytes)), asked.format);
        }
        let etag = etag(&bytes);
        let outcome = asked.conditions.map_or(Outcome::Proceed, |asked| evaluate(&etag, &asked.0, &asked.1));
        if outcome == Outcome::Failed {
            return precondition_failed();
        }
        let mut response = if outcome == Outcome::NotModified {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            self.vary(response.headers_mut());
            response
        } else {
            self.with_type(Response::new(Body::from(bytes)), asked.format)
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
            // One line for each request of an outage would drown the one that tells of it.
            _ => tracing::debug!(query, %error, "a query was refused"),
        }
    }
}

impl Handler<HandlerContext> for QueryService {
    type Error = Infallible;
    type Future = ReplyFuture;

    fn handle(&self, request: Request<Body>, context: &HandlerContext) -> ReplyFuture {
        self.reply(request, &context.params, context.identity.clone())
    }
}

impl<B> Service<Request<B>> for QueryService
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Answering {
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

// === impl Asked ===

impl Asked {
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
    let headers = query.sources().filter(|source| source.place() == Place::Header).map(Source::key);
    let names: Vec<&str> = chosen.then_some("accept").into_iter().chain(headers).collect();
    if names.is_empty() { None } else { HeaderValue::from_str(&names.join(", ")).ok() }
}

/// Checked when this is compiled, not for each answer.
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

/// A strong tag: 128 bits of the content's XXH3, which no two answers share by chance, and the same
/// for every instance. It need not withstand design: who could make two answers with one tag would
/// hide a change of their own rows from those who revalidate the first.
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
