//! Any page: its encoding is found, and its bytes become characters.
//!
//! Invariants:
//! - The pieces in which the bytes arrive make no difference to the text.
//! - A text of at most `take` characters is the beginning of the whole text, with just as many
//!   characters if there are as many.
//! - UTF-8 that is declared as such, without a byte order mark, is unchanged.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../src/text/charset.rs"]
mod charset;
#[path = "../../src/text/decode.rs"]
mod decode;

use decode::Decode;

const CONTENT_TYPES: &[Option<&str>] = &[
    None,
    Some("text/html"),
    Some("text/plain"),
    Some("text/html; charset=iso-2022-jp"),
    Some("text/plain; charset=utf-8"),
];

/// Decodes the bytes as a client does, in pieces of these sizes in turn.
fn text(content_type: Option<&str>, take: Option<usize>, mut bytes: &[u8], sizes: &[u8]) -> String {
    let mut decode = Decode::new(content_type, take);
    let mut sizes = sizes.iter().map(|size| usize::from(*size).max(1)).cycle();
    while !bytes.is_empty() {
        let (piece, rest) = bytes.split_at(sizes.next().unwrap_or(usize::MAX).min(bytes.len()));
        if decode.push(piece, false) {
            return decode.finish();
        }
        bytes = rest;
    }
    decode.push(b"", true);
    decode.finish()
}

fuzz_target!(|input: (u8, Option<&str>, u8, Vec<u8>, &[u8])| {
    let (known, own, take, sizes, bytes) = input;
    let content_type = own.or(CONTENT_TYPES[usize::from(known) % CONTENT_TYPES.len()]);
    let whole = text(content_type, None, bytes, &[]);
    assert_eq!(text(content_type, None, bytes, &sizes), whole);

    let take = usize::from(take);
    let part = text(content_type, Some(take), bytes, &[]);
    assert_eq!(text(content_type, Some(take), bytes, &sizes), part);
    assert!(whole.starts_with(&part));
    assert_eq!(part.chars().count(), whole.chars().count().min(take));

    if let Ok(plain) = std::str::from_utf8(bytes)
        && !plain.starts_with('\u{feff}')
    {
        assert_eq!(text(Some("text/plain; charset=utf-8"), None, bytes, &sizes), plain);
    }
});
