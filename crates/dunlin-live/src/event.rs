//! [`Event`]: one server-sent event, as it is sent.

use std::fmt::Write as _;

use bytes::Bytes;
use dunlin_http::ContentHash;
use memchr::memchr2;

/// A server-sent event (HTML §9.2.6): some data, under the hash of it. Clones share the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    id: ContentHash,
    frame: Bytes,
}

// === impl Event ===

impl Event {
    /// Makes an event. A client gets the data with each line break as a line feed.
    #[must_use]
    pub fn new(data: &[u8]) -> Self {
        let id = ContentHash::of(data);
        let mut head = String::with_capacity(40);
        let _ = writeln!(head, "id: {id}");
        let mut frame = head.into_bytes();
        frame.reserve(data.len() + 16);
        let mut rest = data;
        loop {
            frame.extend_from_slice(b"data: ");
            let line = memchr2(b'\n', b'\r', rest);
            frame.extend_from_slice(&rest[..line.unwrap_or(rest.len())]);
            frame.push(b'\n');
            let Some(end) = line else { break };
            let skipped = if rest[end..].starts_with(b"\r\n") { 2 } else { 1 };
            rest = &rest[end + skipped..];
        }
        frame.push(b'\n');
        Self { id, frame: frame.into() }
    }

    /// The id, which is a hash of the data.
    #[must_use]
    pub const fn id(&self) -> ContentHash {
        self.id
    }

    /// The bytes to send.
    #[must_use]
    pub const fn frame(&self) -> &Bytes {
        &self.frame
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The id and the data of an event, as HTML §9.2.6 has a client read them.
    fn parse(frame: &[u8]) -> (String, String) {
        let text = String::from_utf8(frame.to_vec()).unwrap().replace("\r\n", "\n").replace('\r', "\n");
        let (mut id, mut data) = (String::new(), Vec::new());
        let body = text.strip_suffix("\n\n").expect("an empty line at the end");
        for line in body.split('\n') {
            let (name, value) = line.split_once(": ").expect("a field");
            match name {
                "id" => id = value.to_owned(),
                "data" => data.push(value),
                _ => panic!("{line}"),
            }
        }
        (id, data.join("\n"))
    }

    #[test]
    fn an_event_is_its_id_and_its_lines() {
        let event = Event::new(b"[1]");
        assert_eq!(event.frame(), &format!("id: {}\ndata: [1]\n\n", event.id()));
        assert_eq!(parse(Event::new(b"a\r\n\rb\n").frame()).1, "a\n\nb\n");
        assert_eq!(parse(Event::new(b"").frame()).1, "");
        assert_ne!(Event::new(b"a").id(), Event::new(b"b").id());
    }

    proptest! {
        #[test]
        fn a_client_reads_the_data(data in "[a\r\n:, ]{0,40}") {
            let event = Event::new(data.as_bytes());
            let (id, read) = parse(event.frame());
            prop_assert_eq!(id, event.id().to_string());
            prop_assert_eq!(read, data.replace("\r\n", "\n").replace('\r', "\n"));
        }
    }
}
