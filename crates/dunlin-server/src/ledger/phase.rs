//! [`Phase`] and [`Signal`]: where a connection stands, and what is asked of it.

/// The part of an exchange that the next bytes of a connection belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Nothing has come since the connection was accepted.
    New,
    /// A head is next, and none of it has come.
    Between,
    /// A part of a head has come.
    Head,
    /// The body of a request.
    Body,
    /// Frames of HTTP/2.
    Streams,
    /// A request for another protocol is not answered yet.
    Upgrade,
    /// Another protocol, after 101 (Switching Protocols).
    Tunnel,
    /// The last response was sent, and the rest is discarded.
    Linger,
}

/// A wish of the reaper, or of a loop that shuts down. A later one is stronger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Signal {
    None,
    /// Give the buffers back, because the connection has been idle for a while.
    Park,
    /// Close after the next response: the loop shuts down, or the connection is old.
    Drain,
    /// Close as soon as no request is in flight.
    Close,
    /// Answer 408 and close, because the head did not come in time.
    HeadTimeout,
    /// Close at once, whatever is in flight.
    Cut,
}

// === impl Phase ===

impl Phase {
    const ALL: [Self; 8] =
        [Self::New, Self::Between, Self::Head, Self::Body, Self::Streams, Self::Upgrade, Self::Tunnel, Self::Linger];

    #[inline]
    pub(super) const fn from_u8(number: u8) -> Self {
        Self::ALL[number as usize & 7]
    }
}

// === impl Signal ===

impl Signal {
    const ALL: [Self; 6] = [Self::None, Self::Park, Self::Drain, Self::Close, Self::HeadTimeout, Self::Cut];

    #[inline]
    pub(super) fn from_u8(number: u8) -> Self {
        Self::ALL.get(usize::from(number)).copied().unwrap_or(Self::Cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_for_what_they_were_made_of() {
        for phase in Phase::ALL {
            assert_eq!(Phase::from_u8(phase as u8), phase);
        }
        for signal in Signal::ALL {
            assert_eq!(Signal::from_u8(signal as u8), signal);
        }
    }
}
