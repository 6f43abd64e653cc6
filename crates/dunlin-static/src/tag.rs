//! [`Digest`]: the hash of a file's content, for its tag.

use dunlin_http::conditional::ETag;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// The XXH3 hash of a content, with 128 bits.
///
/// A validator distinguishes the versions of one file. Resistance to attacks is not needed: an
/// attacker who can choose two versions of a file with one tag can write to the file anyway. A
/// cryptographic hash costs fifty times as much without support by the processor, and would take
/// most of the time of a file's first response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digest(u128);

/// Computes a [`Digest`] of content in pieces.
pub(crate) struct Hasher(Box<Xxh3>);

// === impl Digest ===

impl Digest {
    pub(crate) fn of(content: impl AsRef<[u8]>) -> Self {
        Self(xxh3_128(content.as_ref()))
    }

    /// The hash as a strong tag.
    pub(crate) fn etag(self) -> Option<ETag> {
        ETag::strong(&format!("{:032x}", self.0))
    }
}

// === impl Hasher ===

impl Hasher {
    pub(crate) fn new() -> Self {
        Self(Box::new(Xxh3::new()))
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(&self) -> Digest {
        Digest(self.0.digest128())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_pieces_is_that_of_the_whole() {
        let content: Vec<u8> = (0..10_000u32).flat_map(u32::to_le_bytes).collect();
        for len in [0, 1, 16, 17, 128, 129, 240, 241, 1023, 1024, 1025, content.len()] {
            let content = &content[..len];
            for piece in [1, 63, 256, 1000, 65_536] {
                let mut hasher = Hasher::new();
                content.chunks(piece).for_each(|bytes| hasher.update(bytes));
                assert_eq!(hasher.finish(), Digest::of(content), "{len} bytes by {piece}");
            }
        }
    }

    #[test]
    fn the_tag_is_the_hash_in_hex() {
        // The XXH3-128 of empty input, by its specification.
        let tag = Digest::of(b"").etag().map(|tag| tag.to_value());
        assert_eq!(tag.unwrap(), "\"99aa06d3014798d86001c324468d497f\"");
    }
}
