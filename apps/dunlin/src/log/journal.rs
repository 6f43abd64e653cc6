//! The native protocol of systemd's journal: one datagram for each entry.
//!
//! A field is `NAME=value` and a newline, or, if the value has a newline, `NAME`, a newline, the
//! length as 64 bits, the value, and a newline.
//!
//! Entries wait in a [`Queue`](super::queue::Queue) like lines, each behind its length. The thread
//! of the queue sends them, so that a slow journal holds nothing up. `tracing-journald` sends on
//! the thread that logs.

use std::fmt::{self, Write as _};
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use tracing::field::{Field, Visit};
use tracing::{Event, Level};

use super::value::Value;

/// The address of the journal.
pub(super) const SOCKET: &str = "/run/systemd/journal/socket";

/// The sender of entries.
#[derive(Debug)]
pub(super) struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
}

/// Collects the fields of an event.
#[derive(Default)]
struct Fields {
    message: String,
    /// The other fields, for people, who see only the message.
    text: String,
    fields: Vec<u8>,
}

// === impl Journal ===

impl Journal {
    /// # Errors
    /// There is no journal at the path.
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        Ok(Self { socket: UnixDatagram::unbound()?, path: path.to_owned() })
    }
}

impl io::Write for Journal {
    /// Sends whole entries. Those that the journal does not take are lost.
    fn write(&mut self, mut entries: &[u8]) -> io::Result<usize> {
        let count = entries.len();
        let mut lost = None;
        while let Some((length, rest)) = entries.split_first_chunk() {
            let length = u32::from_le_bytes(*length) as usize;
            let Some((entry, rest)) = rest.split_at_checked(length) else { break };
            // By its path each time, because the journal may have been restarted.
            lost = self.socket.send_to(entry, &self.path).err().or(lost);
            entries = rest;
        }
        lost.map_or(Ok(count), Err)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes the entry of an event.
pub(super) fn event(out: &mut Vec<u8>, event: &Event<'_>) {
    let mut fields = Fields::default();
    event.record(&mut fields);
    let meta = event.metadata();
    framed(out, |out| {
        start(out, priority(*meta.level()), &(fields.message + &fields.text));
        field(out, "TARGET", meta.target().as_bytes());
        out.extend_from_slice(&fields.fields);
    });
}

/// Writes the entry of a request. `fields` calls its argument for each field.
pub(super) fn access(out: &mut Vec<u8>, message: &str, fields: impl Fn(&mut dyn FnMut(&'static str, Value<'_>))) {
    framed(out, |out| {
        start(out, priority(Level::INFO), message);
        field(out, "TARGET", b"access");
        fields(&mut |key, value| match value {
            Value::Text(text) | Value::Lines(text) => field(out, &name(key), text.as_bytes()),
            Value::Count(count) => field(out, &name(key), count.to_string().as_bytes()),
            Value::Seconds(time) => field(out, &name(key), time.as_secs_f64().to_string().as_bytes()),
        });
    });
}

/// Writes an entry behind its length.
fn framed(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out);
    let length = u32::try_from(out.len() - at - 4).unwrap_or(0);
    if let Some(place) = out.get_mut(at..at + 4) {
        place.copy_from_slice(&length.to_le_bytes());
    }
}

fn start(out: &mut Vec<u8>, priority: &str, message: &str) {
    field(out, "PRIORITY", priority.as_bytes());
    field(out, "SYSLOG_IDENTIFIER", b"dunlin");
    field(out, "MESSAGE", message.as_bytes());
}

/// The priority of syslog (RFC 5424 §6.2.1).
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        _ => "7",
    }
}

fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    if value.contains(&b'\n') {
        out.push(b'\n');
        out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        out.push(b'=');
    }
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// The name of a field in the journal: capital letters, digits and underscores, of which the first
/// is a letter.
fn name(key: &str) -> String {
    let letters = key.trim_start_matches(|letter: char| !letter.is_ascii_alphabetic());
    letters
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' })
        .collect()
}

// === impl Fields ===

impl Fields {
    fn add(&mut self, key: &str, value: &str) {
        match key {
            "message" => self.message.push_str(value),
            _ => {
                let _ = write!(self.text, " {key}={value}");
                field(&mut self.fields, &name(key), value.as_bytes());
            }
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        let _ = write!(text, "{value:?}");
        self.add(field.name(), &text);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn entries_are_datagrams() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        assert!(Journal::new(&path).is_err(), "there is no journal");
        let receiver = UnixDatagram::bind(&path).unwrap();
        let mut journal = Journal::new(&path).unwrap();
        let mut entries = Vec::new();
        access(&mut entries, "GET / 200", |each| {
            each("http.response.status_code", Value::Count(200));
            each("user_agent.original", Value::Text("a\nb".into()));
        });
        access(&mut entries, "second", |_| ());
        journal.write_all(&entries).unwrap();
        let mut buffer = [0; 1024];
        let count = receiver.recv(&mut buffer).unwrap();
        let head =
            "PRIORITY=6\nSYSLOG_IDENTIFIER=dunlin\nMESSAGE=GET / 200\nTARGET=access\nHTTP_RESPONSE_STATUS_CODE=200\n";
        let expect = [head.as_bytes(), b"USER_AGENT_ORIGINAL\n\x03\0\0\0\0\0\0\0a\nb\n"].concat();
        assert_eq!(&buffer[..count], expect);
        let count = receiver.recv(&mut buffer).unwrap();
        assert!(buffer[..count].ends_with(b"MESSAGE=second\nTARGET=access\n"));
        drop(receiver);
        assert!(journal.write_all(&entries).is_err(), "the journal is away");
    }

    #[test]
    fn names_of_fields() {
        assert_eq!(name("url.path"), "URL_PATH");
        assert_eq!(name("http.request.header.x-request-id"), "HTTP_REQUEST_HEADER_X_REQUEST_ID");
        assert_eq!(name("_private1"), "PRIVATE1");
    }
}
