//! The head of a request (RFC 9112 §2 to §6).

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version};

use super::{Framing, HeadLimits, Reject, is_host};

/// A head that is complete and has one meaning.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) request: Request<()>,
    pub(crate) framing: Framing,
    /// Whether the client wants the connection to go on (RFC 9112 §9.3).
    pub(crate) persists: bool,
    /// The head as it came, if it asks for another protocol.
    pub(crate) upgrade: Option<Bytes>,
    /// Whether it has an `Expect` field.
    pub(crate) expects: bool,
    /// Whether the client takes trailer fields (RFC 9110 §6.5.1).
    pub(crate) takes_trailers: bool,
}

/// Room for fields on the stack; [`HeadLimits::fields`] bounds them further.
const MAX_FIELDS: usize = 256;

type FieldRoom<'b> = [MaybeUninit<httparse::Header<'b>>; MAX_FIELDS];

const BARE_LF: Reject = Reject::bad("a line ends without CR");

/// Where the head ends that `bytes` begin with; `None` while it is not complete, but good as far as it goes. The first
/// `seen` bytes were found to be so before.
pub(super) fn end(bytes: &[u8], seen: usize, limits: &HeadLimits) -> Result<Option<usize>, Reject> {
    let mut lines = 0;
    for at in memchr::memchr_iter(b'\n', &bytes[seen..]).map(|at| seen + at) {
        // RFC 9112 §2.2: a recipient may take a bare LF for a line's end. It may also not, and one that does reads
        // another request than one that does not.
        if at == 0 || bytes[at - 1] != b'\r' {
            return Err(BARE_LF);
        }
        if at > 2 && bytes[at - 2] == b'\n' {
            return Ok(Some(at + 1));
        }
        lines += 1;
    }
    if bytes.is_empty() {
        return Ok(None);
    }
    // A head that comes in pieces is judged line by line.
    if seen == 0 || lines > 0 {
        let mut fields: FieldRoom<'_> = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let mut request = httparse::Request::new(&mut []);
        if let Err(error) = request.parse_with_uninit_headers(bytes, &mut fields) {
            let reject = refuse(error, bytes, limits);
            return if reject == OTHER_VERSION && later_minor(bytes).is_some() { Ok(None) } else { Err(reject) };
        }
    }
    partial(bytes, limits).map(|()| None)
}

/// Reads a head that is complete. `spare` is an empty map whose memory its fields may have.
pub(super) fn read(head: &Bytes, limits: &HeadLimits, spare: &mut HeaderMap) -> Result<Head, Reject> {
    match parse(head, limits, spare) {
        Err(OTHER_VERSION) => {}
        read => return read,
    }
    // RFC 9112 §2.3: a message of a later minor version is to be read as one of the highest version that is known.
    let at = later_minor(head).ok_or(OTHER_VERSION)?;
    let mut as_known = head.to_vec();
    as_known[at] = b'1';
    parse(&as_known.into(), limits, spare)
}

fn parse(head: &Bytes, limits: &HeadLimits, spare: &mut HeaderMap) -> Result<Head, Reject> {
    let mut fields: FieldRoom<'_> = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(head, &mut fields) {
        Ok(httparse::Status::Complete(len)) if len == head.len() => {}
        Ok(_) => return Err(Reject::bad("the head is malformed")),
        Err(error) => return Err(refuse(error, head, limits)),
    }
    if head.len() > limits.bytes || request.headers.len() > limits.fields {
        return Err(TOO_LARGE);
    }
    let (method, target) = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
    check_target(method, target.as_bytes(), limits)?;
    let mut told = Told::default();
    spare.reserve(request.headers.len());
    for field in request.headers.iter() {
        told.see(field.name, field.value)?;
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| BAD_NAME)?;
        // SAFETY: httparse takes a field's value to be HTAB, SP to `~` and 0x80 to 0xff, as `HeaderValue` does.
        let value = unsafe { HeaderValue::from_maybe_shared_unchecked(head.slice_ref(field.value)) };
        spare.append(name, value);
    }
    let is_11 = request.version == Some(1);
    let mut made = Request::new(());
    *made.method_mut() = Method::from_bytes(method.as_bytes()).map_err(|_| BAD_LINE)?;
    *made.uri_mut() = Uri::from_maybe_shared(head.slice_ref(target.as_bytes())).map_err(|_| BAD_TARGET)?;
    *made.version_mut() = if is_11 { Version::HTTP_11 } else { Version::HTTP_10 };
    *made.headers_mut() = std::mem::take(spare);
    told.into_head(made, is_11, head)
}

/// A head of which a part came: is it still within the limits?
fn partial(bytes: &[u8], limits: &HeadLimits) -> Result<(), Reject> {
    if bytes.len() > limits.target {
        // RFC 9112 §3: "a server that receives a request-target longer than any URI it wishes to parse MUST respond
        // with a 414".
        let line = &bytes[..bytes.len().min(limits.target + 33)];
        if line.len() > limits.target + 32 && memchr::memchr(b'\n', line).is_none() {
            return Err(TARGET_TOO_LONG);
        }
    }
    if bytes.len() >= limits.bytes { Err(TOO_LARGE) } else { Ok(()) }
}

/// Whether every line that httparse took ends with CRLF.
pub(super) fn only_crlf(head: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', head).all(|at| at > 0 && head[at - 1] == b'\r')
}

const TOO_LARGE: Reject =
    Reject::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "the head of the request is too large");
