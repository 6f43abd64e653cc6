//! The head of a response (RFC 9112 §4 and §6).

use std::cell::RefCell;
use std::time::{Duration, UNIX_EPOCH};

use dunlin_http::{StoredReply, date};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::framing::{has_token, length};

/// The facts about a request that its response depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestFacts {
    pub(super) to_head: bool,
    /// `true` if the client speaks HTTP/1.0.
    pub(super) is_10: bool,
    /// `true` if the connection may go on behind the response.
    pub(super) persists: bool,
}

/// The framing of a response's content (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// There is none.
    None,
    /// This number of bytes is left.
    Length(u64),
    Chunked,
    /// It ends with the connection.
    UntilClose,
}

/// The consequences of a head that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) content: Content,
    /// `true` if the connection goes on.
    pub(super) persists: bool,
}

/// Writes the head of a final response whose content has this `length`, where that is known. The
/// server frames the message, and ignores framing in the fields. `seconds` since 1970 become the
/// Date if there is none.
pub(super) fn write(
    out: &mut Vec<u8>,
    status: StatusCode,
    headers: &HeaderMap,
    length: Option<u64>,
    facts: RequestFacts,
    seconds: u64,
) -> Written {
    out.reserve(128 + 48 * headers.len());
    write_status_line(out, status);
    let (mut closes, mut dated, mut announced) = (false, false, None);
    for (name, value) in headers {
        if *name == CONTENT_LENGTH {
            announced = Some(value);
            continue;
        }
        if *name == TRANSFER_ENCODING {
            continue;
        }
        if *name == CONNECTION {
            closes |= has_token(value.as_bytes(), b"close");
            continue;
        }
        dated |= *name == DATE;
        write_field(out, name.as_str().as_bytes(), value.as_bytes());
    }
    let content = content(status, length, announced, facts);
    write_framing(out, status, length, announced, content, facts);
    let persists = facts.persists && !closes && content != Content::UntilClose;
    write_end(out, facts, persists, dated, seconds);
    Written { content, persists }
}

/// Writes the head of a stored response. It is not for HEAD.
pub(super) fn write_ready(out: &mut Vec<u8>, ready: &StoredReply, facts: RequestFacts, seconds: u64) -> Written {
    let length = ready.body().len().unwrap_or_default();
    out.reserve(512);
    write_status_line(out, ready.head().status());
    ready.write(out);
    write_field(out, b"content-length", itoa::Buffer::new().format(length).as_bytes());
    write_end(out, facts, facts.persists, ready.has_date(), seconds);
    Written { content: Content::Length(length), persists: facts.persists }
}

