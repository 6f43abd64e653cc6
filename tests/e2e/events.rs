//! A client of server-sent events.

use std::net::SocketAddr;

use dunlin_testkit::raw;

/// A stream of events.
pub(crate) struct Events {
    connection: raw::Connection,
    text: String,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) data: String,
}

const ACCEPT: (&str, &str) = ("Accept", "text/event-stream");

// === impl Events ===

impl Events {
    /// Opens a stream.
    #[track_caller]
    pub(crate) fn open(addr: SocketAddr, target: &str, headers: &[(&str, &str)]) -> Self {
        let mut connection = raw::Connection::open(addr);
        connection.send_request("GET", target, &[&[ACCEPT], headers].concat(), b"");
        let head = connection.read_head().expect("a head");
        assert_eq!(head.status, 200, "{target}: {head:?}");
        assert_eq!(head.header("content-type"), Some("text/event-stream"));
        assert_eq!(head.header("cache-control"), Some("no-store"));
        assert_eq!(head.header("content-encoding"), None);
        Self { connection, text: String::new() }
    }

    /// The response to a request for events that gets none.
    #[track_caller]
    pub(crate) fn refused(addr: SocketAddr, target: &str, headers: &[(&str, &str)]) -> raw::Response {
        raw::request(addr, "GET", target, &[&[ACCEPT], headers].concat(), b"")
    }

    /// The next event; `None` if the stream ends in order.
    pub(crate) fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let block: String = self.text.drain(..end + 2).collect();
                let field = |name: &str| {
                    let values = block.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                    values.collect::<Vec<_>>().join("\n")
                };
                if block.contains("data: ") {
                    return Some(Event { id: field("id"), data: field("data") });
                }
                continue;
            }
            let chunk = self.connection.read_chunk().expect("the stream goes on or ends in order")?;
            self.text.push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
        }
    }

    /// The data of the next event.
    #[track_caller]
    pub(crate) fn data(&mut self) -> String {
        self.next().expect("an event").data
    }

    /// Reads events until one has this data.
    #[track_caller]
    pub(crate) fn until(&mut self, data: &str) {
        while self.data() != data {}
    }
}
