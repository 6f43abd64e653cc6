//! Step 4: selects the bytes of the representation that are sent (RFC 9110 §14).

use std::time::SystemTime;

use dunlin_http::fields;
use dunlin_http::range::{self, Selection};
use http::header::RANGE;
use http::{HeaderMap, Method};

use crate::entry::Variant;

/// The selection of the request's `Range`. Without a valid one, the whole.
pub(crate) fn select(variant: &Variant, method: &Method, request: &HeaderMap, now: SystemTime) -> Selection {
    // RFC 9110 §14.2: Range is defined for GET alone.
    if !fields::has(request, &RANGE) || *method != Method::GET || !range::if_range(request, &variant.validators, now) {
        return Selection::Whole;
    }
    range::resolve(request, variant.len)
}
