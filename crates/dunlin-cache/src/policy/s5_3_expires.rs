//! The field `Expires` (RFC 9111 §5.3): any of the three forms of a date, whatever the case of its letters, and nothing else.

use std::time::SystemTime;

use dunlin_http::date;
use http::HeaderValue;

/// Reads a date whose names may be in the wrong case (RFC 9110 §5.6.7 asks recipients to be robust; §5.3 asks them to take
/// what is no date as the past).
pub(crate) fn parse(value: &HeaderValue) -> Option<SystemTime> {
    date::parse(value).or_else(|| {
        let mut canonical = value.as_bytes().to_vec();
        let mut inside = false;
        for byte in &mut canonical {
            if inside {
                byte.make_ascii_lowercase();
            } else {
                byte.make_ascii_uppercase();
            }
            inside = byte.is_ascii_alphabetic();
        }
        if let Some(zone) = canonical.len().checked_sub(3).map(|at| &mut canonical[at..]) {
            zone.make_ascii_uppercase();
        }
        date::parse(&HeaderValue::from_bytes(&canonical).ok()?)
    })
}
