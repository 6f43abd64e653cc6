//! Entity tags of answers, and the preconditions about them (RFC 9110 §13).

use dunlin_http::conditional::{ETag, Outcome, Validators, etags};
use dunlin_http::list;
use http::header::{IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};

/// A strong tag: 128 bits of the content's XXH3, which is the same in every instance. It does not
/// have to withstand attacks: a client that makes two answers with one tag only hides a change of
/// its own rows.
///
/// `fields` are those of the answer that change without its content.
pub(super) fn etag(bytes: &[u8], fields: &[&HeaderValue]) -> HeaderValue {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let seed = fields.iter().fold(0, |seed: u64, field| seed.rotate_left(1) ^ xxh3_64(field.as_bytes()));
    let digest = xxh3_128_with_seed(bytes, seed).to_be_bytes();
    let mut text = [b'"'; 34];
    for (pair, byte) in text[1..33].chunks_exact_mut(2).zip(digest) {
        pair[0] = HEX[usize::from(byte >> 4)];
        pair[1] = HEX[usize::from(byte & 15)];
    }
    HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// Evaluates the preconditions of a read.
pub(super) fn of_read(etag: &HeaderValue, method: &Method, headers: &HeaderMap) -> Outcome {
    let etag = etag.to_str().ok().and_then(ETag::parse);
    Validators { etag, last_modified: None }.evaluate(method, headers)
}

/// Returns `true` if the preconditions of a write hold for the current representation, whose tag
/// this is. Without a tag there is none.
pub(super) fn allows_write(headers: &HeaderMap, etag: Option<&HeaderValue>) -> bool {
    let etag = etag.and_then(|etag| ETag::parse(etag.to_str().ok()?));
    let names = |field: &HeaderName| {
        headers.get_all(field).iter().filter_map(|line| line.to_str().ok()).any(|line| match list::trim(line) {
            "*" => etag.is_some(),
            // Deviates from RFC 9110 §13.1.1, which asks for a strong comparison: a compressed
            // response has this tag as a weak one, and nothing else makes weak ones. Clients that
            // accept compression could not write otherwise.
            line => etag.as_ref().is_some_and(|etag| etags(line).any(|named| named.weak_eq(etag))),
        })
    };
    (!headers.contains_key(IF_MATCH) || names(&IF_MATCH))
        && (!headers.contains_key(IF_NONE_MATCH) || !names(&IF_NONE_MATCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_depend_on_the_current_representation() {
        #[track_caller]
        fn check(field: HeaderName, value: &str, etag: Option<&'static str>, expect: bool) {
            let headers = HeaderMap::from_iter([(field, value.parse().unwrap())]);
            assert_eq!(allows_write(&headers, etag.map(HeaderValue::from_static).as_ref()), expect, "{headers:?}");
        }
        for (value, etag, matches) in [
            ("\"a\"", Some("\"a\""), true),
            ("W/\"a\"", Some("\"a\""), true),
            ("\"x\", \"a\"", Some("\"a\""), true),
            ("\"b\"", Some("\"a\""), false),
            ("a", Some("\"a\""), false),
            ("", Some("\"a\""), false),
            ("\"a\"", None, false),
            ("*", Some("\"a\""), true),
            (" * ", Some("\"a\""), true),
            ("*", None, false),
        ] {
            check(IF_MATCH, value, etag, matches);
            check(IF_NONE_MATCH, value, etag, !matches);
        }
        let headers = HeaderMap::from_iter([(IF_MATCH, "*".parse().unwrap()), (IF_NONE_MATCH, "*".parse().unwrap())]);
        assert!(!allows_write(&headers, None) && !allows_write(&headers, Some(&HeaderValue::from_static("\"a\""))));
    }

    #[test]
    fn a_tag_depends_on_content_and_fields() {
        let (a, b) = (HeaderValue::from_static("a"), HeaderValue::from_static("b"));
        assert_eq!(etag(b"x", &[]), etag(b"x", &[]));
        let tags = [etag(b"x", &[]), etag(b"y", &[]), etag(b"x", &[&a]), etag(b"x", &[&b]), etag(b"x", &[&a, &b])];
        assert!((1..tags.len()).all(|n| !tags[..n].contains(&tags[n])));
    }
}
