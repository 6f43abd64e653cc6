//! Step 2: which representation of a file is answered with: the file itself, or an encoding that
//! stands beside it.

use std::fs::File;
use std::io;

use dunlin_http::negotiate::{AcceptEncoding, Choice, Coding};
use http::HeaderMap;
use http::header::{ACCEPT_ENCODING, RANGE};

use crate::entry::{Entry, Variant};
use crate::root::{Root, Wait, is_missing};
use crate::stamp::Stamp;

/// Files beside a file that may be encodings of it, open, in the order of [`Coding::ALL`].
#[derive(Default)]
pub(crate) struct Siblings(pub(crate) Vec<(Coding, File, Stamp)>);

/// Chooses by the request's `Accept-Encoding`, among equals in the order of [`Coding::ALL`]. With
/// the coding, unless the file is sent as it is.
pub(crate) fn select<'a>(entry: &'a Entry, request: &HeaderMap) -> (&'a Variant, Option<Coding>) {
    let identity = (&entry.identity, None);
    // A range is always one of the file itself: a client that joins parts would have to ask for the
    // same coding again.
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
        // RFC 9110 §12.5.3: a server may send what it has to a client that takes nothing of it.
        Choice::Identity | Choice::Nothing => identity,
    }
}

// === impl Siblings ===

impl Siblings {
    /// Opens what stands beside the file at `path`.
    pub(crate) fn find(root: &Root, path: &str, wait: Wait) -> io::Result<Self> {
        let mut found = Self::default();
        for coding in Coding::ALL {
            match root.open(&format!("{path}.{}", coding.extension()), wait) {
                Ok(file) => {
                    let metadata = file.metadata()?;
                    if metadata.is_file() {
                        found.0.push((coding, file, Stamp::of(&metadata)));
                    }
                }
                Err(error) if is_missing(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// Their stamps alone.
    pub(crate) fn stamps(&self) -> Vec<(Coding, Stamp)> {
        self.0.iter().map(|(coding, _, stamp)| (*coding, *stamp)).collect()
    }

    /// Whether they have these stamps.
    pub(crate) fn are(&self, stamps: &[(Coding, Stamp)]) -> bool {
        self.0.iter().map(|(coding, _, stamp)| (*coding, *stamp)).eq(stamps.iter().copied())
    }

    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        let clone = |(coding, file, stamp): &(Coding, File, Stamp)| Ok((*coding, file.try_clone()?, *stamp));
        self.0.iter().map(clone).collect::<io::Result<_>>().map(Self)
    }
}