/// Writes the server's own fields, and the end of the head.
fn write_end(out: &mut Vec<u8>, facts: RequestFacts, persists: bool, dated: bool, seconds: u64) {
    if !persists {
        out.extend_from_slice(b"connection: close\r\n");
    } else if facts.is_10 {
        out.extend_from_slice(b"connection: keep-alive\r\n");
    }
    if !dated {
        write_date(out, seconds);
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes the status line, with the server's version whatever the client's is (RFC 9110 §6.2).
pub(super) fn write_status_line(out: &mut Vec<u8>, status: StatusCode) {
    if status == StatusCode::OK {
        return out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[inline]
pub(super) fn write_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    write_all(out, [name, b": ", value, b"\r\n"]);
}

/// Writes the pieces one behind the other, with one check for room.
#[inline]
fn write_all<const COUNT: usize>(out: &mut Vec<u8>, pieces: [&[u8]; COUNT]) {
    let len = pieces.iter().map(|piece| piece.len()).sum();
    out.reserve(len);
    // SAFETY: `reserve` made room for `len` bytes behind the `out.len()` that are there. The pieces
    // do not overlap it, because they are borrowed and `out` is borrowed mutably. All `len` bytes
    // are written before the length is set.
    unsafe {
        let mut to = out.as_mut_ptr().add(out.len());
        for piece in pieces {
            to.copy_from_nonoverlapping(piece.as_ptr(), piece.len());
            to = to.add(piece.len());
        }
        out.set_len(out.len() + len);
    }
}

fn write_date(out: &mut Vec<u8>, seconds: u64) {
    const EPOCH: [u8; 37] = *b"date: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
    thread_local! {
        /// The last second that was written, and its line.
        static LINE: RefCell<(u64, [u8; 37])> = const { RefCell::new((0, EPOCH)) };
    }
    LINE.with_borrow_mut(|(second, line)| {
        if *second != seconds {
            *second = seconds;
            // IMF-fixdate has one length (RFC 9110 §5.6.7).
            line[6..35].copy_from_slice(date::format(UNIX_EPOCH + Duration::from_secs(seconds)).as_bytes());
        }
        out.extend_from_slice(line);
    });
}

/// RFC 9112 §6.3, as a sender.
fn content(status: StatusCode, length: Option<u64>, announced: Option<&HeaderValue>, facts: RequestFacts) -> Content {
    match length {
        _ if facts.to_head || !may_have_content(status) => Content::None,
        Some(0) => Content::None,
        Some(length) => Content::Length(length),
        // The handler knows the length of its stream.
        None => match announced.and_then(parse_length) {
            Some(length) => Content::Length(length),
            None if facts.is_10 => Content::UntilClose,
            None => Content::Chunked,
        },
    }
}

/// RFC 9110 §6.4.1 and §15.3.6.
pub(crate) const fn may_have_content(status: StatusCode) -> bool {
    !matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)
}

fn write_framing(
    out: &mut Vec<u8>,
    status: StatusCode,
    length: Option<u64>,
    announced: Option<&HeaderValue>,
    content: Content,
    facts: RequestFacts,
) {
    let length = match content {
        Content::Length(length) => Some(length),
        Content::Chunked => return out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Content::UntilClose => return,
        Content::None => match status {
            // RFC 9110 §8.6: none in a 204.
            StatusCode::NO_CONTENT => return,
            StatusCode::RESET_CONTENT => Some(0),
            // The length that a GET would have, if the handler gave it.
            StatusCode::NOT_MODIFIED => announced.and_then(parse_length),
            _ if facts.to_head => announced.and_then(parse_length).or(length.filter(|length| *length > 0)),
            _ => Some(0),
        },
    };
    if let Some(length) = length {
        write_all(out, [b"content-length: ", itoa::Buffer::new().format(length).as_bytes(), b"\r\n"]);
    }
}

fn parse_length(value: &HeaderValue) -> Option<u64> {
    length(value.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::BytesMut;
    use dunlin_http::{Body, Lines, StoredHead, VolatileFields};
    use http::{HeaderName, Response};

    use super::*;

    const GET: RequestFacts = RequestFacts { to_head: false, is_10: false, persists: true };
    const HEAD: RequestFacts = RequestFacts { to_head: true, ..GET };
    const OLD: RequestFacts = RequestFacts { is_10: true, ..GET };

    /// Checks the head of a response, without its Date, and its framing.
    #[track_caller]
    fn check(
        status: u16,
        fields: &[(&str, &str)],
        length: Option<u64>,
        facts: RequestFacts,
        expect: &str,
        content: Content,
    ) {
        let mut response = Response::builder().status(status);
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        let response = response.body(()).unwrap();
        let mut out = Vec::new();
        let written = write(&mut out, response.status(), response.headers(), length, facts, 784_111_777);
        let text = String::from_utf8(out).unwrap().replace("date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", "");
        assert_eq!(text, format!("HTTP/1.1 {}\r\n\r\n", expect.replace('|', "\r\n")));
        assert_eq!(written.content, content);
        assert_eq!(written.persists, !text.contains("connection: close"));
    }

    #[test]
    fn the_content_length_is_the_known_length() {
        check(200, &[], Some(5), GET, "200 OK|content-length: 5", Content::Length(5));
        check(200, &[("content-length", "9")], Some(5), GET, "200 OK|content-length: 5", Content::Length(5));
        check(200, &[("content-length", "9")], None, GET, "200 OK|content-length: 9", Content::Length(9));
        check(200, &[("content-length", "x")], None, GET, "200 OK|transfer-encoding: chunked", Content::Chunked);
        check(404, &[], Some(0), GET, "404 Not Found|content-length: 0", Content::None);
        check(200, &[("transfer-encoding", "gzip")], Some(1), GET, "200 OK|content-length: 1", Content::Length(1));
        check(200, &[], None, OLD, "200 OK|connection: close", Content::UntilClose);
        check(200, &[], Some(1), OLD, "200 OK|content-length: 1|connection: keep-alive", Content::Length(1));
    }

    #[test]
    fn responses_without_content() {
        check(204, &[("content-length", "9")], Some(5), GET, "204 No Content", Content::None);
        check(205, &[], Some(5), GET, "205 Reset Content|content-length: 0", Content::None);
        check(304, &[], Some(0), GET, "304 Not Modified", Content::None);
        check(304, &[("content-length", "9")], Some(0), GET, "304 Not Modified|content-length: 9", Content::None);
        check(200, &[], Some(5), HEAD, "200 OK|content-length: 5", Content::None);
        check(200, &[("content-length", "9")], Some(0), HEAD, "200 OK|content-length: 9", Content::None);
        check(200, &[], None, HEAD, "200 OK", Content::None);
        check(599, &[], Some(0), HEAD, "599 ", Content::None);
    }

    #[test]
    fn the_server_decides_connection_fields() {
        let ends = RequestFacts { persists: false, ..GET };
        check(200, &[], Some(0), ends, "200 OK|content-length: 0|connection: close", Content::None);
        let close = [("connection", "x, Close"), ("x", "y")];
        check(200, &close, Some(0), GET, "200 OK|x: y|content-length: 0|connection: close", Content::None);
        check(200, &[("connection", "x")], Some(0), GET, "200 OK|content-length: 0", Content::None);
    }

    /// A stored response of two bytes with the line `x: y`, and perhaps a date.
    struct Stored(HeaderMap, Lines);

    impl Stored {
        fn ready(date: Option<&'static str>) -> StoredReply {
            let (mut headers, mut text) = (HeaderMap::new(), BytesMut::new());
            let fields = [("x", Some("y")), ("date", date)];
            for (name, value) in fields.into_iter().filter_map(|(name, value)| Some((name, value?))) {
                let (name, value) = (HeaderName::from_static(name), HeaderValue::from_static(value));
                Lines::push(&mut text, &name, &value);
                headers.insert(name, value);
            }
            let ahead = VolatileFields::new([(HeaderName::from_static("age"), HeaderValue::from_static("7"))]);
            let kept = Self(headers, Lines::parse(text.freeze()).unwrap());
            StoredReply::new(Arc::new(kept), Arc::new(ahead), Body::from("ab")).unwrap()
        }
    }

    impl StoredHead for Stored {
        fn status(&self) -> StatusCode {
            StatusCode::OK
        }

        fn headers(&self) -> &HeaderMap {
            &self.0
        }

        fn lines(&self) -> Option<&Lines> {
            Some(&self.1)
        }
    }

    #[test]
    fn a_stored_head_equals_a_written_one() {
        for (date, facts) in [None, Some("then")]
            .into_iter()
            .flat_map(|date| [GET, OLD, RequestFacts { persists: false, ..GET }].map(|facts| (date, facts)))
        {
            let (mut before, mut now) = (Vec::new(), Vec::new());
            let ready = Stored::ready(date);
            let written = write_ready(&mut before, &ready, facts, 784_111_777);
            let response = ready.into_response();
            assert_eq!(written, write(&mut now, response.status(), response.headers(), Some(2), facts, 784_111_777));
            let lines = |head: &[u8]| {
                let mut lines: Vec<_> = std::str::from_utf8(head).unwrap().split("\r\n").map(str::to_owned).collect();
                lines[1..].sort();
                lines
            };
            assert_eq!(lines(&before), lines(&now));
            assert!(before.ends_with(b"\r\n\r\n"));
        }
    }
}
