//! [`QueryService`]: a declared query as an HTTP service.

mod accept;
mod arguments;
mod bound;
mod content;
mod page;
mod precondition;
mod prefer;
mod request;
mod response;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use dunlin_http::{
    Body, BoxError, ClientInfo, Context as HandlerContext, Handler, PathParams, ReplyFuture, ResponseFuture,
};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use tower_service::Service;

use self::arguments::{Facts, Params};
pub use self::bound::BoundQuery;
pub use self::content::MEDIA_TYPES;
use self::content::Wants;
use self::page::Paging;
use self::request::RequestInfo;
use crate::declared::Declared;
use crate::error::Error;
use crate::json::Format;
use crate::pool::{Answer, Condition, Pool};
use crate::query::Place;

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
    /// The query of a GET of the same resource, which conditions of writes are about.
    representation: Option<Arc<Declared>>,
    /// `true` if a write without a condition is refused.
    requires_condition: bool,
    /// The media types of queries to the resource.
    accept_query: Option<HeaderValue>,
}

/// The future of a [`QueryService`].
pub type AnswerFuture = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

// === impl QueryService ===

impl QueryService {
    /// Makes a service of the query on the pool of this event loop.
    #[must_use]
    pub fn new(pool: Pool, query: Arc<Declared>) -> Self {
        let vary = response::vary(&query);
        let reads = |places: &[Place]| query.sources().iter().any(|source| places.contains(&source.place()));
        let is_private = reads(&[Place::Claim, Place::ClientIp, Place::RequestId]);
        let reads_claims = reads(&[Place::Claim]);
        let wants = arguments::wants(&query);
        Self(Arc::new(Inner {
            pool,
            query,
            max_body: MAX_BODY,
            wants,
            vary,
            is_private,
            reads_claims,
            representation: None,
            requires_condition: false,
            accept_query: None,
        }))
    }

    /// Sets the query of a GET of the same resource. The `If-Match` and `If-None-Match` of a write
    /// are evaluated for its answer, in the same transaction (RFC 9110 §13.1). Without it, a write
    /// with such a condition is 412. The query may not have pages.
    #[must_use]
    pub fn representation(mut self, query: Arc<Declared>) -> Self {
        Arc::make_mut(&mut self.0).representation = Some(query).filter(|query| query.page.is_none());
        self
    }

    /// Refuses writes without a condition, with 428 (RFC 6585 §3).
    #[must_use]
    pub fn require_condition(mut self) -> Self {
        Arc::make_mut(&mut self.0).requires_condition = true;
        self
    }

    /// Sends `Accept-Query` with successful responses: the resource takes the method QUERY (RFC
    /// 10008 §3).
    #[must_use]
    pub fn accept_query(mut self) -> Self {
        Arc::make_mut(&mut self.0).accept_query = Some(HeaderValue::from_static(MEDIA_TYPES));
        self
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
                let body = if parts.method == Method::QUERY && !parts.headers.contains_key(CONTENT_TYPE) {
                    // RFC 10008 §2: a query is not to be guessed.
                    let (status, reason) = (StatusCode::BAD_REQUEST, "a query needs a Content-Type".into());
                    Err(Error::Body { status, reason })
                } else {
                    content::Body::read(body, &parts.headers, this.max_body, this.wants).await
                };
                let (params, info) = this.read(parts, &path, &facts, body.as_ref());
                this.respond(params, info).await
            });
        }
        let (parts, body) = request.into_parts();
        drop(body);
        let (params, info) = this.read(parts, path, &facts, Ok(&content::Body::absent()));
        ReplyFuture::response(this.respond(params, info))
    }
}

// === impl Inner ===

