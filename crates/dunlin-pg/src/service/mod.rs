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
use dunlin_http::{Body, BoxError, Problem};
use http::header::{ACCEPT, CONTENT_TYPE, ETAG, VARY};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tower_service::Service;

use crate::database::Declared;
use crate::error::{Error, ErrorKind};
use crate::json::Format;
use crate::pool::{Answer, Pool};
use crate::query::{Access, Rows};

/// The most that a JSON body may have by default.
const MAX_BODY: usize = 1024 * 1024;

/// Answers HTTP requests with a declared query. It takes parameters from the path
/// ([`PathParams`](dunlin_http::PathParams) in the request's extensions), the query string and a JSON body, and answers
/// itself in every case: errors are problem documents.
///
/// A complete answer to a read has an `ETag` from its content, and `If-None-Match` is 304.
#[derive(Clone)]
pub struct QueryService {
    pool: Pool,
    query: Arc<Declared>,
    max_body: usize,
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

// === impl QueryService ===

impl QueryService {
    /// The query on the pool of this event loop.
    #[must_use]
    pub const fn new(pool: Pool, query: Arc<Declared>) -> Self {
        Self { pool, query, max_body: MAX_BODY }
    }

    /// The most bytes that a JSON body may have; 1 MiB unless told. More is 413.
    #[must_use]
    pub const fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    async fn respond(&self, request: &http::request::Parts, body: Body) -> Response<Body> {
        // What is rare is boxed, so that the future of a read stays small.
        let fields = if self.query.reads_body() {
            Box::pin(arguments::read(body, self.max_body)).await
        } else {
            drop(body);
            Ok(Map::new())
        };
        match self.answer(request, fields).await {
            Ok(response) => response,
            Err(error) => {
                self.log(&error);
                error.problem().into_response()
            }
        }
    }

    async fn answer(
        &self,
        request: &http::request::Parts,
        fields: Result<Map<String, Value>, Error>,
    ) -> Result<Response<Body>, Error> {
        let params = arguments::of(&self.query, request, fields?)?;
        let format = match self.query.rows {
            Rows::One => Format::Json,
            Rows::Many => accept::choose(self.query.formats, &request.headers),
        };
        let answer = self.pool.run(&self.query, &params, format).await?;
        Ok(match answer {
            Answer::Rows(bytes) => self.whole(request, bytes, format),
            Answer::Stream(body) => self.with_type(Response::new(body), format),
            Answer::None => Problem::new(StatusCode::NOT_FOUND).detail("there is no such row").into_response(),
            Answer::Changed(0) if self.query.rows == Rows::One => {
                Problem::new(StatusCode::NOT_FOUND).detail("there is no such row").into_response()
            }
            Answer::Changed(_) => {
                let mut response = Response::new(Body::empty());
                // RFC 9110 §15.3.5: done, and there is nothing to send.
                let plain = self.query.status == StatusCode::OK;
                *response.status_mut() = if plain { StatusCode::NO_CONTENT } else { self.query.status };
                response
            }
        })
    }

    fn whole(&self, request: &http::request::Parts, bytes: Bytes, format: Format) -> Response<Body> {
        // RFC 9110 §8.8.3: what was written is no representation to be asked for again.
        if self.query.access == Access::Write || !matches!(request.method, Method::GET | Method::HEAD) {
            return self.with_type(Response::new(Body::from(bytes)), format);
        }
        let etag = etag(&bytes);
        let unchanged =
            Validators::concerned(&request.headers) && is_unchanged(&etag, &request.method, &request.headers);
        let mut response = if unchanged {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            self.vary(response.headers_mut());
            response
        } else {
            self.with_type(Response::new(Body::from(bytes)), format)
        };
        response.headers_mut().insert(ETAG, etag);
        response
    }

    fn with_type(&self, mut response: Response<Body>, format: Format) -> Response<Body> {
        *response.status_mut() = self.query.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
        self.vary(response.headers_mut());
        response
    }

    /// RFC 9110 §12.5.5: the format was chosen by `Accept`.
    fn vary(&self, headers: &mut HeaderMap) {
        if self.query.rows == Rows::Many && self.query.formats != Default::default() {
            headers.insert(VARY, HeaderValue::from_name(ACCEPT));
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
        let this = self.clone();
        let (parts, body) = request.into_parts();
        let body = Body::new(body);
        Box::pin(async move { Ok(this.respond(&parts, body).await) })
    }
}

impl fmt::Debug for QueryService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryService").field("query", &self.query).finish_non_exhaustive()
    }
}

/// A strong tag: the first 128 bits of the content's SHA-256, which no two contents share by chance or by design.
fn etag(bytes: &[u8]) -> HeaderValue {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let digest = Sha256::digest(bytes);
    let mut text = [b'"'; 34];
    for (pair, byte) in text[1..33].chunks_exact_mut(2).zip(&digest[..16]) {
        pair[0] = HEX[usize::from(byte >> 4)];
        pair[1] = HEX[usize::from(byte & 15)];
    }
    HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

fn is_unchanged(etag: &HeaderValue, method: &Method, headers: &HeaderMap) -> bool {
    let etag = etag.to_str().ok().and_then(ETag::parse);
    let validators = Validators { etag, last_modified: None };
    validators.evaluate(method, headers) == Outcome::NotModified
}
