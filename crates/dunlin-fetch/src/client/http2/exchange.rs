//! One stream, from the request to the head of its response.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use dunlin_http::Body;
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream};
use http::{Request, Response, StatusCode};
use tokio::time::Instant;

use super::body::Http2Body;
use super::connection::Slot;
use super::sending::Sending;
use crate::Error;
use crate::client::options::{MAX_INTERIM, OnInterim, RequestOptions};
use crate::client::pending::Pending;
use crate::client::request_body::{RequestBody, Upload};
use crate::client::timer::Timer;

/// The reason why a request got no response.
pub(super) enum StreamFailure {
    /// Nothing of the request was sent.
    Unsent(Box<Request<Body>>),
    /// The origin has not processed the request (RFC 9113 §8.7).
    Refused(h2::Error),
    /// The stream ended before the head of a response.
    Unanswered(h2::Error),
    /// The request may have been processed.
    Failed(Error),
}

/// The wait for the head of a response.
struct Waiting<'w> {
    response: ResponseFuture,
    sending: Option<Sending>,
    upload: Option<Arc<Upload>>,
    on_interim: Option<&'w OnInterim>,
    options: RequestOptions,
    interim: u32,
    start: Instant,
    continue_by: Option<Instant>,
    timer: Timer,
}

/// Sends `request` on the stream of `slot`, with `head` as its head.
pub(super) async fn exchange(
    slot: Slot,
    head: Request<()>,
    request: Request<Body>,
    options: RequestOptions,
    on_interim: Option<&OnInterim>,
    pending: Option<Pending>,
) -> Result<Response<Body>, StreamFailure> {
    let connection = &slot.connection;
    let mut sender = connection.sender.clone();
    let ready = tokio::time::timeout(options.response_timeout, poll_fn(|cx| sender.poll_ready(cx)));
    if !matches!(ready.await, Ok(Ok(()))) {
        connection.retire();
        return Err(StreamFailure::Unsent(Box::new(request)));
    }
    connection.has_read.store(false, Ordering::Relaxed);
    let ends = request.body().is_empty();
    let (response, stream) = match sender.send_request(head, ends) {
        Ok(sent) => sent,
        Err(error) if error.is_io() || error.is_go_away() || error.is_remote() => {
            connection.retire();
            return Err(StreamFailure::Unsent(Box::new(request)));
        }
        Err(error) => return Err(StreamFailure::Failed(Error::Protocol(error.into()))),
    };
    drop(sender);
    let (body, upload) = RequestBody::new(request.into_body(), options.expect_timeout.is_some());
    let start = Instant::now();
    let mut waiting = Waiting {
        response,
        sending: (!ends).then(|| Sending::new(body, stream)),
        continue_by: options.expect_timeout.filter(|_| upload.is_some()).map(|wait| start + wait),
        upload,
        on_interim,
        options,
        interim: 0,
        start,
        timer: Timer::new(),
    };
    match poll_fn(|cx| waiting.poll(cx)).await {
        Ok(response) => Ok(waiting.finish(response, slot, pending)),
        Err(failure) => {
            // A connection that has gone silent is not used again.
            if matches!(failure, StreamFailure::Failed(Error::Timeout(_)))
                && !connection.has_read.load(Ordering::Relaxed)
            {
                connection.retire();
            }
            Err(failure)
        }
    }
}

// === impl Waiting ===

impl Waiting<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<RecvStream>, StreamFailure>> {
        if let Some(sending) = &mut self.sending
            && Pin::new(sending).poll(cx).is_ready()
        {
            self.sending = None;
        }
        if let Some(error) = self.upload.as_ref().and_then(|upload| upload.take_error()) {
            return Poll::Ready(Err(StreamFailure::Failed(Error::RequestBody(error))));
        }
        while let Poll::Ready(Some(Ok(interim))) = self.response.poll_informational(cx) {
            self.note_interim(&interim);
            if self.interim > MAX_INTERIM {
                let error = Error::Protocol("too many interim responses".into());
                return Poll::Ready(Err(StreamFailure::Failed(error)));
            }
        }
        match Pin::new(&mut self.response).poll(cx) {
            Poll::Ready(Ok(response)) => return Poll::Ready(Ok(response)),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(failure(error))),
            Poll::Pending => {}
        }
        if let (Some(deadline), Some(upload)) = (self.continue_by, &self.upload) {
            if self.timer.poll(deadline, cx).is_pending() {
                return Poll::Pending;
            }
            self.continue_by = None;
            upload.start();
        }
        let since = self.upload.as_deref().map_or(Some(self.start), Upload::waiting_since);
        let timeout = self.options.response_timeout;
        match since.map(|since| self.timer.poll(since + timeout, cx)) {
            Some(Poll::Ready(())) => Poll::Ready(Err(StreamFailure::Failed(Error::Timeout(timeout)))),
            _ => Poll::Pending,
        }
    }

    fn note_interim(&mut self, interim: &Response<()>) {
        self.interim += 1;
        if interim.status() == StatusCode::CONTINUE {
            self.upload.iter().for_each(|upload| upload.start());
        } else if let Some(on_interim) = self.on_interim {
            on_interim(interim.status(), interim.headers());
        }
    }

    /// Makes the response of a head that has arrived. The rest of the request is sent by a task, so
    /// that it does not wait for a reader of the response.
    fn finish(self, response: Response<RecvStream>, slot: Slot, pending: Option<Pending>) -> Response<Body> {
        // The final response takes the place of 100 (Continue): nothing else would start the body.
        self.upload.iter().for_each(|upload| upload.start());
        let upload = self.sending.map(|sending| tokio::spawn(sending).abort_handle());
        let (parts, stream) = response.into_parts();
        let read_timeout = self.options.read_timeout;
        let body = Http2Body::new(stream, &parts.headers, upload, slot, pending, read_timeout);
        Response::from_parts(parts, Body::new(body))
    }
}

/// The meaning of an error before the head of a response.
fn failure(error: h2::Error) -> StreamFailure {
    match error.reason() {
        Some(Reason::REFUSED_STREAM) if error.is_remote() => StreamFailure::Refused(error),
        // RFC 9113 §6.8: streams beyond the last one of a GOAWAY were not processed.
        Some(Reason::NO_ERROR) if error.is_go_away() && error.is_remote() => StreamFailure::Refused(error),
        _ if error.is_remote() || error.is_io() => StreamFailure::Unanswered(error),
        _ => StreamFailure::Failed(Error::Protocol(error.into())),
    }
}
