//! The future of an answer that is compressed.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use dunlin_http::fields;
use dunlin_http::media_type::MediaType;
use dunlin_http::negotiate::{AcceptEncoding, Choice, Coding};
use dunlin_http::{Body, Reply};
use http::header::IF_NONE_MATCH;
use http::response::Parts;
use http::{HeaderValue, Method, Request, Response};
use http_body::Frame;
use pin_project_lite::pin_project;
use tokio::sync::oneshot;

use crate::assess::{Verdict, announced, assess};
use crate::content::{self, Source};
use crate::encoder::{Spec, Window};
use crate::head;
use crate::layer::{Held, Shared};
use crate::ready;
use crate::recode;
use crate::store::Kept;
use crate::stream::{Begun, Encoded, Peeked};

pin_project! {
    /// The future of [`Compress`](crate::Compress).
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F> {
        #[pin]
        reply: ReplyFuture<F>,
    }
}

pin_project! {
    /// The future of [`Compress::reply`](crate::Compress::reply).
    #[must_use = "futures do nothing unless polled"]
    pub struct ReplyFuture<F> {
        #[pin]
        inner: F,
        asked: Asked,
        held: Arc<Held>,
        waiting: Option<Box<Waiting>>,
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
    pub(crate) accept: AcceptEncoding,
}

/// An answer whose content a thread is encoding.
struct Waiting {
    answer: Answer,
    content: Bytes,
    receiver: oneshot::Receiver<Arc<Kept>>,
}

/// An answer that is to be encoded, without its body.
struct Answer {
    coding: Coding,
    parts: Parts,
}

enum Outcome {
    Response(Response<Body>),
    Waiting(Box<Waiting>),
}

// === impl Asked ===

impl Asked {
    pub(crate) fn by<A>(request: &Request<A>, offered: &[Coding]) -> Self {
        let headers = request.headers();
        let accept = AcceptEncoding::of(headers);
        let coding = match accept.choose(offered) {
            Choice::Coding(coding) => Some(coding),
            // Deviates from RFC 9110 §12.5.3: a client that refuses identity and takes nothing that
            // is on offer gets identity all the same, because the handler's work is done by then,
            // and an answer that the client may be able to read is worth more to it than a 406.
            Choice::Identity | Choice::Nothing => None,
        };
        Self {
            coding,
            head: *request.method() == Method::HEAD,
            connect: *request.method() == Method::CONNECT,
            if_none_match: fields::first(headers, &IF_NONE_MATCH).cloned(),
            accept,
        }
    }

    /// Returns `true` if the client takes content in this coding.
    pub(crate) fn takes(&self, coding: Coding) -> bool {
        self.accept.choose(&[coding]) == Choice::Coding(coding)
    }
}

// === impl ResponseFuture ===

impl<F> ResponseFuture<F> {
    pub(crate) const fn new(inner: F, asked: Asked, held: Arc<Held>) -> Self {
        Self { reply: ReplyFuture::new(inner, asked, held) }
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<R, E>>,
    R: Into<Reply>,
{
    type Output = Result<Response<Body>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().reply.poll(cx).map_ok(Reply::into_response)
    }
}

// === impl ReplyFuture ===

impl<F> ReplyFuture<F> {
    pub(crate) const fn new(inner: F, asked: Asked, held: Arc<Held>) -> Self {
        Self { inner, asked, held, waiting: None }
    }
}

impl<F, R, E> Future for ReplyFuture<F>
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
                Reply::Stored(ready) => match ready::respond(&this.held.0, this.asked, ready) {
                    Ok(ready) => return Poll::Ready(Ok(ready.into())),
                    Err(response) => response,
                },
            };
            let (parts, body) = response.into_parts();
            match respond(&this.held.0, this.asked, parts, body, cx) {
                Outcome::Response(response) => return Poll::Ready(Ok(Reply::Response(response))),
                Outcome::Waiting(waiting) => *this.waiting = Some(waiting),
            }
        }
        let received = match this.waiting.as_mut() {
            Some(waiting) => ready!(Pin::new(&mut waiting.receiver).poll(cx)),
            None => return Poll::Pending,
        };
        let Some(waiting) = this.waiting.take() else { return Poll::Pending };
        let Waiting { answer, content, .. } = *waiting;
        Poll::Ready(Ok(Reply::Response(match received {
            Ok(kept) => answer.whole(&kept, content.into()),
            Err(_) => answer.stream(&this.held.0, Begun::not(content.into())),
        })))
    }
}

