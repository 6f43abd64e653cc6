//! [`Message`]: the messages with which listening sockets are handed over.

/// A message of the process that hands its sockets over.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Message<A> {
    /// The address of the socket that comes with the message.
    Socket(A),
    /// There are no more sockets.
    End,
}

/// The largest message, in bytes.
pub(crate) const MAX_BYTES: usize = 4096;

const SOCKET: u8 = b'+';
const END: u8 = b'.';

// === impl Message ===

impl<A: std::str::FromStr> Message<A> {
    /// Reads a message. `None` if it is not one.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [END] => Some(Self::End),
            [SOCKET, addr @ ..] => std::str::from_utf8(addr).ok()?.parse().ok().map(Self::Socket),
            _ => None,
        }
    }
}

impl<A: std::fmt::Display> Message<A> {
    /// The bytes of the message.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Socket(addr) => [&[SOCKET], addr.to_string().as_bytes()].concat(),
            Self::End => vec![END],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Addr;

    #[test]
    fn a_message_is_read_as_it_was_written() {
        for addr in ["127.0.0.1:80", "[::1]:443", "unix:/run/dunlin.sock"] {
            let message = Message::Socket(addr.parse::<Addr>().unwrap());
            assert_eq!(Message::parse(&message.to_bytes()), Some(message));
        }
        assert_eq!(Message::<Addr>::parse(&Message::<Addr>::End.to_bytes()), Some(Message::End));
    }

    #[test]
    fn anything_else_is_no_message() {
        for bytes in [&b""[..], b"+", b"+nowhere", b"+\xff", b"..", b"!127.0.0.1:80", b"127.0.0.1:80"] {
            assert_eq!(Message::<Addr>::parse(bytes), None, "{bytes:?}");
        }
    }
}
