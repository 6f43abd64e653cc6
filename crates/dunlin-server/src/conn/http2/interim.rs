//! Interim responses (RFC 9110 §15.2) on a stream.

use std::sync::{Mutex, PoisonError};
use std::task::Context;

use bytes::Bytes;
use dunlin_http::SendInterim;
use futures_util::task::AtomicWaker;
use h2::server::SendResponse;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Response, StatusCode};

use super::stream::strip;
use crate::conn::http1::{MAX_INTERIM_BYTES, MAX_INTERIM_COUNT};

/// What is told of an answer before it is there. It waits until the stream's own task sends it.
#[derive(Debug, Default)]
pub(crate) struct Voice {
    told: Mutex<Told>,
    waker: AtomicWaker,
}

#[derive(Debug, Default)]
struct Told {
    waiting: Vec<Response<()>>,
    count: u32,
    bytes: usize,
    /// Whether the final response is there.
    is_over: bool,
}

// === impl Voice ===

impl Voice {
    /// Tells the client that the content of its request is waited for.
    pub(super) fn go_on(&self) {
        self.tell(StatusCode::CONTINUE, HeaderMap::new());
    }

    /// Sends what waits, ahead of the final response, which `is_over` says is there. Wakes this task if more comes.
    pub(super) fn speak(&self, respond: &mut SendResponse<Bytes>, is_over: bool, cx: &Context<'_>) {
        self.waker.register(cx.waker());
        let waiting = {
            let mut told = self.told();
            told.is_over |= is_over;
            std::mem::take(&mut told.waiting)
        };
        for response in waiting {
            // What cannot be sent is not missed: the final response is what counts.
            let _ = respond.send_informational(response);
        }
    }

    fn tell(&self, status: StatusCode, headers: HeaderMap) -> bool {
        let length: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        let mut told = self.told();
        if told.is_over || told.count >= MAX_INTERIM_COUNT || told.bytes + length > MAX_INTERIM_BYTES {
            return false;
        }
        told.count += 1;
        told.bytes += length;
        let mut response = Response::new(());
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        told.waiting.push(response);
        drop(told);
        self.waker.wake();
        true
    }

    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SendInterim for Voice {
    fn send_interim(&self, _: u64, status: StatusCode, headers: &HeaderMap) -> bool {
        let mut headers = headers.clone();
        strip(&mut headers);
        headers.remove(CONTENT_LENGTH);
        self.tell(status, headers)
    }
}