impl<F> std::fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

impl<F> std::fmt::Debug for ReplyFuture<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReplyFuture").field("asked", &self.asked).finish_non_exhaustive()
    }
}

fn respond(shared: &Arc<Shared>, asked: &Asked, mut parts: Parts, body: Body, cx: &mut Context<'_>) -> Outcome {
    let size = match asked.head {
        // The body of an answer to HEAD is empty, or else is what GET would have had.
        true => announced(&parts.headers).or_else(|| body.len().filter(|len| *len > 0)),
        false => body.len(),
    };
    let verdict = match asked.connect {
        true => Verdict::Leave,
        false => assess(&shared.listed, shared.config.min_size, (parts.status, &parts.headers), size),
    };
    match (verdict, asked.coding) {
        (Verdict::Leave, _) if !asked.connect => return Outcome::Response(recode::respond(asked, parts, body)),
        (Verdict::Leave, _) => {}
        (Verdict::Varies, _) | (Verdict::Encode, None) => head::varies(&mut parts.headers),
        (Verdict::NotModified, coding) => {
            head::not_modified(&mut parts.headers, asked.if_none_match.as_ref(), coding.is_some());
        }
        (Verdict::Encode, Some(coding)) if asked.head => {
            return Outcome::Response(Answer { coding, parts }.head(shared, &body));
        }
        (Verdict::Encode, Some(coding)) => return encode(shared, Answer { coding, parts }, body, cx),
    }
    Outcome::Response(Response::from_parts(parts, body))
}

fn encode(shared: &Arc<Shared>, answer: Answer, body: Body, cx: &mut Context<'_>) -> Outcome {
    let id = body.id();
    let content = match body.try_into_bytes().map_or_else(|stream| Begun::peek(stream, cx), Peeked::Complete) {
        Peeked::Complete(content) => content,
        Peeked::Stream(stream) => return Outcome::Response(answer.stream(shared, stream)),
    };
    match content::encode(shared, answer.coding, &content, id) {
        Source::Ready(kept) => {
            let identity = id.map_or_else(|| content.clone().into(), |id| Body::identified(content.clone(), id));
            Outcome::Response(answer.whole(&kept, identity))
        }
        Source::Later(receiver) => Outcome::Waiting(Box::new(Waiting { answer, content, receiver })),
        Source::Slices => Outcome::Response(answer.stream(shared, Begun::not(content.into()))),
    }
}

// === impl Answer ===

impl Answer {
    /// With its content encoded, or as it is when that is shorter.
    fn whole(mut self, kept: &Kept, identity: Body) -> Response<Body> {
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

    /// With its content encoded as it flows.
    fn stream(mut self, shared: &Arc<Shared>, content: Begun) -> Response<Body> {
        let events = MediaType::of(&self.parts.headers).is_some_and(|media| media.is("text/event-stream"));
        let window = if events { Window::Events } else { Window::Stream };
        let spec = Spec { coding: self.coding, level: shared.config.level.of(self.coding), window };
        head::encoded(&mut self.parts.headers, self.coding, None);
        Response::from_parts(self.parts, Body::new(Encoded::new(content, spec, Arc::clone(shared))))
    }

    /// Without content: the head that GET would have, its length included if that is known without
    /// encoding anything.
    fn head(mut self, shared: &Shared, body: &Body) -> Response<Body> {
        // RFC 9110 §8.6: a length that is not GET's must not be said, so the body that is not sent
        // must not have one.
        let none = Body::new(LengthUnknown);
        let known = body.id().and_then(|id| shared.store.as_ref()?.get((id, self.coding)));
        match known.as_deref() {
            Some(Kept { encoding: None, .. }) => head::varies(&mut self.parts.headers),
            kept => {
                let length = kept.and_then(|kept| kept.encoding.as_ref()).map(|encoding| encoding.length());
                head::encoded(&mut self.parts.headers, self.coding, length);
            }
        }
        Response::from_parts(self.parts, none)
    }
}

/// No content, of a length that nobody can tell.
struct LengthUnknown;

impl http_body::Body for LengthUnknown {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }
}
