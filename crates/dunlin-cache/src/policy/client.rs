//! [`Client`]: the client of a request, as far as RFC 9111 §3.5 and the key ask about it.

use dunlin_http::Identity;

use crate::RoutePolicy;

/// The client of a request, as far as it decides which stored responses may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client<'a> {
    /// A client without a verified identity.
    Anonymous,
    /// A client with a verified identity. Only responses that are explicitly for all clients are
    /// stored for it or answer it.
    Identified,
    /// A client with entries of its own, by the subject of its identity.
    Separate(&'a str),
}

// === impl Client ===

impl<'a> Client<'a> {
    /// The client with this identity on a route. An identity without a subject has no entries of
    /// its own, because nothing distinguishes it from others.
    pub(crate) fn of(identity: Option<&'a Identity>, policy: &RoutePolicy) -> Self {
        match identity {
            None => Self::Anonymous,
            Some(identity) => {
                identity.subject().filter(|_| policy.per_identity).map_or(Self::Identified, Self::Separate)
            }
        }
    }

    /// The subject whose own entries the client uses.
    pub(crate) const fn subject(self) -> Option<&'a str> {
        match self {
            Self::Separate(subject) => Some(subject),
            Self::Anonymous | Self::Identified => None,
        }
    }
}
