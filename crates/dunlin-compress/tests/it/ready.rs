//! Answers that come with a head that was written before.

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use dunlin_compress::CompressLayer;
use dunlin_http::negotiate::Coding;
use dunlin_http::{Body, BodyId, Lines, Reply, StoredHead, StoredReply, VolatileFields};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use tower::{Layer, service_fn};

use crate::support::*;

/// A kept answer.
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

    fn ready(self: &Arc<Self>) -> StoredReply {
        let ahead = VolatileFields::new([(HeaderName::from_static("age"), HeaderValue::from_static("7"))]);
        StoredReply::new(Arc::clone(self) as _, Arc::new(ahead), Body::identified(self.content.clone(), self.id))
            .unwrap()
    }

    /// What comes of it: its fields as they are written or would be, its content, and whether it
    /// came ready.
    async fn ask(self: &Arc<Self>, layer: &CompressLayer, accept: &str) -> (Vec<String>, Bytes, bool) {
        let service =
            layer.layer(service_fn(|_: Request<Body>| ready(Ok::<Response<Body>, Infallible>(Response::default()))));
        let page = Arc::clone(self);
        let reply = service.reply(request(accept), |_, _| ready(Ok::<_, Infallible>(page.ready()))).await.unwrap();
        let mut written = Vec::new();
        let is_ready = match &reply {
            Reply::Stored(ready) => {
                ready.write(&mut written);
                true
            }
            Reply::Response(_) => false,
        };
        let response = reply.into_response();
        let length = response.headers()["content-length"].clone();
        let fields = response.headers().iter().filter(|(name, _)| *name != "content-length");
        let mut told: Vec<_> = fields.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        told.sort();
        if is_ready {
            let mut written: Vec<_> =
                String::from_utf8(written).unwrap().split_terminator("\r\n").map(str::to_owned).collect();
            written.sort();
            assert_eq!(written, told, "what is written is what the response says");
        }
        let content = content(response).await;
        assert_eq!(length, content.len().to_string());
        (told, content, is_ready)
    }

    /// The fields as a service of responses has them.
    async fn plainly(self: &Arc<Self>, accept: &str) -> Vec<String> {
        let response = ask(&CompressLayer::default(), request(accept), self.ready().into_response()).await;
        let fields = response.headers().iter().filter(|(name, _)| *name != "content-length");
        let mut told: Vec<_> = fields.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        told.sort();
        told
    }
}

/// Asks until it comes ready.
async fn until_ready(page: &Arc<Page>, layer: &CompressLayer, coding: Coding) -> (Vec<String>, Bytes) {
    for _ in 0..10_000 {
        let (told, content, is_ready) = page.ask(layer, coding.as_str()).await;
        assert_eq!(told, page.plainly(coding.as_str()).await);
        if is_ready {
            return (told, content);
        }
        tokio::time::sleep(Duration::from_millis(1)).await; // The best encoding is made by a thread that stands back.
    }
    unreachable!("it never comes ready")
}

#[tokio::test]
async fn an_encoding_comes_to_be_ready_and_says_what_it_said() {
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
            let (_, content) = until_ready(&page, &layer, coding).await;
            assert!(tool(coding, &content) == sent, "{coding}");
        }
        let (told, content, is_ready) = page.ask(&layer, "identity").await;
        assert!(is_ready && content == sent);
        assert_eq!(told, page.plainly("identity").await);
    }
}

#[tokio::test]
async fn the_lines_are_those_of_the_head_and_of_no_other() {
    let layer = CompressLayer::default();
    let (id, sent) = (BodyId::new(), text(20_000));
    let pages = ["a", "b"].map(|x| Page::new(&[("content-type", "text/plain"), ("x-y", x)], sent.clone(), id));
    for _ in 0..3 {
        for (page, line) in pages.iter().zip(["x-y: a", "x-y: b"]) {
            let (told, _) = until_ready(page, &layer, Coding::Gzip).await;
            assert!(told.iter().any(|field| field == line), "{told:?}");
        }
    }
}

#[tokio::test]
async fn what_is_not_encoded_goes_as_it_is() {
    let layer = CompressLayer::default();
    for (content_type, len) in [("image/png", 20_000), ("text/plain", 100)] {
        let page = Page::new(&[("content-type", content_type)], text(len), BodyId::new());
        for accept in ["gzip", "identity"] {
            let (told, content, _) = page.ask(&layer, accept).await;
            assert_eq!((content.len(), told), (len, page.plainly(accept).await));
        }
    }
}
