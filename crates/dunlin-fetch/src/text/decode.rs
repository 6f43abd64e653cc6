//! [`Decode`]: bytes to characters, up to a number of characters.

use encoding_rs::{CoderResult, Decoder};

use super::charset;

/// A text that is being decoded.
pub(super) struct Decode<'a> {
    content_type: Option<&'a str>,
    /// The number of characters that are still needed.
    left: usize,
    /// The bytes that arrived before the encoding was known.
    undecoded: Vec<u8>,
    decoder: Option<Decoder>,
    text: String,
}

// === impl Decode ===

impl<'a> Decode<'a> {
    /// Starts a text of at most `take` characters.
    pub(super) const fn new(content_type: Option<&'a str>, take: Option<usize>) -> Self {
        let left = match take {
            Some(take) => take,
            None => usize::MAX,
        };
        Self { content_type, left, undecoded: Vec::new(), decoder: None, text: String::new() }
    }

    /// Decodes more bytes. Returns `true` once the text has all characters that are needed.
    pub(super) fn push(&mut self, bytes: &[u8], last: bool) -> bool {
        if self.decoder.is_some() {
            return self.decode(bytes, last);
        }
        if self.undecoded.is_empty()
            && let Some(encoding) = charset::detect(self.content_type, bytes, last)
        {
            self.decoder = Some(encoding.new_decoder());
            return self.decode(bytes, last);
        }
        self.undecoded.extend_from_slice(bytes);
        let Some(encoding) = charset::detect(self.content_type, &self.undecoded, last) else { return false };
        self.decoder = Some(encoding.new_decoder());
        let undecoded = std::mem::take(&mut self.undecoded);
        self.decode(&undecoded, last)
    }

    /// The text.
    pub(super) fn finish(self) -> String {
        self.text
    }

    /// Decodes bytes of a known encoding. Returns as [`Self::push`] does.
    fn decode(&mut self, mut bytes: &[u8], last: bool) -> bool {
        let Some(decoder) = &mut self.decoder else { return false };
        loop {
            // In slices, so that little more is decoded than needed. A byte has at most two
            // characters.
            let slice = bytes.len().min(self.left.saturating_mul(2).max(64));
            let (now, rest) = bytes.split_at(slice);
            let last_now = last && rest.is_empty();
            let start = self.text.len();
            self.text.reserve(decoder.max_utf8_buffer_length(now.len()).unwrap_or(now.len()));
            let (result, read, _) = decoder.decode_to_string(now, &mut self.text, last_now);
            bytes = &bytes[read..];
            if self.left != usize::MAX {
                let mut chars = self.text[start..].char_indices();
                let mut taken = 0;
                while taken < self.left && chars.next().is_some() {
                    taken += 1;
                }
                self.left -= taken;
                if let Some((at, _)) = chars.next() {
                    self.text.truncate(start + at);
                }
                if self.left == 0 {
                    return true;
                }
            }
            if bytes.is_empty() && result == CoderResult::InputEmpty {
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes `bytes` in pieces of every size. The result must be the same.
    #[track_caller]
    fn check(content_type: &str, bytes: &[u8], take: Option<usize>, expect: &str) {
        for size in 1..=bytes.len().max(1) {
            let mut decode = Decode::new(Some(content_type), take);
            let mut pieces = bytes.chunks(size).peekable();
            while let Some(piece) = pieces.next() {
                if decode.push(piece, false) || pieces.peek().is_none() && decode.push(b"", true) {
                    break;
                }
            }
            assert_eq!(decode.finish(), expect, "in pieces of {size}");
        }
    }

    #[test]
    fn characters_are_counted_not_bytes() {
        check("text/plain", "äöü".as_bytes(), Some(2), "äö");
        check("text/plain", "äöü".as_bytes(), Some(3), "äöü");
        check("text/plain", "äöü".as_bytes(), None, "äöü");
        check("text/plain", "äöü".as_bytes(), Some(0), "");
        check("text/plain", "𝄞𝄞".as_bytes(), Some(1), "𝄞");
    }

    #[test]
    fn other_encodings() {
        check("text/plain; charset=latin1", b"\xe4\xf6\xfc", Some(2), "äö");
        check("text/plain", b"\xff\xfea\0b\0", Some(1), "a");
        check("text/plain; charset=iso-2022-jp", b"\x1b$B$\"$$\x1b(B", Some(1), "あ");
        check("text/html", b"<meta charset=koi8-r>\xd0", None, "<meta charset=koi8-r>п");
        check("text/html", b"<meta charset=iso-8859-15>\xa4", None, "<meta charset=iso-8859-15>\u{20ac}");
        check("text/plain", b"\xef\xbb\xbfa", None, "a");
    }

    #[test]
    fn malformed_bytes_are_replaced() {
        check("text/plain", b"a\xffb", None, "a\u{fffd}b");
        check("text/plain", b"a\xe4\xbd", None, "a\u{fffd}");
    }
}
