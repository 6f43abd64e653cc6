use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

use super::*;

/// A stream of these chunks, which are ready at once.
struct Chunks(VecDeque<&'static str>);

impl Chunks {
    fn body(chunks: &[&'static str]) -> Body {
        Body::new(Self(chunks.iter().copied().collect()))
    }
}

impl http_body::Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|chunk| Ok(Frame::data(Bytes::from_static(chunk.as_bytes())))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::new()
    }
}

fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(out) => out,
        Poll::Pending => panic!("not ready"),
    }
}

#[test]
fn a_body_of_a_body_is_the_same_body() {
    let id = BodyId::new();
    let body = Body::new(Body::new(Body::identified(Bytes::from_static(b"x"), id)));
    assert_eq!((body.id(), body.len()), (Some(id), Some(1)));
    assert!(Body::new(Chunks(VecDeque::new())).as_bytes().is_some(), "an ended stream is an empty body");
}

#[test]
fn sizes_are_exact_unless_the_body_is_a_stream() {
    assert_eq!(Body::empty().len(), Some(0));
    assert_eq!(Body::from("abc").len(), Some(3));
    assert_eq!(Chunks::body(&["abc"]).len(), None);
    assert!(Body::from("").is_empty() && !Body::from("a").is_empty());
}

#[test]
fn reading_removes_the_id() {
    let mut body = Body::identified(Bytes::from_static(b"x"), BodyId::new());
    let frame = Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop()));
    assert!(frame.is_ready() && body.id().is_none() && body.is_empty());
}

#[test]
fn collect_reads_up_to_the_limit() {
    assert_eq!(now(Chunks::body(&["ab", "cd"]).collect(4)).unwrap(), "abcd");
    assert_eq!(now(Chunks::body(&["", "cd"]).collect(4)).unwrap(), "cd");
    for body in [Chunks::body(&["ab", "cde"]), Body::from("abcde")] {
        assert!(matches!(now(body.collect(4)), Err(BodyError::TooLarge { limit: 4 })));
    }
}

#[test]
fn limited_fails_at_the_first_byte_beyond_the_limit() {
    let body = |limit| Body::new(Limited::new(Chunks::body(&["ab", "cd"]), limit));
    assert_eq!(now(body(4).collect(100)).unwrap(), "abcd");
    let error = now(body(3).collect(100)).unwrap_err();
    assert_eq!(error.status(), 413);
}

#[test]
fn a_wrapped_reason_is_found() {
    #[derive(Debug)]
    struct Wrap(BodyError);
    impl fmt::Display for Wrap {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("wrapped")
        }
    }
    impl std::error::Error for Wrap {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    assert!(matches!(BodyError::from_boxed(Box::new(Wrap(BodyError::Timeout))), BodyError::Timeout));
}
