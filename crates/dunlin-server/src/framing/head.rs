//! The head of a request (RFC 9112 §2 to §6).

use std::mem::MaybeUninit;

use http::StatusCode;

use super::{Framing, HeadLimits, Reject, is_host};

/// A head that is complete and has one meaning.
#[derive(Debug)]
pub(super) struct Head {
    /// Its length in bytes, with empty lines before it and the one at its end.
    pub(super) len: usize,
    pub(super) framing: Framing,
    /// Whether it asks for another protocol.
    pub(super) upgrade: bool,
    /// Whether it has an `Expect` field.
    pub(super) expects: bool,
}

/// Room for fields on the stack; [`HeadLimits::fields`] bounds them further.
const MAX_FIELDS: usize = 256;

/// Reads a head: `None` while it is not complete.
pub(super) fn parse(bytes: &[u8], limits: &HeadLimits) -> Result<Option<Head>, Reject> {
    let mut fields = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut []);
    let len = match request.parse_with_uninit_headers(bytes, &mut fields) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return partial(bytes, limits).map(|_| None),
        Err(error) => return Err(refuse(error, bytes, limits)),
    };
    if len > limits.bytes || request.headers.len() > limits.fields {
        return Err(TOO_LARGE);
    }
    // RFC 9112 §2.2: a recipient may take a bare LF for a line's end. It may also not, and one that does reads
    // another request than one that does not.
    if !only_crlf(&bytes[..len]) {
        return Err(Reject::bad("a line ends without CR"));
    }
    let is_11 = request.version == Some(1);
    let method = request.method.unwrap_or_default();
    check_target(method, request.path.unwrap_or_default().as_bytes(), limits)?;
    let mut fields = Fields::default();
    for field in request.headers.iter() {
        fields.see(field.name, field.value)?;
    }
    fields.check(is_11, len).map(Some)
}

/// A head of which a part came: is it still within the limits?
pub(super) fn partial(bytes: &[u8], limits: &HeadLimits) -> Result<usize, Reject> {
    if bytes.len() > limits.target {
        let line = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).map_or(bytes, |at| &bytes[at..]);
        // RFC 9112 §3: "a server that receives a request-target longer than any URI it wishes to parse MUST respond
        // with a 414".
        if line.len() > limits.target + 32 && memchr::memchr(b'\n', &line[..limits.target + 32]).is_none() {
            return Err(TARGET_TOO_LONG);
        }
    }
    if bytes.len() >= limits.bytes { Err(TOO_LARGE) } else { Ok(0) }
}

/// Whether every line of a head that httparse took ends with CRLF.
pub(super) fn only_crlf(head: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', head).all(|at| at > 0 && head[at - 1] == b'\r')
}

const TOO_LARGE: Reject =
    Reject::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "the head of the request is too large");
const OTHER_VERSION: Reject =
    Reject::new(StatusCode::HTTP_VERSION_NOT_SUPPORTED, "this server speaks HTTP/1.1 and HTTP/1.0 here");
const TARGET_TOO_LONG: Reject = Reject::new(StatusCode::URI_TOO_LONG, "the request target is too long");

fn refuse(error: httparse::Error, bytes: &[u8], limits: &HeadLimits) -> Reject {
    if let Err(reject) = partial(bytes, limits) {
        return reject;
    }
    match error {
        httparse::Error::TooManyHeaders => TOO_LARGE,
        httparse::Error::HeaderName => Reject::bad("a field's name is malformed"),
        httparse::Error::HeaderValue => Reject::bad("a field's value is malformed"),
        httparse::Error::NewLine => Reject::bad("a line ends malformed"),
        httparse::Error::Version if other_version(bytes).is_some() => OTHER_VERSION,
        _ => Reject::bad("the request line is malformed"),
    }
}

/// RFC 9112 §2.3: a message of a later minor version is to be read as one of the highest version that is known. Where
/// its digit stands, if that is all that is wrong.
#[cold]
pub(super) fn later_minor(bytes: &[u8], reject: Reject) -> Option<usize> {
    if reject != OTHER_VERSION {
        return None;
    }
    let (version, at) = other_version(bytes)?;
    (version[0] == b'1' && version[2] > b'1').then_some(at)
}

/// The version that a request line ends with, if it is well-formed (RFC 9112 §2.3) and not ours, and where its last
/// digit stands.
fn other_version(bytes: &[u8]) -> Option<([u8; 3], usize)> {
    let begin = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'))?;
    let line = bytes[begin..].split(|&byte| byte == b'\n').next()?;
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut parts = line.split(|&byte| byte == b' ');
    let version = parts.nth(2).and_then(|version| version.strip_prefix(b"HTTP/"))?;
    match version {
        &[major, b'.', minor] if parts.next().is_none() && major.is_ascii_digit() && minor.is_ascii_digit() => {
            Some(([major, b'.', minor], begin + line.len() - 1))
        }
        _ => None,
    }
}

