//! The head of a request (RFC 9112 §2 to §6).
//!
//! Nearly every head is [plain], and is parsed in one pass. httparse parses the others, and names
//! the error of a malformed head. Both find the same parts in a head that both accept. One function
//! interprets the parts.

mod fields;
mod names;
mod plain;
mod scan;
#[cfg(test)]
mod tests;

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version};

use super::{Framing, HeadLimits, Reject, is_host};
use fields::FramingFields;
pub(crate) use fields::{has_token, length, members};
use names::Role;
use plain::{Field, Line};

/// The meaning of a complete head, besides the request itself.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) framing: Framing,
    /// `true` if the connection persists behind the request (RFC 9112 §9.3).
    pub(crate) persists: bool,
    /// The bytes of the head, if it requests an upgrade.
    pub(crate) upgrade: Option<Bytes>,
    /// `true` if it has an `Expect` field.
    pub(crate) expects: bool,
    /// `true` if the client accepts trailer fields (RFC 9110 §6.5.1).
    pub(crate) takes_trailers: bool,
}

/// The room for fields on the stack. [`HeadLimits::fields`] is a further limit.
const MAX_FIELDS: usize = 256;

type FieldRoom<'b> = [MaybeUninit<httparse::Header<'b>>; MAX_FIELDS];

const BARE_LF: Reject = Reject::bad("a line ends without CR");

/// Returns the length of the head that `bytes` begin with, or `None` if they are a valid prefix of
/// one. The first `seen` bytes are known to be a valid prefix.
pub(super) fn end(bytes: &[u8], seen: usize, limits: &HeadLimits) -> Result<Option<usize>, Reject> {
    let mut lines = 0;
    for at in memchr::memchr_iter(b'\n', &bytes[seen..]).map(|at| seen + at) {
        // RFC 9112 §2.2: a recipient may accept a bare LF as the end of a line. Recipients that
        // differ in this see different requests, so it is rejected.
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
    // A head in pieces is judged line by line.
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

/// Takes the head that `held` begins with, and puts its parts into `request`, a new one. Returns
/// `None` if it is incomplete or not plain.
pub(super) fn take_plain<B>(
    held: &mut BytesMut,
    limits: &HeadLimits,
    request: &mut Request<B>,
) -> Option<Result<Head, Reject>> {
    let mut fields = plain::Fields::new();
    let (line, len) = plain::read(held, limits, &mut fields)?;
    let head = held.split_to(len).freeze();
    Some(make(&head, line, fields.iter().cloned(), request))
}

/// Reads a complete head, and puts its parts into `request`, a new one.
pub(super) fn read<B>(head: &Bytes, limits: &HeadLimits, request: &mut Request<B>) -> Result<Head, Reject> {
    match parse(head, limits, request) {
        Err(OTHER_VERSION) => {}
        read => return read,
    }
    // RFC 9112 §2.3: a message of a later minor version is read as one of the highest known
    // version.
    let at = later_minor(head).ok_or(OTHER_VERSION)?;
    let mut as_known = head.to_vec();
    as_known[at] = b'1';
    parse(&as_known.into(), limits, request)
}

fn parse<B>(head: &Bytes, limits: &HeadLimits, request: &mut Request<B>) -> Result<Head, Reject> {
    let mut room: FieldRoom<'_> = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse_with_uninit_headers(head, &mut room) {
        Ok(httparse::Status::Complete(len)) if len == head.len() => {}
        Ok(_) => return Err(Reject::bad("the head is malformed")),
        Err(error) => return Err(refuse(error, head, limits)),
    }
    if head.len() > limits.bytes || parsed.headers.len() > limits.fields {
        return Err(TOO_LARGE);
    }
    let (method, target) = (parsed.method.unwrap_or_default(), parsed.path.unwrap_or_default());
    check_target(method, target.as_bytes(), limits)?;
    // The position of a part of the head.
    let place = |part: &[u8]| {
        let at = part.as_ptr() as usize - head.as_ptr() as usize;
        at..at + part.len()
    };
    let fields = parsed.headers.iter().map(|field| Field {
        known: names::known(field.name.as_bytes()),
        name: place(field.name.as_bytes()),
        value: place(field.value),
    });
    let line = Line {
        method: Method::from_bytes(method.as_bytes()).map_err(|_| BAD_LINE)?,
        target: place(target.as_bytes()),
        version: if parsed.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 },
    };
    make(head, line, fields, request)
}

