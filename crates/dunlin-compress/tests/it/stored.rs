//! Stored replies, whose header lines are written already.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use dunlin_compress::CompressLayer;
use dunlin_http::negotiate::Coding;
use dunlin_http::{Body, BodyId, Handler, Lines, Reply, ReplyFuture, StoredHead, StoredReply, VolatileFields};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use tower::Layer;

use crate::support::*;

/// A stored response, and a handler that replies with it.
struct Page {
    headers: HeaderMap,
    lines: Lines,
    content: Bytes,
    id: BodyId,
}

impl StoredHead for Page {
    fn status(&self) -> StatusCode {
        StatusCode::OK
    }

    fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    fn lines(&self) -> Option<&Lines> {
        Some(&self.lines)
    }
}

impl Page {
    fn new(fields: &[(&'static str, &'static str)], content: Bytes, id: BodyId) -> Arc<Self> {
        let (mut headers, mut text) = (HeaderMap::new(), BytesMut::new());
        for (name, value) in [("age", "0")].iter().chain(fields) {
            let (name, value) = (HeaderName::from_static(name), HeaderValue::from_static(value));
            if name != "age" {
                Lines::push(&mut text, &name, &value);
            }
            headers.append(name, value);
        }
        headers.insert("content-length", content.len().into());
        Arc::new(Self { headers, lines: Lines::parse(text.freeze()).unwrap(), content, id })
    }

    fn reply(self: &Arc<Self>) -> StoredReply {
        let volatile = VolatileFields::new([(HeaderName::from_static("age"), HeaderValue::from_static("7"))]);
        StoredReply::new(Arc::clone(self) as _, Arc::new(volatile), Body::identified(self.content.clone(), self.id))
            .unwrap()
    }

    /// Requests the page through `layer` as a [`Handler`].
    async fn request(self: &Arc<Self>, layer: &CompressLayer, accept: &str) -> Received {
        let service = layer.layer(PageHandler(Arc::clone(self)));
        let reply = service.handle(request(accept), &()).await.unwrap();
        let mut written = Vec::new();
        let is_stored = match &reply {
            Reply::Stored(reply) => {
                reply.write(&mut written);
                true
            }
            Reply::Response(_) => false,
        };
        let response = reply.into_response();
        let (length, fields) = (response.headers()["content-length"].clone(), fields(&response));
        if is_stored {
            let written = String::from_utf8(written).unwrap();
            let mut lines: Vec<_> = written.split_terminator("\r\n").map(str::to_owned).collect();
            lines.sort();
            assert_eq!(lines, fields, "the written lines are those of the response");
        }
        let content = content(response).await;
        assert_eq!(length, content.len().to_string());
        Received { fields, content, is_stored }
    }

    /// The fields of the page from a service of responses.
    async fn fields_of_response(self: &Arc<Self>, accept: &str) -> Vec<String> {
        fields(&respond(&CompressLayer::default(), request(accept), self.reply().into_response()).await)
    }
}

/// A handler that replies with a page.
struct PageHandler(Arc<Page>);

impl Handler<()> for PageHandler {
    type Error = Infallible;
    type Future = ReplyFuture;

    fn handle(&self, _: Request<Body>, (): &()) -> ReplyFuture {
        ReplyFuture::ready(self.0.reply())
    }
}

/// A reply that was read to its end.
struct Received {
    fields: Vec<String>,
    content: Bytes,
    /// `true` if it came as a stored reply.
    is_stored: bool,
}

/// All fields but `Content-Length`, sorted.
fn fields(response: &Response<Body>) -> Vec<String> {
    let fields = response.headers().iter().filter(|(name, _)| *name != "content-length");
    let mut fields: Vec<_> = fields.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    fields.sort();
    fields
}

/// Requests a page until it comes as a stored reply.
async fn until_stored(page: &Arc<Page>, layer: &CompressLayer, coding: Coding) -> Received {
    for _ in 0..10_000 {
        let received = page.request(layer, coding.as_str()).await;
        assert_eq!(received.fields, page.fields_of_response(coding.as_str()).await);
        if received.is_stored {
            return received;
        }
        // A background thread makes the best encoding.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    unreachable!("it never comes as a stored reply")
}

#[tokio::test]
async fn an_encoding_is_stored_with_the_fields_of_its_response() {
    let layer = CompressLayer::default();
    let fields: [&[_]; 3] = [
        &[("content-type", "text/plain"), ("etag", "\"v1\""), ("accept-ranges", "bytes"), ("digest", "x")],
        &[("content-type", "text/plain"), ("vary", "origin"), ("etag", "W/\"v1\"")],
        &[("content-type", "text/plain"), ("vary", "Accept-Encoding, origin"), ("x-y", "1"), ("x-y", "2")],
    ];
    for fields in fields {
        let (id, sent) = (BodyId::new(), text(20_000));
        let page = Page::new(fields, sent.clone(), id);
        for coding in Coding::ALL {
            let received = until_stored(&page, &layer, coding).await;
            assert!(tool(coding, &received.content) == sent, "{coding}");
        }
        let received = page.request(&layer, "identity").await;
        assert!(received.is_stored && received.content == sent);
        assert_eq!(received.fields, page.fields_of_response("identity").await);
    }
}

#[tokio::test]
async fn pages_with_one_content_keep_their_own_lines() {
    let layer = CompressLayer::default();
    let (id, sent) = (BodyId::new(), text(20_000));
    let pages = ["a", "b"].map(|x| Page::new(&[("content-type", "text/plain"), ("x-y", x)], sent.clone(), id));
    for _ in 0..3 {
        for (page, line) in pages.iter().zip(["x-y: a", "x-y: b"]) {
            let fields = until_stored(page, &layer, Coding::Gzip).await.fields;
            assert!(fields.iter().any(|field| field == line), "{fields:?}");
        }
    }
}

#[tokio::test]
async fn pages_that_are_not_encoded_stay_the_same() {
    let layer = CompressLayer::default();
    for (content_type, len) in [("image/png", 20_000), ("text/plain", 100)] {
        let page = Page::new(&[("content-type", content_type)], text(len), BodyId::new());
        for accept in ["gzip", "identity"] {
            let received = page.request(&layer, accept).await;
            assert_eq!((received.content.len(), received.fields), (len, page.fields_of_response(accept).await));
        }
    }
}
