//! The part of the cache in a response, from `Cache-Status` (RFC 9211).

/// The part of the cache in a response.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CacheResult {
    /// `hit`, `stale`, `collapsed`, `revalidated`, `bypass` or `miss`.
    pub(super) result: &'static str,
    /// The reason why the request went on, and the detail about it.
    pub(super) reason: Option<String>,
}

// === impl CacheResult ===

impl CacheResult {
    /// Reads a value that this cache wrote. The last member of the list is its own.
    pub(super) fn parse(value: &str) -> Option<Self> {
        let member = split(value, b',').last()?;
        let (mut is_hit, mut is_collapsed, mut is_past, mut is_valid) = (false, false, false, false);
        let (mut forward, mut detail) = (None, None);
        for parameter in split(member, b';').skip(1) {
            match parameter.trim().split_once('=') {
                None => {
                    is_hit |= parameter.trim() == "hit";
                    is_collapsed |= parameter.trim() == "collapsed";
                }
                Some(("fwd", reason)) => forward = Some(reason),
                Some(("fwd-status", status)) => is_valid = status == "304",
                Some(("ttl", ttl)) => is_past = ttl.starts_with('-'),
                Some(("detail", text)) => detail = Some(text.trim_matches('"')),
                Some(_) => {}
            }
        }
        let result = match forward {
            _ if is_hit && (is_past || forward.is_some()) => "stale",
            _ if is_hit => "hit",
            _ if is_collapsed => "collapsed",
            Some("stale") if is_valid => "revalidated",
            Some("bypass" | "method") => "bypass",
            _ => "miss",
        };
        let reason = match (forward, detail) {
            (Some(forward), Some(detail)) => Some(format!("{forward}: {detail}")),
            (one, other) => one.or(other).map(str::to_owned),
        };
        Some(Self { result, reason })
    }
}

/// The parts of a text between separators that are in no quoted string.
fn split(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |letter: char| {
        let is_end = !is_quoted && letter == char::from(separator);
        if !is_escaped && letter == '"' {
            is_quoted = !is_quoted;
        }
        is_escaped = is_quoted && !is_escaped && letter == '\\';
        is_end
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_and_reasons() {
        #[track_caller]
        fn check(value: &str, result: &'static str, reason: Option<&str>) {
            let expect = CacheResult { result, reason: reason.map(str::to_owned) };
            assert_eq!(CacheResult::parse(value), Some(expect), "{value}");
        }
        check("dunlin; hit; ttl=10", "hit", None);
        check("dunlin; hit; ttl=-3", "stale", None);
        check("dunlin; hit; fwd=stale; ttl=-3; detail=error", "stale", Some("stale: error"));
        check("dunlin; fwd=uri-miss; fwd-status=200; ttl=60; stored", "miss", Some("uri-miss"));
        check("dunlin; fwd=uri-miss; collapsed", "collapsed", Some("uri-miss"));
        check("dunlin; fwd=stale; fwd-status=304", "revalidated", Some("stale"));
        check("dunlin; fwd=bypass; detail=\"a, b; c\"", "bypass", Some("bypass: a, b; c"));
        check("near; hit, dunlin; fwd=vary-miss; key=\"x\\\",y\"", "miss", Some("vary-miss"));
        check("dunlin; detail=only-if-cached", "miss", Some("only-if-cached"));
    }
}
