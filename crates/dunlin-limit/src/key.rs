//! [`Key`]: the bytes that identify a client.

use std::net::IpAddr;

/// The prefix of an IP address, without an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    bytes: [u8; 9],
    length: u8,
}

/// The key of a client: its IPv4 address, or the /64 network of its IPv6 address, because one
/// client usually has a whole /64. All clients on Unix sockets share one key.
#[must_use]
pub fn client_key(client: Option<IpAddr>) -> Key {
    let mut key = Key { bytes: [0; 9], length: 1 };
    match client.map(|ip| ip.to_canonical()) {
        None => {}
        Some(IpAddr::V4(ip)) => {
            key.bytes[0] = 4;
            key.bytes[1..5].copy_from_slice(&ip.octets());
            key.length = 5;
        }
        Some(IpAddr::V6(ip)) => {
            key.bytes[0] = 6;
            key.bytes[1..9].copy_from_slice(&ip.octets()[..8]);
            key.length = 9;
        }
    }
    key
}

// === impl Key ===

impl Key {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_client_have_one_key() {
        let key = |text: &str| client_key(text.parse().ok());
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1"));
        assert_eq!(key("::ffff:10.0.0.1"), key("10.0.0.1"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_ne!(key("10.0.0.1"), key("10.0.0.2"));
        assert_eq!((key("").as_bytes().len(), key("10.0.0.1").as_bytes().len()), (1, 5));
    }
}
