//! [`Interim`]: the sender of interim responses (RFC 9110 §15.2).

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, StatusCode};

/// The sender of interim responses to one request, such as 103 (Early Hints, RFC 8297).
///
/// A server makes one if the client's protocol allows interim responses. Responses after the final
/// one has begun are dropped, and so are those beyond the server's limit. A clone may therefore
/// outlive the request.
#[derive(Clone)]
pub struct Interim {
    connection: Arc<dyn SendInterim>,
    request: u64,
}

/// A connection that interim responses can be sent on.
pub trait SendInterim: Send + Sync + 'static {
    /// Sends an interim response to the request with this number. Returns `true` if it was sent.
    fn send_interim(&self, request: u64, status: StatusCode, headers: &HeaderMap) -> bool;
}

// === impl Interim ===

impl Interim {
    /// Makes the sender for the request with this number on `connection`.
    #[must_use]
    pub fn new(connection: Arc<dyn SendInterim>, request: u64) -> Self {
        Self { connection, request }
    }

    /// Sends an interim response. Returns `true` if the connection accepted it.
    ///
    /// 100 (Continue) is not sent, because the server sends it when the content is read. 101
    /// (Switching Protocols) is not sent, because it ends the use of HTTP (RFC 9110 §15.2.1,
    /// §15.2.2).
    #[allow(clippy::must_use_candidate, reason = "most callers cannot react to a failure")]
    pub fn send(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        let sendable = status.is_informational() && status.as_u16() > 101;
        sendable && self.connection.send_interim(self.request, status, headers)
    }
}

impl fmt::Debug for Interim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interim").field("request", &self.request).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Sent(Mutex<Vec<(u64, u16)>>);

    impl SendInterim for Sent {
        fn send_interim(&self, request: u64, status: StatusCode, _: &HeaderMap) -> bool {
            self.0.lock().unwrap().push((request, status.as_u16()));
            true
        }
    }

    #[test]
    fn only_interim_responses_are_sent() {
        let sent = Arc::new(Sent::default());
        let interim = Interim::new(sent.clone(), 7);
        let taken = [100, 101, 102, 103, 199, 200, 404]
            .map(|status| interim.send(StatusCode::from_u16(status).unwrap(), &HeaderMap::new()));
        assert_eq!(taken, [false, false, true, true, true, false, false]);
        assert_eq!(*sent.0.lock().unwrap(), [(7, 102), (7, 103), (7, 199)]);
    }
}
