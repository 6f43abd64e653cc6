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
    /// A transfer coding other than chunked, which the server does not implement.
    other_coding: bool,
    /// `true` if there is an `Upgrade` field.
    upgrade: bool,
    /// `true` if `Connection` names `upgrade`.
    names_upgrade: bool,
    close: bool,
    keep_alive: bool,
    expects: bool,
    takes_trailers: bool,
}

// === impl FramingFields ===

impl FramingFields {
    /// Reads a field.
    #[inline]
    pub(super) fn record(&mut self, role: Role, value: &[u8]) -> Result<(), Reject> {
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
                self.names_upgrade |= has_token(value, b"upgrade");
            }
            Role::Length => {
                // RFC 9110 §8.6: a list of equal lengths may be rejected. No client has a reason to
                // send one.
                if self.length.is_some() {
                    return Err(Reject::bad("there are two Content-Length fields"));
                }
                self.length = Some(length(value).ok_or(Reject::bad("Content-Length is malformed"))?);
            }
            Role::Coding => self.record_coding(value)?,
        }
        Ok(())
    }

    fn record_coding(&mut self, value: &[u8]) -> Result<(), Reject> {
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

    /// Returns the meaning of a head with exactly these fields.
    pub(super) fn into_head(self, is_11: bool, bytes: &Bytes) -> Result<Head, Reject> {
        // RFC 9112 §3.2: "a server MUST respond with a 400 (Bad Request) status code to any
        // HTTP/1.1 request message that lacks a Host header field and to any request message that
        // contains more than one".
        match self.hosts {
            1 => {}
            0 if !is_11 => {}
            0 => return Err(Reject::bad("Host is missing")),
            _ => return Err(Reject::bad("there are two Host fields")),
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
            upgrade: (self.upgrade && self.names_upgrade && is_11 && framing == Framing::Length(0))
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

/// The members of a list of tokens (RFC 9110 §5.6.1). Some may be empty.
pub(crate) fn members(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

/// Parses `Content-Length = 1*DIGIT`. Returns `None` if it does not fit.
pub(crate) fn length(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    if digits { std::str::from_utf8(value).ok()?.parse().ok() } else { None }
}
