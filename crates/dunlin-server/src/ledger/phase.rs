//! [`Phase`] and [`Signal`]: the state of a connection, and the commands of the reaper.

/// The part of an exchange that the next bytes of a connection belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Nothing has come since the connection was accepted.
    New = 0,
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

/// A command of the reaper, or of a loop that shuts down. A later variant is stronger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Signal {
    None = 0,
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
    #[inline]
    pub(super) const fn from_u8(number: u8) -> Self {
        match number {
            0 => Self::New,
            1 => Self::Between,
            2 => Self::Head,
            3 => Self::Body,
            4 => Self::Streams,
            5 => Self::Upgrade,
            6 => Self::Tunnel,
            _ => Self::Linger,
        }
    }
}

// === impl Signal ===

impl Signal {
    #[inline]
    pub(super) const fn from_u8(number: u8) -> Self {
        match number {
            0 => Self::None,
            1 => Self::Park,
            2 => Self::Drain,
            3 => Self::Close,
            4 => Self::HeadTimeout,
            _ => Self::Cut,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_trip() {
        for number in 0..=Phase::Linger as u8 {
            assert_eq!(Phase::from_u8(number) as u8, number);
        }
        for number in 0..=Signal::Cut as u8 {
            assert_eq!(Signal::from_u8(number) as u8, number);
        }
    }
}
