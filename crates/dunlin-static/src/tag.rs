//! [`Digest`]: what the content of a file is known by.

use dunlin_http::conditional::ETag;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// What a content is told from any other by: its XXH3, of 128 bits.
///
/// A validator tells the versions of one file apart. A hash that withstands attacks would be no
/// better at it, since who could use one, by two contents that share a tag, writes both of them;
/// and it costs fifty times as much where the processor has no instructions for it, of which the
/// first answer with a file would be mostly made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digest(u128);

/// A [`Digest`] of content that comes in pieces.
pub(crate) struct Hasher(Box<Xxh3>);

// === impl Digest ===

impl Digest {
    pub(crate) fn of(content: impl AsRef<[u8]>) -> Self {
        Self(xxh3_128(content.as_ref()))
    }

    /// As a strong tag.
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
    fn pieces_come_to_the_same_as_the_whole() {
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
    fn the_tag_is_the_one_that_the_format_gives() {
        // What the hash is of no content at all.
        let tag = Digest::of(b"").etag().map(|tag| tag.to_value());
        assert_eq!(tag.unwrap(), "\"99aa06d3014798d86001c324468d497f\"");
    }
}
