//! Bytes to characters, no more of them than are wanted.

use encoding_rs::{CoderResult, Decoder};

use super::charset;

/// A text in the making.
pub(super) struct Decode<'a> {
    content_type: Option<&'a str>,
    /// How many characters are still wanted.
    left: usize,
    /// What came before the encoding was known.
    early: Vec<u8>,
    decoder: Option<Decoder>,
    text: String,
}

// === impl Decode ===

impl<'a> Decode<'a> {
    pub(super) const fn new(content_type: Option<&'a str>, take: Option<usize>) -> Self {
        let left = match take {
            Some(take) => take,
            None => usize::MAX,
        };
        Self { content_type, left, early: Vec::new(), decoder: None, text: String::new() }
    }

    /// Takes more bytes; whether the text has all that is wanted.
    pub(super) fn push(&mut self, bytes: &[u8], last: bool) -> bool {
        if self.decoder.is_some() {
            return self.decode(bytes, last);
        }
        if self.early.is_empty()
            && let Some(encoding) = charset::detect(self.content_type, bytes, last)
        {
            self.decoder = Some(encoding.new_decoder());
            return self.decode(bytes, last);
        }
        self.early.extend_from_slice(bytes);
        let Some(encoding) = charset::detect(self.content_type, &self.early, last) else { return false };
        self.decoder = Some(encoding.new_decoder());
        let early = std::mem::take(&mut self.early);
        self.decode(&early, last)
    }

    /// The text.
    pub(super) fn finish(self) -> String {
        self.text
    }

    fn decode(&mut self, mut bytes: &[u8], last: bool) -> bool {
        let Some(decoder) = &mut self.decoder else { return false };
        loop {
            // In slices, so that of a large frame little more is decoded than is wanted. No
            // character is less than half a byte long.
            let slice = bytes.len().min(self.left.saturating_mul(2).max(64));
            let (now, rest) = bytes.split_at(slice);
            let last_now = last && rest.is_empty();
            let start = self.text.len();
            self.text.reserve(decoder.max_utf8_buffer_length(now.len()).unwrap_or(now.len()));
            let (result, read, _) = decoder.decode_to_string(now, &mut self.text, last_now);
            bytes = &bytes[read..];
            if self.left != usize::MAX {
                let mut chars = self.text[start..].char_indices();
                let mut wanted = 0;
                while wanted < self.left && chars.next().is_some() {
                    wanted += 1;
                }
                self.left -= wanted;
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

    /// Decodes `bytes` in pieces of each size, which must make no difference.
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
    fn characters_not_bytes() {
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
        check("text/plain", b"\xef\xbb\xbfa", None, "a");
    }

    #[test]
    fn what_is_broken_is_replaced() {
        check("text/plain", b"a\xffb", None, "a\u{fffd}b");
        check("text/plain", b"a\xe4\xbd", None, "a\u{fffd}");
    }
}
