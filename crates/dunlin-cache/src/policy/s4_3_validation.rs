//! Validation (RFC 9111 §4.3): the conditional request of a cache, the update of a stored response,
//! and the preconditions of a client (§4.3.2).

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

/// The fields of a stored response that a 304 does not change, because they describe its content
/// (RFC 9111 §3.2).
const CONTENT_FIELDS: [HeaderName; 4] =
    [CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_RANGE, HeaderName::from_static("content-md5")];

/// Returns `true` if a stored response can be validated.
pub(crate) fn can_validate(headers: &HeaderMap) -> bool {
    headers.contains_key(ETAG) || headers.get(LAST_MODIFIED).and_then(date::parse).is_some()
}

/// Adds the validators of a stored response to a request, byte for byte (RFC 9111 §4.3.1).
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

/// Updates stored fields by those of a 304 or of the response to a HEAD (RFC 9111 §3.2). A field
/// replaces all lines of its name.
pub(crate) fn update(stored: &mut HeaderMap, mut fresh: HeaderMap, directives: &Effective) {
    s3_storing::strip(&mut fresh, directives);
    CONTENT_FIELDS.iter().for_each(|name| drop(fresh.remove(name)));
    // Deviates from RFC 9111 §4.3.4, by which a 304 with another strong validator updates nothing:
    // the request had the validators of one response, so the 304 confirms that one. Origins behind
    // an encoder reply with the tag of another encoding. The stored tag belongs to the stored
    // content.
    if stored.contains_key(ETAG) {
        fresh.remove(ETAG);
    }
    let mut last = None;
    for (name, value) in fresh {
        // `HeaderMap` returns a name once, and `None` for its further lines.
        if let Some(name) = name {
            stored.insert(name.clone(), value);
            last = Some(name);
        } else if let Some(name) = &last {
            stored.append(name.clone(), value);
        }
    }
}

/// Returns `true` if the response to a HEAD describes the stored one (RFC 9111 §4.3.5): validators
/// and length are equal where both have them.
pub(crate) fn head_matches(stored: &HeaderMap, head: &HeaderMap) -> bool {
    [ETAG, LAST_MODIFIED, CONTENT_LENGTH].iter().all(|name| match (stored.get(name), head.get(name)) {
        (Some(stored), Some(head)) => stored == head,
        _ => true,
    })
}

/// Returns `true` if the request's conditions make the stored response a 304 (RFC 9111 §4.3.2).
pub(crate) fn not_modified(method: &Method, request: &HeaderMap, stored: &HeaderMap, received: SystemTime) -> bool {
    if !request.contains_key(IF_NONE_MATCH) && !request.contains_key(IF_MODIFIED_SINCE) {
        return false;
    }
    // RFC 9111 §4.3.2: Date replaces a missing Last-Modified, and the time of receipt that.
    let last_modified =
        stored.get(LAST_MODIFIED).or_else(|| stored.get(DATE)).and_then(date::parse).unwrap_or(received);
    let validators = Validators { etag: ETag::of(stored), last_modified: Some(last_modified) };
    validators.evaluate(method, request) == Outcome::NotModified
}

/// Turns the header of a stored response into that of a 304 (RFC 9110 §15.4.5), without the fields
/// that describe the content.
pub(crate) fn not_modified_fields(headers: &mut HeaderMap) {
    for name in [CONTENT_LENGTH, CONTENT_TYPE, CONTENT_ENCODING, CONTENT_RANGE, http::header::CONTENT_LANGUAGE] {
        headers.remove(name);
    }
}
