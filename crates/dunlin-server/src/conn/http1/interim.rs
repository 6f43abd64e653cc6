//! Interim responses (RFC 9110 §15.2).
//!
//! A handler may send them from any task until the final response begins. They wait in a queue that
//! only the connection empties, ahead of the final response, so that none stands within another
//! response.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, StatusCode};

use super::response::{write_field, write_status_line};

/// The limit of interim responses to one request.
pub(crate) const MAX_COUNT: u32 = 32;
/// The limit of their bytes.
pub(crate) const MAX_BYTES: usize = 64 << 10;

/// Interim responses on their way to the socket.
#[derive(Debug, Default)]
pub(crate) struct InterimQueue {
    /// The number of the request that may send some. 0 if none may.
    open: AtomicU64,
    waiting: AtomicBool,
    queue: Mutex<Option<Box<Queue>>>,
}

#[derive(Debug, Default)]
struct Queue {
    request: u64,
    /// Counted from the beginning of the request.
    count: u32,
    bytes: usize,
    out: Vec<u8>,
}

// === impl InterimQueue ===

impl InterimQueue {
    /// Accepts interim responses of the request with this number. The request before it is
    /// answered.
    pub(crate) fn open(&self, request: u64) {
        self.open.store(request, Relaxed);
    }

    /// Accepts no more, because the final response is there. Returns `true` if some still wait to
    /// be written.
    pub(crate) fn close(&self) -> bool {
        if self.open.load(Relaxed) != 0 {
            // The lock makes a `push` either complete now, or be refused later.
            let _queue = self.queue.lock();
            self.open.store(0, Relaxed);
        }
        self.waiting.load(Acquire)
    }

    /// Returns `true` if the request may still send some.
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Relaxed) != 0
    }

    /// Adds a response. Returns `false` if the request is answered, or has sent too many.
    pub(crate) fn push(&self, request: u64, status: StatusCode, headers: &HeaderMap) -> bool {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if self.open.load(Relaxed) != request {
            return false;
        }
        let queue = queue.get_or_insert_default();
        if queue.request != request {
            **queue = Queue { request, ..Queue::default() };
        }
        let before = queue.out.len();
        write(&mut queue.out, status, headers);
        let length = queue.out.len() - before;
        if queue.count >= MAX_COUNT || queue.bytes + length > MAX_BYTES {
            queue.out.truncate(before);
            return false;
        }
        queue.count += 1;
        queue.bytes += length;
        self.waiting.store(true, Release);
        true
    }

    /// Returns `true` if responses wait to be written.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.load(Relaxed)
    }

    /// Passes the waiting bytes to `write`.
    pub(crate) fn take(&self, write: impl FnOnce(&[u8])) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        self.waiting.store(false, Relaxed);
        if let Some(queue) = &mut *queue {
            write(&std::mem::take(&mut queue.out));
        }
        if !self.is_open() {
            *queue = None;
        }
    }
}

/// Writes a response without content.
fn write(out: &mut Vec<u8>, status: StatusCode, headers: &HeaderMap) {
    write_status_line(out, status);
    // RFC 9112 §6.3: an interim response has no content, and does not change the connection.
    let own = [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE];
    for (name, value) in headers.iter().filter(|(name, _)| !own.contains(name)) {
        write_field(out, name.as_str().as_bytes(), value.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn taken(queue: &InterimQueue) -> String {
        let mut all = Vec::new();
        queue.take(|bytes| all.extend_from_slice(bytes));
        String::from_utf8(all).unwrap()
    }

    #[test]
    fn a_response_is_a_head_without_framing() {
        let queue = InterimQueue::default();
        queue.open(1);
        let link = HeaderValue::from_static("</a.css>; rel=preload");
        let mut headers = HeaderMap::from_iter([(http::header::LINK, link)]);
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("9"));
        assert!(queue.push(1, StatusCode::PROCESSING, &HeaderMap::new()));
        assert!(queue.push(1, StatusCode::EARLY_HINTS, &headers));
        assert!(queue.is_waiting());
        assert_eq!(
            taken(&queue),
            "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n"
        );
        assert!(!queue.is_waiting());
    }

    #[test]
    fn only_the_request_in_flight_sends_interim_responses() {
        let queue = InterimQueue::default();
        let push = |request| queue.push(request, StatusCode::PROCESSING, &HeaderMap::new());
        assert!(!push(1));
        queue.open(1);
        assert!(push(1) && !push(2));
        assert!(queue.close(), "one waits");
        assert!(!push(1));
        assert_ne!(taken(&queue), "");
        assert!(!queue.close() && !queue.is_open());
        queue.open(2);
        assert!(push(2) && !push(1));
    }

    #[test]
    fn interim_responses_are_limited() {
        let queue = InterimQueue::default();
        queue.open(1);
        let sent = (0..100).filter(|_| queue.push(1, StatusCode::PROCESSING, &HeaderMap::new())).count();
        assert_eq!(sent, MAX_COUNT as usize);
        taken(&queue);
        assert!(!queue.push(1, StatusCode::PROCESSING, &HeaderMap::new()), "counted for the request");
        queue.close();
        queue.open(2);
        let long = HeaderMap::from_iter([(http::header::LINK, HeaderValue::from_bytes(&[b'x'; 30_000]).unwrap())]);
        let sent = (0..5).filter(|_| queue.push(2, StatusCode::EARLY_HINTS, &long)).count();
        assert_eq!(sent, 2);
    }
}