/// Interprets the parts of a head.
fn make<B>(
    head: &Bytes,
    line: Line,
    fields: impl ExactSizeIterator<Item = Field>,
    request: &mut Request<B>,
) -> Result<Head, Reject> {
    let mut framing = FramingFields::default();
    let map = request.headers_mut();
    map.reserve(fields.len());
    for Field { known, name, value } in fields {
        let (name, role) = match known {
            Some(known) => (known.name.clone(), known.role),
            None => (HeaderName::from_bytes(&head[name]).map_err(|_| BAD_NAME)?, Role::None),
        };
        framing.record(role, &head[value.clone()])?;
        // SAFETY: the bytes are valid for a `HeaderValue`: HTAB, SP to `~`, and 0x80 to 0xff.
        // httparse accepts no others in a value, and neither does `plain::read`.
        let value = unsafe { HeaderValue::from_maybe_shared_unchecked(head.slice(value)) };
        map.append(name, value);
    }
    *request.method_mut() = line.method;
    *request.version_mut() = line.version;
    // The target of a new request is `/`.
    if head[line.target.clone()] != *b"/" {
        *request.uri_mut() = Uri::from_maybe_shared(head.slice(line.target)).map_err(|_| BAD_TARGET)?;
    }
    framing.into_head(line.version == Version::HTTP_11, head)
}

/// Checks the limits of an incomplete head.
fn partial(bytes: &[u8], limits: &HeadLimits) -> Result<(), Reject> {
    if bytes.len() > limits.target {
        // RFC 9112 §3: "a server that receives a request-target longer than any URI it wishes to
        // parse MUST respond with a 414".
        let line = &bytes[..bytes.len().min(limits.target + 33)];
        if line.len() > limits.target + 32 && memchr::memchr(b'\n', line).is_none() {
            return Err(TARGET_TOO_LONG);
        }
    }
    if bytes.len() >= limits.bytes { Err(TOO_LARGE) } else { Ok(()) }
}

/// Returns `true` if every line ends with CRLF.
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
        httparse::Error::NewLine => Reject::bad("the end of a line is malformed"),
        httparse::Error::Version if other_version(bytes).is_some() => OTHER_VERSION,
        _ => BAD_LINE,
    }
}

/// Returns the position of the digit of a later minor version. `None` if there is another error.
#[cold]
fn later_minor(bytes: &[u8]) -> Option<usize> {
    let (version, at) = other_version(bytes)?;
    (version[0] == b'1' && version[2] > b'1').then_some(at)
}

/// Returns the version of a well-formed request line (RFC 9112 §2.3) if it is unsupported, and the
/// position of its last digit.
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
        // RFC 9110 §9.3.6: an origin server need not implement CONNECT. A missing or malformed port
        // is 400.
        let has_port = memchr::memrchr(b':', target).is_some_and(|at| at + 1 < target.len());
        let is_target = target.starts_with(b"/") || (has_port && is_host(target));
        return Err(if !is_target {
            BAD_TARGET
        } else {
            Reject::new(StatusCode::METHOD_NOT_ALLOWED, "this server is not a proxy")
        });
    }
    // RFC 3986 §2: a target has no fragment, and bytes beyond ASCII are percent-encoded.
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
    // RFC 9110 §4.2.4: userinfo in a target is an error. `is_host` accepts none.
    (ours && is_host(&rest[..end])).then_some(())
}
