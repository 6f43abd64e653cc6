//! The line for people at a terminal.

use std::io::Write as _;

use dunlin_http::UpstreamSlot;

use super::Entry;
use super::fields::address;
use crate::log::time::Timestamp;

pub(super) fn write(out: &mut Vec<u8>, entry: &Entry<'_>) {
    let Entry { access, line, settings, now } = *entry;
    let query = access.uri.query().map(|query| format!("?{}", settings.redact.query(query))).unwrap_or_default();
    let status = line.status.map_or_else(|| "-".to_owned(), |status| status.as_u16().to_string());
    let millis = line.duration.as_micros() as f64 / 1e3;
    // Writing to memory does not fail.
    let _ = write!(
        out,
        "{}  INFO {} {}{}{query} {status} {} B {millis} ms",
        Timestamp::new(now).iso(),
        access.method,
        access.host(),
        access.uri.path(),
        line.bytes,
    );
    let upstream = access.upstream.as_ref().and_then(UpstreamSlot::get).map(|name| name.to_string());
    let words = [
        ("client", access.client.ip.map(address)),
        ("route", Some(line.route.to_owned())),
        ("user", line.user.map(str::to_owned)),
        ("cache", entry.cache().map(|cache| cache.result.to_owned())),
        ("upstream", upstream),
        ("aborted", line.aborted.map(|reason| format!("{reason:?}"))),
    ];
    for (name, word) in words {
        if let Some(word) = word {
            // A name of a client may have control characters, which a terminal would obey.
            let _ = write!(out, " {name}={}", word.replace(char::is_control, "?"));
        }
    }
    out.push(b'\n');
}