const OTHER_VERSION: Reject =
    Reject::new(StatusCode::HTTP_VERSION_NOT_SUPPORTED, "this server speaks HTTP/1.1 and HTTP/1.0 here");
const BAD_NAME: Reject = Reject::bad("a field's name is malformed");
const BAD_LINE: Reject = Reject::bad("the request line is malformed");
const BAD_TARGET: Reject = Reject::bad("the request target is malformed");
const TARGET_TOO_LONG: Reject = Reject::new(StatusCode::URI_TOO_LONG, "the request target is too long");

fn refuse(error: httparse::Error, bytes: &[u8], limits: &HeadLimits) -> Reject {
    if let Err(reject) = partial(bytes, limits) {
        return reject;
    }
    match error {
        httparse::Error::TooManyHeaders => TOO_LARGE,
        httparse::Error::HeaderName => BAD_NAME,
        httparse::Error::HeaderValue => Reject::bad("a field's value is malformed"),
        httparse::Error::NewLine => Reject::bad("a line ends malformed"),
        httparse::Error::Version if other_version(bytes).is_some() => OTHER_VERSION,
        _ => BAD_LINE,
    }
}

/// Where the digit of a minor version stands that is later than ours, if that is all that is wrong.
#[cold]
fn later_minor(bytes: &[u8]) -> Option<usize> {
    let (version, at) = other_version(bytes)?;
    (version[0] == b'1' && version[2] > b'1').then_some(at)
}

/// The version that a request line ends with, if it is well-formed (RFC 9112 §2.3) and not ours, and where its last
/// digit stands.
fn other_version(bytes: &[u8]) -> Option<([u8; 3], usize)> {
    let line = bytes.split(|&byte| byte == b'\n').next()?;
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut parts = line.split(|&byte| byte == b' ');
    let version = parts.nth(2).and_then(|version| version.strip_prefix(b"HTTP/"))?;
    match version {
        &[major, b'.', minor] if parts.next().is_none() && major.is_ascii_digit() && minor.is_ascii_digit() => {
            Some(([major, b'.', minor], line.len() - 1))
        }
        _ => None,
    }
}

/// RFC 9112 §3.2: four forms, each with its methods.
fn check_target(method: &str, target: &[u8], limits: &HeadLimits) -> Result<(), Reject> {
    if target.len() > limits.target {
        return Err(TARGET_TOO_LONG);
    }
    if method == "CONNECT" {
        // RFC 9110 §9.3.6: an origin server need not implement CONNECT; a port that is missing or malformed is 400.
        let has_port = memchr::memrchr(b':', target).is_some_and(|at| at + 1 < target.len());
        let is_target = target.starts_with(b"/") || (has_port && is_host(target));
        return Err(if !is_target {
            BAD_TARGET
        } else {
            Reject::new(StatusCode::METHOD_NOT_ALLOWED, "this server is no proxy")
        });
    }
    // Fragments are never sent, and bytes beyond ASCII never without escapes (RFC 3986 §2).
    if target.iter().any(|&byte| byte == b'#' || byte >= 0x80) {
        return Err(BAD_TARGET);
    }
    match target {
        [b'/', ..] => Ok(()),
        b"*" if method == "OPTIONS" => Ok(()),
        b"*" => Err(BAD_TARGET),
        _ => absolute_form(target).ok_or(BAD_TARGET),
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
struct Told {
    hosts: u8,
    length: Option<u64>,
    coded: bool,
    chunked: bool,
    /// A coding besides chunked, which this server does not know.
    other_coding: bool,
    /// Whether there is an `Upgrade` field, and what Connection says.
    upgrade: bool,
    wants_upgrade: bool,
    close: bool,
    keep_alive: bool,
    expects: bool,
    takes_trailers: bool,
}

// === impl Told ===

impl Told {
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
            2 if name.eq_ignore_ascii_case("te") => self.takes_trailers |= has_token(value, b"trailers"),
            // RFC 9113 §3.1: the upgrade to HTTP/2 is no more.
            7 if name.eq_ignore_ascii_case("upgrade") => self.upgrade |= !has_token(value, b"h2c"),
            10 if name.eq_ignore_ascii_case("connection") => {
                self.close |= has_token(value, b"close");
                self.keep_alive |= has_token(value, b"keep-alive");
                self.wants_upgrade |= has_token(value, b"upgrade");
            }
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
        for coding in members(value) {
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

    fn into_head(self, request: Request<()>, is_11: bool, bytes: &Bytes) -> Result<Head, Reject> {
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
        Ok(Head {
            request,
            framing,
            persists: if is_11 { !self.close } else { self.keep_alive && !self.close },
            // RFC 9110 §7.8: "A server MUST ignore an Upgrade header field that is received in an HTTP/1.0 request." It
            // may ignore any, and does where a body comes first.
            upgrade: (self.upgrade && self.wants_upgrade && is_11 && framing == Framing::Length(0))
                .then(|| bytes.clone()),
            expects: self.expects && is_11,
            takes_trailers: self.takes_trailers,
        })
    }
}

/// Whether a list has a token, in whatever case.
pub(crate) fn has_token(list: &[u8], token: &[u8]) -> bool {
    members(list).any(|member| member.eq_ignore_ascii_case(token))
}

/// The members of a list of tokens (RFC 9110 §5.6.1); some may be empty.
pub(crate) fn members(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

/// `Content-Length = 1*DIGIT`, as far as it fits.
pub(crate) fn length(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    if digits { std::str::from_utf8(value).ok()?.parse().ok() } else { None }
}
