//! Query strings as `application/x-www-form-urlencoded` (WHATWG URL §5.1).

use std::borrow::Cow;

/// The decoded pairs of a query string, in order.
///
/// `+` is a space and `%xx` a byte. Invalid escapes stay, and bytes that are not UTF-8 become
/// U+FFFD.
pub fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    })
}

fn decode(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Cow::Borrowed(text);
    }
    let spaced = text.replace('+', " ");
    Cow::Owned(percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    #[track_caller]
    fn check(query: &str, expect: &[(&str, &str)]) {
        let pairs: Vec<_> = super::pairs(query).collect();
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(pairs, expect, "{query:?}");
    }

    #[test]
    fn pairs_of_a_query() {
        check("", &[]);
        check("a=1&&b", &[("a", "1"), ("b", "")]);
        check("a=x+y%2Bz&%61=%zz", &[("a", "x y+z"), ("a", "%zz")]);
        check("a=b=c", &[("a", "b=c")]);
    }
}