/// RFC 9112 §3.2: four forms, each with its methods.
fn check_target(method: &str, target: &[u8], limits: &HeadLimits) -> Result<(), Reject> {
    const BAD: Reject = Reject::bad("the request target is malformed");
    if target.len() > limits.target {
        return Err(TARGET_TOO_LONG);
    }
    if method == "CONNECT" {
        // RFC 9110 §9.3.6: an origin server need not implement CONNECT; a port that is missing or malformed is 400.
        let has_port = memchr::memrchr(b':', target).is_some_and(|at| at + 1 < target.len());
        let is_target = target.starts_with(b"/") || (has_port && is_host(target));
        return Err(if !is_target {
            BAD
        } else {
            Reject::new(StatusCode::METHOD_NOT_ALLOWED, "this server is no proxy")
        });
    }
    // Fragments are never sent, and bytes beyond ASCII never without escapes (RFC 3986 §2).
    if target.iter().any(|&byte| byte == b'#' || byte >= 0x80) {
        return Err(BAD);
    }
    match target {
        [b'/', ..] => Ok(()),
        b"*" if method == "OPTIONS" => Ok(()),
        b"*" => Err(BAD),
        _ => absolute_form(target).ok_or(BAD),
    }
}

fn absolute_form(target: &[u8]) -> Option<()> {
    let colon = memchr::memchr(b':', target)?;
    let (scheme, rest) = target.split_at(colon);
    let rest = rest.strip_prefix(b"://")?;
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let ours = scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"https");
    // RFC 9110 §4.2.4: userinfo in a target is an error; `is_host` takes none.
    (ours && is_host(&rest[..end])).then_some(())
}

/// What the fields say that frames the message or directs it.
#[derive(Debug, Default)]
struct Fields {
    hosts: u8,
    length: Option<u64>,
    coded: bool,
    chunked: bool,
    /// A coding besides chunked, which this server does not know.
    other_coding: bool,
    upgrade: bool,
    expects: bool,
}

// === impl Fields ===

impl Fields {
    #[inline]
    fn see(&mut self, name: &str, value: &[u8]) -> Result<(), Reject> {
        match name.len() {
            4 if name.eq_ignore_ascii_case("host") => {
                self.hosts = self.hosts.saturating_add(1);
                if !is_host(value) {
                    return Err(Reject::bad("Host is malformed"));
                }
            }
            6 if name.eq_ignore_ascii_case("expect") => self.expects = true,
            7 if name.eq_ignore_ascii_case("upgrade") => self.upgrade = true,
            14 if name.eq_ignore_ascii_case("content-length") => {
                // RFC 9110 §8.6: a list of equal lengths may be taken for one, or rejected. Nobody has a reason to
                // send one, so it is rejected.
                if self.length.is_some() {
                    return Err(Reject::bad("Content-Length is there twice"));
                }
                self.length = Some(length(value).ok_or(Reject::bad("Content-Length is malformed"))?);
            }
            17 if name.eq_ignore_ascii_case("transfer-encoding") => self.see_coding(value)?,
            _ => {}
        }
        Ok(())
    }

    fn see_coding(&mut self, value: &[u8]) -> Result<(), Reject> {
        self.coded = true;
        for coding in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            if self.chunked {
                // RFC 9112 §6.1: chunked is applied once, and last.
                return Err(Reject::bad("chunked is not the last transfer coding"));
            }
            match coding {
                [] => return Err(Reject::bad("Transfer-Encoding is malformed")),
                _ if coding.eq_ignore_ascii_case(b"chunked") => self.chunked = true,
                _ => self.other_coding = true,
            }
        }
        Ok(())
    }

    fn check(self, is_11: bool, len: usize) -> Result<Head, Reject> {
        // RFC 9112 §3.2: "a server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message
        // that lacks a Host header field and to any request message that contains more than one".
        match self.hosts {
            1 => {}
            0 if !is_11 => {}
            0 => return Err(Reject::bad("Host is missing")),
            _ => return Err(Reject::bad("Host is there twice")),
        }
        let framing = match (self.length, self.coded) {
            (length, false) => Framing::Length(length.unwrap_or(0)),
            // RFC 9112 §6.1 and §6.3: both lengths "ought to be handled as an error".
            (Some(_), true) => return Err(Reject::bad("there are both Content-Length and Transfer-Encoding")),
            // RFC 9112 §6.1: "MUST treat the message as if the framing is faulty".
            (None, true) if !is_11 => return Err(Reject::bad("HTTP/1.0 has no Transfer-Encoding")),
            // RFC 9112 §6.3: without chunked at the end, the length cannot be told.
            (None, true) if !self.chunked => return Err(Reject::bad("chunked is not the last transfer coding")),
            (None, true) if self.other_coding => {
                return Err(Reject::new(
                    StatusCode::NOT_IMPLEMENTED,
                    "this server knows no transfer coding but chunked",
                ));
            }
            (None, true) => Framing::Chunked,
        };
        // RFC 9110 §7.8: "A server MUST ignore an Upgrade header field that is received in an HTTP/1.0 request."
        Ok(Head { len, framing, upgrade: self.upgrade && is_11, expects: self.expects })
    }
}

/// `Content-Length = 1*DIGIT`, as far as it fits.
fn length(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    if digits { std::str::from_utf8(value).ok()?.parse().ok() } else { None }
}
