//! Step 2: selects a representation of a file: the file itself, or an encoding beside it.

use dunlin_http::negotiate::{AcceptEncoding, Choice, Coding};
use http::HeaderMap;
use http::header::{ACCEPT_ENCODING, RANGE};

use crate::entry::{Entry, Variant};

/// Selects by the request's `Accept-Encoding`. Among equal weights, the order of [`Coding::ALL`]
/// decides. Returns no coding for the file itself.
pub(crate) fn select<'a>(entry: &'a Entry, request: &HeaderMap) -> (&'a Variant, Option<Coding>) {
    let identity = (&entry.identity, None);
    // A range is always of the file itself. Otherwise, a client that joins parts would have to
    // request the same coding each time.
    if entry.encoded.is_empty() || !request.contains_key(ACCEPT_ENCODING) || request.contains_key(RANGE) {
        return identity;
    }
    let mut offered = [Coding::Gzip; Coding::ALL.len()];
    for (slot, (coding, _)) in offered.iter_mut().zip(&entry.encoded) {
        *slot = *coding;
    }
    match AcceptEncoding::of(request).choose(&offered[..entry.encoded.len().min(Coding::ALL.len())]) {
        Choice::Coding(coding) => entry
            .encoded
            .iter()
            .find(|(known, _)| *known == coding)
            .map_or(identity, |(coding, variant)| (variant, Some(*coding))),
        // RFC 9110 §12.5.3: a server may send identity although the client accepts no coding of it.
        Choice::Identity | Choice::Nothing => identity,
    }
}
