//! [`CompressFuture`]: waits for the inner reply, and encodes it.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use dunlin_http::media_type::MediaType;
use dunlin_http::negotiate::Coding;
use dunlin_http::{Body, Reply};
use http::Response;
use http::response::Parts;
use http_body::Frame;
use pin_project_lite::pin_project;
use tokio::sync::oneshot;

use crate::assess::{Head, Verdict, assess, content_length};
use crate::content::{self, Encoded};
use crate::encoder::{Spec, Window};
use crate::head;
use crate::recode;
use crate::request::RequestInfo;
use crate::shared::{Shared, SharedHandle};
use crate::store::Kept;
use crate::stored::{self, StoredOutcome};
use crate::stream::{EncodedBody, Peeked, ReadAhead};

pin_project! {
    /// The future of [`Compress`](crate::Compress). It resolves to a [`Reply`].
    #[must_use = "futures do nothing unless polled"]
    pub struct CompressFuture<F> {
        #[pin]
        inner: F,
        request: RequestInfo,
        shared: Arc<SharedHandle>,
        waiting: Option<Box<Waiting>>,
    }
}

/// A response whose content a thread is encoding.
struct Waiting {
    response: Encodable,
    content: Bytes,
    receiver: oneshot::Receiver<Arc<Kept>>,
}

/// A response that is to be encoded, without its body.
struct Encodable {
    coding: Coding,
    parts: Parts,
}

enum Outcome {
    Response(Response<Body>),
    Waiting(Box<Waiting>),
}

// === impl CompressFuture ===

impl<F> CompressFuture<F> {
    pub(crate) const fn new(inner: F, request: RequestInfo, shared: Arc<SharedHandle>) -> Self {
        Self { inner, request, shared, waiting: None }
    }
}

impl<F, R, E> Future for CompressFuture<F>
where
    F: Future<Output = Result<R, E>>,
    R: Into<Reply>,
{
    type Output = Result<Reply, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if this.waiting.is_none() {
            let response = match ready!(this.inner.poll(cx))?.into() {
                Reply::Response(response) => response,
                Reply::Stored(reply) => match stored::encode(&this.shared.0, this.request, reply) {
                    StoredOutcome::Reply(reply) => return Poll::Ready(Ok(reply.into())),
                    StoredOutcome::Response(response) => response,
                },
            };
            let (parts, body) = response.into_parts();
            match respond(&this.shared.0, this.request, parts, body, cx) {
                Outcome::Response(response) => return Poll::Ready(Ok(Reply::Response(response))),
                Outcome::Waiting(waiting) => *this.waiting = Some(waiting),
            }
        }
        let received = match this.waiting.as_mut() {
            Some(waiting) => ready!(Pin::new(&mut waiting.receiver).poll(cx)),
            None => return Poll::Pending,
        };
        let Some(waiting) = this.waiting.take() else { return Poll::Pending };
        let Waiting { response, content, .. } = *waiting;
        Poll::Ready(Ok(Reply::Response(match received {
            Ok(kept) => response.with_whole(&kept, content.into()),
            Err(_) => response.with_stream(&this.shared.0, ReadAhead::new(content.into())),
        })))
    }
}

impl<F> std::fmt::Debug for CompressFuture<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompressFuture").field("request", &self.request).finish_non_exhaustive()
    }
}

/// Decides on a response by its head, and carries the decision out.
fn respond(shared: &Arc<Shared>, request: &RequestInfo, mut parts: Parts, body: Body, cx: &mut Context<'_>) -> Outcome {
    if request.is_connect {
        return Outcome::Response(Response::from_parts(parts, body));
    }
    let size = if request.is_head {
        // The body of a response to HEAD is empty, or it is the one of GET.
        content_length(&parts.headers).or_else(|| body.len().filter(|len| *len > 0))
    } else {
        body.len()
    };
    let head = Head { status: parts.status, headers: &parts.headers };
    match (assess(&shared.types, shared.config.min_size, head, size), request.coding) {
        (Verdict::Leave, _) => return Outcome::Response(recode::respond(request, parts, body)),
        (Verdict::Varies, _) | (Verdict::Encode, None) => head::varies(&mut parts.headers),
        (Verdict::NotModified, coding) => {
            head::not_modified(&mut parts.headers, request.if_none_match.as_ref(), coding.is_some());
        }
        (Verdict::Encode, Some(coding)) => {
            let response = Encodable { coding, parts };
            return match request.is_head {
                true => Outcome::Response(response.without_content(shared, &body)),
                false => encode(shared, response, body, cx),
            };
        }
    }
    Outcome::Response(Response::from_parts(parts, body))
}

fn encode(shared: &Arc<Shared>, response: Encodable, body: Body, cx: &mut Context<'_>) -> Outcome {
    let id = body.id();
    let content = match body.try_into_bytes().map_or_else(|stream| ReadAhead::peek(stream, cx), Peeked::Complete) {
        Peeked::Complete(content) => content,
        Peeked::Stream(stream) => return Outcome::Response(response.with_stream(shared, stream)),
    };
    match content::encode(shared, response.coding, &content, id) {
        Encoded::Now(kept) => {
            let identity = id.map_or_else(|| content.clone().into(), |id| Body::identified(content.clone(), id));
            Outcome::Response(response.with_whole(&kept, identity))
        }
        Encoded::Later(receiver) => Outcome::Waiting(Box::new(Waiting { response, content, receiver })),
        Encoded::AsStream => Outcome::Response(response.with_stream(shared, ReadAhead::new(content.into()))),
    }
}

// === impl Encodable ===

impl Encodable {
    /// Adds the encoded content, or `identity` if that is shorter.
    fn with_whole(mut self, kept: &Kept, identity: Body) -> Response<Body> {
        let body = match &kept.encoding {
            Some(encoding) => {
                head::encoded(&mut self.parts.headers, self.coding, Some(encoding.length()));
                encoding.body()
            }
            None => {
                head::varies(&mut self.parts.headers);
                identity
            }
        };
        Response::from_parts(self.parts, body)
    }

    /// Adds a body that is encoded while it is read.
    fn with_stream(mut self, shared: &Arc<Shared>, content: ReadAhead) -> Response<Body> {
        let is_events = MediaType::of(&self.parts.headers).is_some_and(|media| media.is("text/event-stream"));
        let window = if is_events { Window::Events } else { Window::Stream };
        let spec = Spec { coding: self.coding, level: shared.config.level.of(self.coding), window };
        head::encoded(&mut self.parts.headers, self.coding, None);
        Response::from_parts(self.parts, Body::new(EncodedBody::new(content, spec, Arc::clone(shared))))
    }

    /// Responds to HEAD, with the header fields of GET. The length is among them if it is known
    /// without encoding anything.
    fn without_content(mut self, shared: &Shared, body: &Body) -> Response<Body> {
        let kept = body.id().and_then(|id| shared.store.as_ref()?.get((id, self.coding)));
        match kept.as_deref() {
            Some(Kept { encoding: None, .. }) => head::varies(&mut self.parts.headers),
            kept => {
                let length = kept.and_then(|kept| kept.encoding.as_ref()).map(|encoding| encoding.length());
                head::encoded(&mut self.parts.headers, self.coding, length);
            }
        }
        // RFC 9110 §8.6: a `Content-Length` has to be that of GET, so the empty body has no length.
        Response::from_parts(self.parts, Body::new(LengthUnknown))
    }
}

/// An empty body of unknown length.
struct LengthUnknown;

impl http_body::Body for LengthUnknown {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }
}
