//! Caching: what clients and caches may keep, and whether they can ask if it has changed.

use dunlin_http::cache_control::ResponseDirectives;
use http::header::{AGE, ETAG, EXPIRES, LAST_MODIFIED};
use http::{HeaderName, StatusCode};

use super::{bytes, millis};
use crate::facts::{Asset, Facts, Seen};
use crate::report::Finding;

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
const X_CACHE: HeaderName = HeaderName::from_static("x-cache");
/// A lifetime from here on spares a client most requests, in seconds.
const LONG: u64 = 24 * 3600;

/// The validators of the page, and the answer to a request with them.
pub(super) fn validators(facts: &Facts) -> Finding {
    let tip = "validators";
    let page = &facts.page;
    let names: Vec<&str> = [(ETAG, "ETag"), (LAST_MODIFIED, "Last-Modified")]
        .into_iter()
        .filter_map(|(name, text)| page.headers.contains_key(name).then_some(text))
        .collect();
    let cost = format!("{} again at each visit, even if nothing has changed", bytes(page.size));
    if ResponseDirectives::of(&page.headers).no_store {
        return Finding::unknown(tip, "not needed: the page may not be stored");
    }
    if names.is_empty() {
        let remedy = "nothing to do: files and query routes have an ETag; cache = \"1m\" adds one to others";
        return Finding::improve(tip, "the page has neither ETag nor Last-Modified", cost, remedy);
    }
    let names = names.join(" and ");
    match &facts.conditional {
        Some(seen) if seen.status == StatusCode::NOT_MODIFIED => {
            Finding::good(tip, format!("{names}; an unchanged page is answered with 304"))
        }
        Some(seen) => Finding::improve(
            tip,
            format!("{names}, but a request with them gets {} with the whole page", seen.status.as_u16()),
            cost,
            "nothing to do: conditions are evaluated on every route",
        ),
        None => Finding::unknown(tip, format!("{names}; not tried")),
    }
}

/// The time for which the page may be kept.
pub(super) fn lifetime(facts: &Facts) -> Finding {
    let tip = "page lifetime";
    match told(&facts.page) {
        Some(text) => Finding::good(tip, text),
        None => Finding::improve(
            tip,
            "the page does not say for how long it may be kept",
            "each client guesses: some show old pages, some ask each time",
            "cache = \"1m\" on the route, or response_headers = { Cache-Control = \"no-cache\" }",
        ),
    }
}

/// The time for which the files of the page may be kept.
pub(super) fn assets(facts: &Facts) -> Finding {
    let tip = "files lifetime";
    let short: Vec<&Asset> = facts.assets.iter().filter(|asset| seconds(&asset.seen).unwrap_or(0) < LONG).collect();
    match short.first() {
        _ if facts.assets.is_empty() => Finding::unknown(tip, "the page names no files of its own"),
        None => Finding::good(tip, "the files that were seen may be kept for a day or longer"),
        Some(first) => Finding::improve(
            tip,
            format!(
                "{} of {} files may be kept for less than a day, such as {}",
                short.len(),
                facts.assets.len(),
                first.url.path()
            ),
            "one request for each of them at each visit",
            "immutable = [\"assets\"] on a files route, for a folder whose names change with their content",
        ),
    }
}

/// The answers of a cache.
pub(super) fn hits(facts: &Facts) -> Finding {
    let tip = "shared cache";
    let Some(again) = &facts.again else { return Finding::unknown(tip, "not seen: there was no second response") };
    let status = [again.field(&CACHE_STATUS), again.field(&X_CACHE)].join(" ").to_ascii_lowercase();
    let has_age = again.field(&AGE).parse::<u64>().is_ok_and(|age| age > 0);
    let (first, second) = (millis(facts.page.first_byte), millis(again.first_byte));
    if status.contains("hit") || has_age {
        return Finding::good(tip, format!("the second response comes from a cache, in {second} instead of {first}"));
    }
    Finding::unknown(tip, format!("no cache is seen; the second response came in {second}, the first in {first}"))
}

/// The rule for the page in words; `None` if it has none.
fn told(page: &Seen) -> Option<String> {
    let directives = ResponseDirectives::of(&page.headers);
    if directives.no_store {
        return Some("the page may not be stored".into());
    }
    if directives.no_cache.is_some() {
        return Some("the page is kept, and validated at each visit".into());
    }
    if let Some(age) = directives.max_age {
        return Some(format!("the page may be kept for {} s", age.as_secs()));
    }
    page.headers.contains_key(EXPIRES).then(|| format!("the page may be kept until {}", page.field(&EXPIRES)))
}

/// The time for which a response may be kept by a client, in seconds.
fn seconds(seen: &Seen) -> Option<u64> {
    let directives = ResponseDirectives::of(&seen.headers);
    if directives.no_store || directives.no_cache.is_some() {
        return Some(0);
    }
    directives.max_age.map(|age| age.as_secs())
}
