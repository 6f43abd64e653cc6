//! Interim responses (RFC 9110 §15.2): what is told of an answer before it is there.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, StatusCode};

/// Where interim responses to a request go, such as 103 with what a browser may fetch already (RFC
/// 8297).
///
/// A server puts it into a request's extensions where the client's protocol allows such responses.
/// What is sent once the final response has begun goes nowhere, and neither does more than the
/// server thinks reasonable; so a clone may be kept for as long as anybody likes.
#[derive(Clone)]
pub struct Interim {
    to: Arc<dyn SendInterim>,
    request: u64,
}

/// A connection that interim responses can be sent on.
pub trait SendInterim: Send + Sync + 'static {
    /// Sends an interim response to the request of this number; whether it was taken.
    fn send_interim(&self, request: u64, status: StatusCode, headers: &HeaderMap) -> bool;
}

// === impl Interim ===

impl Interim {
    /// Interim responses to the request that `to` knows by this number.
    #[must_use]
    pub fn new(to: Arc<dyn SendInterim>, request: u64) -> Self {
        Self { to, request }
    }

    /// Sends one; whether the connection took it. 100 is not sent, as a server does that by itself
    /// when the content is read, and neither is 101, which is a final response to this protocol
    /// (RFC 9110 §15.2.1, §15.2.2).
    #[allow(clippy::must_use_candidate, reason = "hardly anybody can do something about it")]
    pub fn send(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        let sendable = status.is_informational() && status.as_u16() > 101;
        sendable && self.to.send_interim(self.request, status, headers)
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
    fn only_what_is_interim_is_sent() {
        let sent = Arc::new(Sent::default());
        let interim = Interim::new(sent.clone(), 7);
        let taken = [100, 101, 102, 103, 199, 200, 404]
            .map(|status| interim.send(StatusCode::from_u16(status).unwrap(), &HeaderMap::new()));
        assert_eq!(taken, [false, false, true, true, true, false, false]);
        assert_eq!(*sent.0.lock().unwrap(), [(7, 102), (7, 103), (7, 199)]);
    }
}
