//! Connections: their number, their versions, and the time that they take.

use http::header::LOCATION;

use super::millis;
use crate::facts::Facts;
use crate::report::Finding;

/// The time to the first byte that is not noticed, in milliseconds, without the way.
const QUICK_MILLIS: u128 = 200;

pub(super) fn redirects(facts: &Facts) -> Finding {
    let tip = "redirects";
    match facts.redirects {
        0 => Finding::good(tip, "the page is at this address"),
        1 => Finding::good(tip, "one redirect leads to the page"),
        count => Finding::improve(
            tip,
            format!("{count} redirects lead to the page, one after the other"),
            format!("{count} round trips, {} each at least", millis(facts.connection.connect)),
            "one redirect route whose target is the last address",
        ),
    }
}

/// The redirect from plain HTTP.
pub(super) fn plain(facts: &Facts) -> Finding {
    let tip = "http to https";
    let Some(plain) = &facts.plain else {
        return Finding::unknown(tip, "not seen: the page is not at the usual port of https");
    };
    if plain.status.is_redirection() && plain.field(&LOCATION).starts_with("https://") {
        return Finding::good(tip, format!("plain requests are sent to https with {}", plain.status.as_u16()));
    }
    Finding::improve(
        tip,
        format!("a plain request gets {} instead of a redirect", plain.status.as_u16()),
        "visitors who type the name stay without encryption and HTTP/2",
        "redirect = true in [server.tls]",
    )
}

pub(super) fn version(facts: &Facts) -> Finding {
    let tip = "http version";
    match (&facts.connection.tls, facts.connection.is_http2) {
        (_, true) => Finding::good(tip, "HTTP/2: requests share one connection"),
        (Some(_), false) => Finding::improve(
            tip,
            "HTTP/1.1 only",
            "browsers open up to six connections, and requests wait for each other on each",
            "nothing to do: HTTP/2 is on with [server.tls]",
        ),
        (None, false) => Finding::improve(
            tip,
            "HTTP/1.1 without encryption",
            "browsers speak HTTP/2 only over TLS, and anyone on the way can read and change the page",
            "[server.tls] with a certificate",
        ),
    }
}

pub(super) fn keep_alive(facts: &Facts) -> Finding {
    let tip = "keep-alive";
    if facts.is_kept {
        return Finding::good(tip, "a second request is answered on the same connection");
    }
    let tls = facts.connection.tls.as_ref().map(|tls| tls.handshake).unwrap_or_default();
    Finding::improve(
        tip,
        "the server closes the connection behind each response",
        format!("{} for a new connection at each request", millis(facts.connection.connect + tls)),
        "nothing to do: connections are kept for 75 s; see keep_alive in [server]",
    )
}

pub(super) fn tls(facts: &Facts) -> Finding {
    let tip = "tls version";
    match &facts.connection.tls {
        None => Finding::unknown(tip, "the page is not encrypted"),
        Some(tls) if tls.is_1_3 => {
            Finding::good(tip, format!("TLS 1.3, with a handshake of {}", millis(tls.handshake)))
        }
        Some(tls) => Finding::improve(
            tip,
            "TLS 1.2",
            format!("one more round trip at each handshake, which took {}", millis(tls.handshake)),
            "nothing to do: TLS 1.3 is on",
        ),
    }
}

pub(super) fn resumption(facts: &Facts) -> Finding {
    let tip = "tls resumption";
    let Some(tls) = &facts.connection.tls else { return Finding::unknown(tip, "the page is not encrypted") };
    match tls.is_resumed {
        Some(true) => Finding::good(tip, "a second connection resumes the session of the first"),
        None => Finding::unknown(tip, "not seen: there was no second connection"),
        Some(false) => Finding::improve(
            tip,
            "a second connection needs a whole handshake",
            "the server's most expensive computation at each new connection",
            "nothing to do: sessions are resumed on every loop",
        ),
    }
}

pub(super) fn first_byte(facts: &Facts) -> Finding {
    let tip = "first byte";
    let times = [Some(&facts.page), facts.again.as_ref()].into_iter().flatten().map(|seen| seen.first_byte);
    let best = times.min().unwrap_or_default();
    let own = best.saturating_sub(facts.connection.connect);
    let seen =
        format!("{} after a request, of which about {} is the way", millis(best), millis(facts.connection.connect));
    if own.as_millis() <= QUICK_MILLIS {
        return Finding::good(tip, seen);
    }
    let cost = format!("{} of waiting for the server at each visit", millis(own));
    Finding::improve(tip, seen, cost, "cache = \"1m\" on the route, or a faster handler")
}
