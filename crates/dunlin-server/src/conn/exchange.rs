//! [`Exchange`]: one request and its response, as a handler sees them.

use std::fmt;
use std::sync::{Arc, OnceLock};

use dunlin_http::Interim;

use super::Connection;
use super::http2::InterimSender;

/// One request and its response: the context of a connection's handler.
///
/// A clone belongs to the same request.
pub struct Exchange {
    connection: Arc<Connection>,
    channel: Channel,
}

/// The path of interim responses.
enum Channel {
    /// The client's protocol has none.
    None,
    /// The request of this number on the connection.
    Http1(u64),
    /// A stream. The sender is made at the first request for it.
    Http2(OnceLock<Arc<InterimSender>>),
}

// === impl Exchange ===

impl Exchange {
    pub(super) const fn without_interim(connection: Arc<Connection>) -> Self {
        Self { connection, channel: Channel::None }
    }

    /// An exchange on a stream, with its sender if that is there already.
    pub(super) fn on_stream(connection: Arc<Connection>, sender: Option<Arc<InterimSender>>) -> Self {
        Self { connection, channel: Channel::Http2(sender.map_or_else(OnceLock::new, OnceLock::from)) }
    }

    /// Changes to the next request of an HTTP/1 connection.
    pub(super) fn set_request(&mut self, number: Option<u64>) {
        self.channel = number.map_or(Channel::None, Channel::Http1);
    }

    /// The sender of a stream, if it was requested.
    pub(super) fn into_sender(self) -> Option<Arc<InterimSender>> {
        match self.channel {
            Channel::Http2(sender) => sender.into_inner(),
            Channel::None | Channel::Http1(_) => None,
        }
    }

    /// The connection that the request came on.
    #[must_use]
    pub const fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// The place where interim responses to the request go, such as 103.
    ///
    /// Returns `None` for HTTP/1.0 (RFC 9110 §15.2). Returns `None` for requests for an upgrade,
    /// too, because their implementation cannot send any.
    #[must_use]
    pub fn interim(&self) -> Option<Interim> {
        match &self.channel {
            Channel::None => None,
            Channel::Http1(request) => {
                self.connection.interim.open(*request);
                Some(Interim::new(self.connection.clone(), *request))
            }
            Channel::Http2(sender) => Some(Interim::new(sender.get_or_init(Arc::default).clone(), 0)),
        }
    }
}

impl Clone for Exchange {
    fn clone(&self) -> Self {
        let channel = match &self.channel {
            Channel::None => Channel::None,
            Channel::Http1(request) => Channel::Http1(*request),
            // A clone shares the sender, so it is made now.
            Channel::Http2(sender) => Channel::Http2(sender.get_or_init(Arc::default).clone().into()),
        };
        Self { connection: self.connection.clone(), channel }
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("connection", &self.connection).finish_non_exhaustive()
    }
}
