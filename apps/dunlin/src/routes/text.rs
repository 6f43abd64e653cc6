//! `text` routes: content from the configuration.

use std::sync::Arc;

use anyhow::Result;
use bytes::{Bytes, BytesMut};
use dunlin_http::conditional::{ETag, Outcome, Validators};
use dunlin_http::media_type::MediaType;
use dunlin_http::{
    Body, BodyId, ContentHash, Context, Handler, Lines, Problem, ReplyFuture, SharedHandler, StoredHead, StoredReply,
    VolatileFields,
};
use http::header::{CONTENT_TYPE, ETAG, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};

use super::{EventLoop, Key, Kind, Prepared, Process, Room};
use crate::reader::{Methods, Section, media_type};

pub(super) const KIND: Kind = Kind {
    name: "text",
    keys: KEYS,
    methods: Methods::get,
    in_memory: false,
    forwards: false,
    read: |table, _| Text::read(table).map(|text| Box::new(text) as Box<dyn Room>),
};

const KEYS: &[Key] = &[
    Key::new("text", "", "the content"),
    Key::new("content_type", "\"text/plain; charset=utf-8\"", "the media type of the content"),
];

/// A `text` route as it was read.
#[derive(Debug)]
struct Text {
    text: String,
    content_type: HeaderValue,
}

/// A fixed response.
#[derive(Clone, Debug)]
struct TextHandler {
    bytes: Bytes,
    id: BodyId,
    headers: HeaderMap,
    validators: Validators,
}

/// A text on one event loop, which counts references of its own.
struct LoopText {
    text: TextHandler,
    head: Arc<TextHead>,
    volatile: Arc<VolatileFields>,
}

/// The head of the content, with its lines.
struct TextHead {
    headers: HeaderMap,
    lines: Option<Lines>,
}

// === impl Text ===

impl Text {
    fn read(table: &mut Section<'_>) -> Option<Self> {
        let content_type = match table.get("content_type") {
            Some(value) => media_type(value),
            None => Some(HeaderValue::from_static("text/plain; charset=utf-8")),
        };
        Some(Self { text: table.read("text")?, content_type: content_type? })
    }
}

impl Room for Text {
    fn describe(&self) -> String {
        format!("{:?}", self.text)
    }

    fn prepare(&self, _: &Process<'_>) -> Result<Box<dyn Prepared>> {
        Ok(Box::new(TextHandler::new(&self.text, &self.content_type)))
    }

    fn is_compressible(&self, config: &dunlin_compress::Config) -> bool {
        let media = self.content_type.to_str().ok().and_then(MediaType::parse);
        self.text.len() as u64 >= config.min_size && media.is_some_and(|media| config.types.contains(media.essence()))
    }
}

impl Prepared for TextHandler {
    fn build(&self, _: &EventLoop<'_>) -> Result<SharedHandler<Context>> {
        Ok(Arc::new(LoopText::new(self.clone())))
    }
}

// === impl TextHandler ===

impl TextHandler {
    fn new(text: &str, content_type: &HeaderValue) -> Self {
        let etag = ETag::strong(&ContentHash::of(text.as_bytes()).to_string());
        let mut headers = HeaderMap::with_capacity(3);
        headers.insert(CONTENT_TYPE, content_type.clone());
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(tag) = etag.as_ref().and_then(|etag| HeaderValue::from_str(&etag.to_string()).ok()) {
            headers.insert(ETAG, tag);
        }
        let validators = Validators { etag, last_modified: None };
        Self { bytes: Bytes::copy_from_slice(text.as_bytes()), id: BodyId::new(), headers, validators }
    }

    fn respond(&self, method: &Method, request: &HeaderMap) -> Response<Body> {
        let mut response = Response::new(Body::identified(self.bytes.clone(), self.id));
        *response.headers_mut() = self.headers.clone();
        if !Validators::has_preconditions(request) {
            return response;
        }
        match self.validators.evaluate(method, request) {
            Outcome::Proceed => {}
            Outcome::NotModified => {
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                *response.body_mut() = Body::empty();
                response.headers_mut().remove(CONTENT_TYPE);
            }
            Outcome::Failed => return Problem::new(StatusCode::PRECONDITION_FAILED).into_response(),
        }
        response
    }
}

// === impl LoopText ===

impl LoopText {
    fn new(text: TextHandler) -> Self {
        // A copy of its own, so that the loops do not count references in one place.
        let text = TextHandler { bytes: Bytes::copy_from_slice(&text.bytes), ..text };
        let mut lines = BytesMut::new();
        text.headers.iter().for_each(|(name, value)| Lines::push(&mut lines, name, value));
        let head = TextHead { headers: text.headers.clone(), lines: Lines::parse(lines.freeze()) };
        Self { text, head: Arc::new(head), volatile: Arc::new(VolatileFields::new([])) }
    }

    /// The content with its head as it was written once; `None` where it has to be made.
    fn stored(&self) -> Option<StoredReply> {
        let body = Body::identified(self.text.bytes.clone(), self.text.id);
        StoredReply::new(self.head.clone(), self.volatile.clone(), body)
    }
}

impl<C> Handler<C> for LoopText {
    type Error = std::convert::Infallible;
    type Future = ReplyFuture;

    fn handle(&self, request: Request<Body>, _: &C) -> ReplyFuture {
        let stored = if Validators::has_preconditions(request.headers()) { None } else { self.stored() };
        match stored {
            Some(stored) => ReplyFuture::ready(stored),
            None => ReplyFuture::ready(self.text.respond(request.method(), request.headers())),
        }
    }
}

impl StoredHead for TextHead {
    fn status(&self) -> StatusCode {
        StatusCode::OK
    }

    fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    fn lines(&self) -> Option<&Lines> {
        self.lines.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unchanged_text_is_not_sent_again() {
        let text = TextHandler::new("Hello, World!", &HeaderValue::from_static("text/plain; charset=utf-8"));
        let first = text.respond(&Method::GET, &HeaderMap::new());
        assert_eq!(first.body().as_bytes(), Some(&b"Hello, World!"[..]));
        let etag = first.headers()[ETAG].clone();
        let mut request = HeaderMap::new();
        request.insert("if-none-match", etag.clone());
        let again = text.respond(&Method::GET, &request);
        assert_eq!((again.status(), &again.headers()[ETAG]), (StatusCode::NOT_MODIFIED, &etag));
        assert!(again.body().is_empty());
        request.clear();
        request.insert("if-match", HeaderValue::from_static("\"other\""));
        assert_eq!(text.respond(&Method::GET, &request).status(), StatusCode::PRECONDITION_FAILED);
    }
}
