//! Step 3: evaluates the preconditions of a request (RFC 9110 §13).

use dunlin_http::conditional::{Outcome, Validators};
use http::header::{IF_MATCH, IF_NONE_MATCH, IF_RANGE};
use http::{HeaderMap, Method};

use crate::entry::Variant;

/// The outcome of the request's preconditions for this representation.
pub(crate) fn evaluate(variant: &Variant, method: &Method, request: &HeaderMap) -> Outcome {
    // Most requests have no precondition. One look at the fields finds that out.
    if Validators::has_preconditions(request) { variant.validators.evaluate(method, request) } else { Outcome::Proceed }
}

/// Returns `true` if the request names a tag, so that its response depends on the file's tag.
pub(crate) fn names_tag(request: &HeaderMap) -> bool {
    let is_tag = |value: &http::HeaderValue| value.as_bytes().ends_with(b"\"");
    request.contains_key(IF_MATCH) || request.contains_key(IF_NONE_MATCH) || request.get(IF_RANGE).is_some_and(is_tag)
}
