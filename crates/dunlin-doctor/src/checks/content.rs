//! Content: its size on the way.

use http::HeaderName;
use http::header::{CONTENT_ENCODING, VARY};

use super::bytes;
use crate::facts::{Asset, Coding, Facts, Seen};
use crate::report::Finding;

/// Content below this size fits into one packet, so that a coding saves nothing. In bytes.
const SMALL: usize = 1400;
/// A coding is good if it is at most this much larger than brotli at level 5.
const GOOD: f64 = 1.15;

const USE_AS_DICTIONARY: HeaderName = HeaderName::from_static("use-as-dictionary");

/// The smallest form of the page that the site sends.
pub(super) fn compression(facts: &Facts) -> Finding {
    let tip = "compression";
    let page = &facts.page;
    if page.size < SMALL || facts.possible * 10 > page.size * 9 {
        return Finding::unknown(tip, format!("a coding would save nothing: the page has {}", bytes(page.size)));
    }
    let encoded = facts.coded.iter().filter(|(_, seen)| is_encoded(seen));
    let best = encoded.min_by_key(|(_, seen)| seen.size);
    let Some((coding, seen)) = best else {
        let seen = format!("the page is sent as it is: {}", bytes(page.size));
        let cost = format!("{} more than with brotli, at each visit", bytes(page.size - facts.possible));
        return Finding::improve(tip, seen, cost, "nothing to do: compress = true is the default of every route");
    };
    let text = format!("{} by {} instead of {}", bytes(seen.size), coding.token(), bytes(page.size));
    if seen.size as f64 <= facts.possible as f64 * GOOD {
        return Finding::good(tip, text);
    }
    let cost = format!("{} more than with brotli at level 5", bytes(seen.size - facts.possible));
    Finding::improve(tip, text, cost, "nothing to do: stored responses are encoded better in the background")
}

/// The codings that browsers know.
pub(super) fn codings(facts: &Facts) -> Finding {
    let tip = "codings";
    if facts.page.size < SMALL {
        return Finding::unknown(tip, "not seen: the page is small");
    }
    let (known, missing): (Vec<_>, Vec<_>) = facts.coded.iter().partition(|(_, seen)| is_encoded(seen));
    let names = |list: &[&(Coding, Seen)]| list.iter().map(|(coding, _)| coding.token()).collect::<Vec<_>>().join(", ");
    if known.is_empty() {
        return Finding::unknown(tip, "none");
    }
    if missing.is_empty() {
        return Finding::good(tip, names(&known));
    }
    Finding::improve(
        tip,
        format!("{}, but not {}", names(&known), names(&missing)),
        "clients get a larger or a slower coding than the one that they know",
        "nothing to do: all three are on; see prefer in [compression]",
    )
}

/// The field that keeps caches from mixing codings.
pub(super) fn vary(facts: &Facts) -> Finding {
    let tip = "vary";
    let Some((_, seen)) = facts.coded.iter().find(|(_, seen)| is_encoded(seen)) else {
        return Finding::unknown(tip, "not needed: the page is never encoded");
    };
    let names = |seen: &Seen| seen.field(&VARY).to_ascii_lowercase();
    let is_told = |seen: &Seen| names(seen).contains("accept-encoding") || names(seen).contains('*');
    if is_told(seen) && is_told(&facts.page) {
        return Finding::good(tip, "Vary has Accept-Encoding, with and without a coding");
    }
    Finding::improve(
        tip,
        "Vary does not have Accept-Encoding on every response",
        "a cache on the way may send a coding to a client that cannot read it",
        "nothing to do: Vary is set wherever a response could be encoded",
    )
}

/// The files of the page.
pub(super) fn assets(facts: &Facts) -> Finding {
    let tip = "files encoded";
    let saved = |asset: &Asset| asset.seen.size.saturating_sub((asset.possible as f64 * GOOD) as usize);
    let wasteful =
        |asset: &&Asset| !is_encoded(&asset.seen) && asset.seen.size >= SMALL && saved(asset) * 10 > asset.seen.size;
    let all: Vec<&Asset> = facts.assets.iter().filter(wasteful).collect();
    match all.first() {
        _ if facts.assets.is_empty() => Finding::unknown(tip, "the page names no files of its own"),
        None => Finding::good(tip, format!("the {} files that were seen need no better coding", facts.assets.len())),
        Some(first) => Finding::improve(
            tip,
            format!("{} of {} files are sent as they are, such as {}", all.len(), facts.assets.len(), first.url.path()),
            format!("{} at each first visit", bytes(all.into_iter().map(saved).sum())),
            "nothing to do: files are encoded, and .br, .zst and .gz beside them are used",
        ),
    }
}

/// Compression dictionaries (RFC 9842).
pub(super) fn dictionaries(facts: &Facts) -> Finding {
    let tip = "dictionaries";
    let has = |seen: &Seen| seen.headers.contains_key(USE_AS_DICTIONARY);
    if has(&facts.page) || facts.assets.iter().any(|asset| has(&asset.seen)) {
        return Finding::good(tip, "a response offers itself as a dictionary for the next version (RFC 9842)");
    }
    Finding::unknown(tip, "none: the next version of a file is sent whole (RFC 9842)")
}

fn is_encoded(seen: &Seen) -> bool {
    let coding = seen.field(&CONTENT_ENCODING);
    !coding.is_empty() && coding != "identity"
}
