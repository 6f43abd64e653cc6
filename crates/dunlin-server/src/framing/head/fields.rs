//! The fields of a head that frame or direct the message.

use bytes::Bytes;
use http::StatusCode;

use super::names::Role;
use super::{Framing, Head, Reject, is_host};

/// The fields of a head that frame or direct the message.
#[derive(Debug, Default)]
pub(super) struct FramingFields {
    hosts: u8,
    length: Option<u64>,
    coded: bool,
    chunked: bool,
    /// A coding besides chunked, which this server does not know.
    other_coding: bool,
    /// `true` if there is an `Upgrade` field; `wants_upgrade` if Connection names it.
    upgrade: bool,
    wants_upgrade: bool,
    close: bool,
    keep_alive: bool,
    expects: bool,
    takes_trailers: bool,
}

// === impl FramingFields ===

impl FramingFields {
    /// Reads a field.
    #[inline]
    pub(super) fn see(&mut self, role: Role, value: &[u8]) -> Result<(), Reject> {
        match role {
            Role::None => {}
            Role::Host => {
                self.hosts = self.hosts.saturating_add(1);
                if !is_host(value) {
                    return Err(Reject::bad("Host is malformed"));
                }
            }
            Role::Expect => self.expects = true,
            Role::Te => self.takes_trailers |= has_token(value, b"trailers"),
            // RFC 9113 §3.1: the upgrade to HTTP/2 is obsolete.
            Role::Upgrade => self.upgrade |= !has_token(value, b"h2c"),
            Role::Connection => {
                self.close |= has_token(value, b"close");
                self.keep_alive |= has_token(value, b"keep-alive");
                self.wants_upgrade |= has_token(value, b"upgrade");
            }
            Role::Length => {
                // RFC 9110 §8.6: a list of equal lengths may be accepted or rejected. No client has
                // a reason to send one, so it is rejected.
                if self.length.is_some() {
                    return Err(Reject::bad("Content-Length is there twice"));
                }
                self.length = Some(length(value).ok_or(Reject::bad("Content-Length is malformed"))?);
            }
            Role::Coding => self.see_coding(value)?,
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

    /// The meaning of a head with these fields and no more.
    pub(super) fn into_head(self, is_11: bool, bytes: &Bytes) -> Result<Head, Reject> {
        // RFC 9112 §3.2: "a server MUST respond with a 400 (Bad Request) status code to any
        // HTTP/1.1 request message that lacks a Host header field and to any request message that
        // contains more than one".
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
            // RFC 9112 §6.3: without chunked at the end, the length is unknown.
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
            framing,
            persists: if is_11 { !self.close } else { self.keep_alive && !self.close },
            // RFC 9110 §7.8: "A server MUST ignore an Upgrade header field that is received in an
            // HTTP/1.0 request." It may ignore any, and does where a body comes first.
            upgrade: (self.upgrade && self.wants_upgrade && is_11 && framing == Framing::Length(0))
                .then(|| bytes.clone()),
            expects: self.expects && is_11,
            takes_trailers: self.takes_trailers,
        })
    }
}

/// Returns `true` if a list has a token, in any case.
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
