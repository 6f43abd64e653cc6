//! The future of an answer that is compressed.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use dunlin_http::media_type::MediaType;
use dunlin_http::negotiate::Coding;
use dunlin_http::{Body, BoxError};
use http::response::Parts;
use http::{HeaderValue, Response};
use pin_project_lite::pin_project;

use crate::assess::{Verdict, announced, assess};
use crate::encoder::{Spec, Window, whole};
use crate::head;
use crate::layer::Shared;
use crate::stream::Encoded;

pin_project! {
    /// The future of [`Compress`](crate::Compress).
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        asked: Asked,
        shared: Arc<Shared>,
    }
}

/// What there is to know of the request.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The coding that was negotiated; `None` for identity.
    pub(crate) coding: Option<Coding>,
    pub(crate) head: bool,
    pub(crate) connect: bool,
    pub(crate) if_none_match: Option<HeaderValue>,
}

// === impl ResponseFuture ===

impl<F> ResponseFuture<F> {
    pub(crate) const fn new(inner: F, asked: Asked, shared: Arc<Shared>) -> Self {
        Self { inner, asked, shared }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<Body>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (parts, body) = ready!(this.inner.poll(cx))?.into_parts();
        Poll::Ready(Ok(answer(this.shared, this.asked, parts, Body::new(body))))
    }
}

fn answer(shared: &Shared, asked: &Asked, mut parts: Parts, body: Body) -> Response<Body> {
    let size = if asked.head { announced(&parts.headers).or(body.len().filter(|len| *len > 0)) } else { body.len() };
    let verdict = match asked.connect {
        true => Verdict::Leave,
        false => assess(&shared.config.types, shared.config.min_size, &parts, size),
    };
    match (verdict, asked.coding) {
        (Verdict::Leave, _) => {}
        (Verdict::Varies, _) | (Verdict::Encode, None) => head::varies(&mut parts.headers),
        (Verdict::NotModified, coding) => {
            head::not_modified(&mut parts.headers, asked.if_none_match.as_ref(), coding.is_some());
        }
        (Verdict::Encode, Some(coding)) if asked.head => {
            head::encoded(&mut parts.headers, coding, None);
            return Response::from_parts(parts, Body::empty());
        }
        (Verdict::Encode, Some(coding)) => return encode(shared, coding, parts, body),
    }
    Response::from_parts(parts, body)
}

fn encode(shared: &Shared, coding: Coding, mut parts: Parts, body: Body) -> Response<Body> {
    let level = shared.config.level.of(coding);
    let body = match body.try_into_bytes() {
        Ok(content) => match whole(coding, level, &content) {
            Ok(Some(encoded)) => {
                head::encoded(&mut parts.headers, coding, Some(head::length(&encoded)));
                Body::from(encoded)
            }
            _ => {
                head::varies(&mut parts.headers);
                Body::from(content)
            }
        },
        Err(stream) => {
            let events = MediaType::of(&parts.headers).is_some_and(|media| media.is("text/event-stream"));
            head::encoded(&mut parts.headers, coding, None);
            let window = if events { Window::Events } else { Window::Stream };
            Body::new(Encoded::new(stream, Spec { coding, level, window }))
        }
    };
    Response::from_parts(parts, body)
}

impl<F> std::fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseFuture").field("asked", &self.asked).finish_non_exhaustive()
    }
}
