//! [`InterimSender`]: interim responses (RFC 9110 §15.2) on a stream.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Context;

use bytes::Bytes;
use dunlin_http::{SendInterim, hop_by_hop};
use futures_util::task::AtomicWaker;
use h2::server::SendResponse;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Response, StatusCode};

use crate::conn::http1::{MAX_INTERIM_BYTES, MAX_INTERIM_COUNT};

/// The interim responses of a stream. They wait until the stream's own task sends them.
#[derive(Debug, Default)]
pub(crate) struct InterimSender {
    queue: Mutex<Queue>,
    waker: AtomicWaker,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<Response<()>>,
    count: u32,
    bytes: usize,
    /// `true` once the final response is there.
    is_closed: bool,
}

// === impl InterimSender ===

impl InterimSender {
    /// Sends 100 (Continue).
    pub(super) fn send_continue(&self) {
        self.push(StatusCode::CONTINUE, HeaderMap::new());
    }

    /// Sends all responses that wait, and wakes this task when more come. None is accepted once the
    /// final response `is_there`.
    pub(super) fn flush(&self, respond: &mut SendResponse<Bytes>, is_there: bool, cx: &Context<'_>) {
        self.waker.register(cx.waker());
        let waiting = {
            let mut queue = self.queue();
            queue.is_closed |= is_there;
            std::mem::take(&mut queue.waiting)
        };
        for response in waiting {
            // The final response counts; an interim one may be lost.
            let _ = respond.send_informational(response);
        }
    }

    fn push(&self, status: StatusCode, headers: HeaderMap) -> bool {
        let length: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        let mut queue = self.queue();
        if queue.is_closed || queue.count >= MAX_INTERIM_COUNT || queue.bytes + length > MAX_INTERIM_BYTES {
            return false;
        }
        queue.count += 1;
        queue.bytes += length;
        let mut response = Response::new(());
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        queue.waiting.push(response);
        drop(queue);
        self.waker.wake();
        true
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SendInterim for InterimSender {
    fn send_interim(&self, _: u64, status: StatusCode, headers: &HeaderMap) -> bool {
        let mut headers = headers.clone();
        hop_by_hop::remove(&mut headers);
        headers.remove(CONTENT_LENGTH);
        self.push(status, headers)
    }
}
