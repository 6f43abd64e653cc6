//! Step 3: whether the client's conditions let the answer go (RFC 9110 §13).

use dunlin_http::conditional::{Outcome, Validators};
use http::header::{IF_MATCH, IF_NONE_MATCH, IF_RANGE};
use http::{HeaderMap, Method};

use crate::entry::Variant;

/// What the request's preconditions come to for this representation.
pub(crate) fn evaluate(variant: &Variant, method: &Method, request: &HeaderMap) -> Outcome {
    // Most requests have none, and none of the fields is looked up twice.
    if Validators::has_preconditions(request) { variant.validators.evaluate(method, request) } else { Outcome::Proceed }
}

/// Whether the request names a tag, so that it cannot be answered well before the file's own is
/// known.
pub(crate) fn names_tag(request: &HeaderMap) -> bool {
    let tag = |value: &http::HeaderValue| value.as_bytes().ends_with(b"\"");
    request.contains_key(IF_MATCH) || request.contains_key(IF_NONE_MATCH) || request.get(IF_RANGE).is_some_and(tag)
}
