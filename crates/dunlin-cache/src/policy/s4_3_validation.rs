//! Validation (RFC 9111 §4.3): the conditional request that a cache sends, what a 304 or a HEAD
//! does to what is stored, and the preconditions that a client sends (§4.3.2).

use std::time::SystemTime;

use dunlin_http::conditional::{ETag, Outcome, Validators};
use dunlin_http::date;
use http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    LAST_MODIFIED,
};
use http::{HeaderMap, HeaderName, Method};

use super::s3_storing;
use super::s5_2_response::Effective;

/// Fields of the stored response that no 304 changes: they belong to the content that is kept (RFC
/// 9111 §3.2).
const KEPT: [HeaderName; 4] = [CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_RANGE, HeaderName::from_static("content-md5")];

/// Whether a stored response can be validated.
pub(crate) fn can_validate(headers: &HeaderMap) -> bool {
    headers.contains_key(ETAG) || headers.get(LAST_MODIFIED).and_then(date::parse).is_some()
}

/// Makes a request conditional on what is stored (RFC 9111 §4.3.1), in the very words of the
/// origin.
pub(crate) fn add_conditions(request: &mut HeaderMap, stored: &HeaderMap) {
    if let Some(etag) = stored.get(ETAG) {
        request.insert(IF_NONE_MATCH, etag.clone());
    }
    if let Some(changed) = stored.get(LAST_MODIFIED)
        && date::parse(changed).is_some()
    {
        request.insert(IF_MODIFIED_SINCE, changed.clone());
    }
}

/// Updates stored fields by those of a 304 or of a HEAD's response (RFC 9111 §3.2): each replaces
/// all lines of its name.
pub(crate) fn update(stored: &mut HeaderMap, mut fresh: HeaderMap, directives: &Effective) {
    s3_storing::strip(&mut fresh, directives);
    KEPT.iter().for_each(|name| drop(fresh.remove(name)));
    // Deviates from RFC 9111 §4.3.4, by which a 304 with another strong validator updates nothing:
    // one response was asked about, by its own validators, so the origin has said that this one is
    // good. Origins behind an encoder answer so, with the tag of another encoding. The tag that is
    // kept is the one of the content that is kept.
    if stored.contains_key(ETAG) {
        fresh.remove(ETAG);
    }
    let mut last = None;
    for (name, value) in fresh {
        // `HeaderMap` gives a name once, and `None` for the further lines of it.
        if let Some(name) = name {
            stored.insert(name.clone(), value);
            last = Some(name);
        } else if let Some(name) = &last {
            stored.append(name.clone(), value);
        }
    }
}

/// Whether a HEAD's response is about the stored one (RFC 9111 §4.3.5): what both name must be the
/// same.
pub(crate) fn head_matches(stored: &HeaderMap, head: &HeaderMap) -> bool {
    [ETAG, LAST_MODIFIED, CONTENT_LENGTH].iter().all(|name| match (stored.get(name), head.get(name)) {
        (Some(stored), Some(head)) => stored == head,
        _ => true,
    })
}

/// Evaluates the preconditions that a cache may evaluate, against a stored response (RFC 9111
/// §4.3.2).
pub(crate) fn not_modified(method: &Method, request: &HeaderMap, stored: &HeaderMap, received: SystemTime) -> bool {
    if !request.contains_key(IF_NONE_MATCH) && !request.contains_key(IF_MODIFIED_SINCE) {
        return false;
    }
    // Without Last-Modified the Date stands in for it, and without that the time it came.
    let last_modified =
        stored.get(LAST_MODIFIED).or_else(|| stored.get(DATE)).and_then(date::parse).unwrap_or(received);
    let validators = Validators { etag: ETag::of(stored), last_modified: Some(last_modified) };
    validators.evaluate(method, request) == Outcome::NotModified
}

/// Turns the header of a stored response into that of its 304 (RFC 9110 §15.4.5): what describes
/// the content goes.
pub(crate) fn not_modified_fields(headers: &mut HeaderMap) {
    for name in [CONTENT_LENGTH, CONTENT_TYPE, CONTENT_ENCODING, CONTENT_RANGE, http::header::CONTENT_LANGUAGE] {
        headers.remove(name);
    }
}
