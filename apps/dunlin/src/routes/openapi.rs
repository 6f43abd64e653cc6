//! The routes of `[openapi]`: the document and its page.

use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use dunlin_http::conditional::{ETag, Outcome, Validators};
use dunlin_http::{Body, Context, Handler, ReplyFuture, SharedHandler};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};

use super::{EventLoop, Kind, Prepared, Process, Room};
use crate::openapi::api::Api;
use crate::reader::Methods;

/// The kind of these routes. No route of a file has it.
pub(crate) static KIND: Kind =
    Kind { name: "openapi", keys: &[], methods: Methods::get, in_memory: false, forwards: false, read: |_, _| None };

/// The content of a route.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Document,
    Page(Bytes),
}

/// A content with the document of the running service.
struct Served {
    content: Content,
    api: Arc<Api>,
}

/// The page runs its own script, which asks for the document alone.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
    connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

// === impl Content ===

impl Room for Content {
    fn describe(&self) -> String {
        match self {
            Self::Document => "the OpenAPI document",
            Self::Page(_) => "a page for it",
        }
        .to_owned()
    }

    fn prepare(&self, process: &Process<'_>) -> Result<Box<dyn Prepared>> {
        Ok(Box::new(Served { content: self.clone(), api: process.api.clone() }))
    }
}

// === impl Served ===

impl Prepared for Served {
    fn build(&self, _: &EventLoop<'_>) -> Result<SharedHandler<Context>> {
        Ok(Arc::new(Self { content: self.content.clone(), api: self.api.clone() }))
    }
}

impl<C> Handler<C> for Served {
    type Error = std::convert::Infallible;
    type Future = ReplyFuture;

    fn handle(&self, request: Request<Body>, _: &C) -> ReplyFuture {
        ReplyFuture::ready(match &self.content {
            Content::Page(html) => {
                let mut response = typed("text/html; charset=utf-8", html.clone());
                response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
                response
            }
            Content::Document => self.document(request.method(), request.headers()),
        })
    }
}

impl Served {
    fn document(&self, method: &http::Method, headers: &HeaderMap) -> Response<Body> {
        let document = self.api.get();
        let etag = ETag::strong(&document.etag);
        let value = etag.as_ref().and_then(|etag| HeaderValue::from_str(&etag.to_string()).ok());
        let outcome = Validators { etag, last_modified: None }.evaluate(method, headers);
        let mut response = match outcome {
            Outcome::Proceed => typed("application/json", document.bytes),
            Outcome::NotModified => status(StatusCode::NOT_MODIFIED),
            Outcome::Failed => status(StatusCode::PRECONDITION_FAILED),
        };
        if let Some(value) = value {
            response.headers_mut().insert(ETAG, value);
        }
        response
    }
}

fn typed(content_type: &'static str, content: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(content));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