impl Inner {
    /// Reads the parameters, and the facts that the answer depends on.
    #[inline]
    fn read(
        &self,
        parts: http::request::Parts,
        path: &PathParams,
        facts: &Facts,
        body: Result<&content::Body, &Error>,
    ) -> (Result<Params, Error>, RequestInfo) {
        let (uri, headers) = (&parts.uri, &parts.headers);
        let mut params = body.map_err(Error::clone).and_then(|body| {
            let given = arguments::Parts { uri, path, headers, facts, body };
            arguments::of(&self.query, &given, self.wants.fields)
        });
        let mut page = None;
        if let (Some(pages), Ok(read)) = (self.query.page, &mut params) {
            match Paging::of(pages, &self.query, read, uri, path, headers) {
                Ok(one) => page = Some(Box::new(one)),
                Err(error) => params = Err(error),
            }
        }
        let mut representation = None;
        if let Some(query) = self.representation.as_ref().filter(|_| request::has_condition(headers)) {
            let given = arguments::Parts { uri, path, headers, facts, body: &content::Body::absent() };
            representation = Some(Box::new(arguments::of(query, &given, false)));
        }
        let info = RequestInfo::of(&self.query, parts.method, parts.headers);
        (params, RequestInfo { page, representation, ..info })
    }

    async fn respond(self: Arc<Self>, params: Result<Params, Error>, mut info: RequestInfo) -> Response<Body> {
        let response = if let Some(response) = self.refusal(&info) {
            response
        } else {
            let answer = match params {
                Err(error) => Err(error),
                // The rare cases are boxed, so that the future of a read stays small.
                Ok(params) if info.page.is_some() => Box::pin(self.page(&params, &mut info)).await,
                Ok(params) if info.representation.is_some() => {
                    match Box::pin(self.write_if(&params, &mut info)).await {
                        Ok(None) => return self.finished(response::precondition_failed()),
                        Ok(Some(answer)) => Ok(answer),
                        Err(error) => Err(error),
                    }
                }
                Ok(params) => self.pool.run(&self.query, &params, info.format).await,
            };
            self.response(answer, info)
        };
        self.finished(response)
    }

    fn finished(&self, mut response: Response<Body>) -> Response<Body> {
        if self.is_private {
            // RFC 9111 §5.2.2.7: no shared cache may store it.
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private"));
        }
        response
    }

    /// The response to a write whose condition cannot be evaluated, or that lacks one.
    fn refusal(&self, info: &RequestInfo) -> Option<Response<Body>> {
        if !self.writes(info) {
            return None;
        }
        if !info.is_conditional() {
            return self.requires_condition.then(response::precondition_required);
        }
        // RFC 9110 §13.1.1: the method must not be performed unless the condition holds. Without a
        // representation that is unknown.
        info.representation.is_none().then(response::precondition_failed)
    }

    /// Reads one page, and counts all rows if the client wants to know.
    async fn page(&self, params: &Params, info: &mut RequestInfo) -> Result<Answer, Error> {
        let Some(page) = &mut info.page else { return Ok(Answer::None) };
        let answer = self.pool.run_page(&self.query, params, info.format, Some(page.size as usize)).await?;
        if let (true, Some(count)) = (page.wants_count, &self.query.count) {
            let params = Paging::count_params(&self.query, params);
            if let Answer::Rows(row) = self.pool.run(count, &params, Format::Json).await? {
                let row: BTreeMap<String, u64> = serde_json::from_slice(&row).unwrap_or_default();
                page.count = row.get("count").copied();
            }
        }
        Ok(answer)
    }

    /// Runs a write if its condition holds. Otherwise there is no answer.
    async fn write_if(&self, params: &Params, info: &mut RequestInfo) -> Result<Option<Answer>, Error> {
        let (Some(query), Some(given)) = (&self.representation, info.representation.take()) else { return Ok(None) };
        let (representation, empty) = ((*given)?, HeaderMap::new());
        let headers = info.headers().unwrap_or(&empty);
        let holds = |answer: &Answer| precondition::allows_write(headers, response::tag_of(query, answer).as_ref());
        let condition =
            Condition { query, params: &representation, format: request::format_of(query, headers), holds: &holds };
        self.pool.run_if(&self.query, params, info.format, &condition).await
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
