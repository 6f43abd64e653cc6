//! The line in the format `combined` of nginx, byte for byte:
//! `$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer"
//! "$http_user_agent"`.
//!
//! Times are in UTC.

use std::io::Write as _;

use http::{HeaderValue, Version};

use super::Entry;
use super::fields::{address, lossy};
use crate::log::time::Timestamp;

/// The status of nginx for a client that went away before the response.
const CLIENT_CLOSED: u16 = 499;

pub(super) fn write(out: &mut Vec<u8>, entry: &Entry<'_>) {
    let Entry { access, line, settings, now } = *entry;
    let client = access.client.ip.map_or_else(|| "unix:".to_owned(), address);
    // Writing to memory does not fail.
    let _ = write!(out, "{client} - ");
    escape(out, line.user.unwrap_or_default().as_bytes(), true);
    let _ = write!(out, " [{}] \"", Timestamp::new(now).common());
    escape(out, access.method.as_str().as_bytes(), false);
    out.push(b' ');
    escape(out, access.uri.path().as_bytes(), false);
    if let Some(query) = access.uri.query() {
        out.push(b'?');
        escape(out, settings.redact.query(query).as_bytes(), false);
    }
    let protocol = match access.version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    };
    let status = line.status.map_or(CLIENT_CLOSED, |status| status.as_u16());
    let _ = write!(out, " {protocol}\" {status} {} \"", line.bytes);
    match access.referer.as_ref().map(lossy) {
        Some(referer) if settings.redact.url(&referer) != referer => {
            escape(out, settings.redact.url(&referer).as_bytes(), true);
        }
        _ => escape(out, access.referer.as_ref().map_or(&[][..], HeaderValue::as_bytes), true),
    }
    out.extend_from_slice(b"\" \"");
    escape(out, access.user_agent.as_ref().map_or(&[][..], HeaderValue::as_bytes), true);
    out.extend_from_slice(b"\"\n");
}

/// Writes a value with nginx's default escapes. With `dashed`, a value that is empty is a dash.
fn escape(out: &mut Vec<u8>, value: &[u8], dashed: bool) {
    if value.is_empty() && dashed {
        out.push(b'-');
    }
    for byte in value {
        match byte {
            b'"' | b'\\' | 0..32 | 127.. => drop(write!(out, "\\x{byte:02X}")),
            _ => out.push(*byte),
        }
    }
}
