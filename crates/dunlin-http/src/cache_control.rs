//! The directives of `Cache-Control` (RFC 9111 §5.2), of requests and of responses.
//!
//! A directive that comes twice counts by its first occurrence. One whose argument is no number of
//! seconds counts as zero, so that what was meant to limit reuse never widens it (RFC 9111 §4.2.1).
//! What is not known is passed over.

use std::time::Duration;

use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderName};

use crate::list;

/// RFC 9111 §1.2.2: a count of seconds that is too large to hold counts as 2^31.
const MOST_SECONDS: u64 = 1 << 31;

/// What a request asks of caches (RFC 9111 §5.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestDirectives {
    /// Take no response that is older.
    pub max_age: Option<Duration>,
    /// Take a response that has been stale for no longer than this; [`Duration::MAX`] is any time.
    pub max_stale: Option<Duration>,
    /// Take only what stays fresh for at least this long.
    pub min_fresh: Option<Duration>,
    /// Take nothing stored that has not been validated.
    pub no_cache: bool,
    /// Store neither this request nor its response.
    pub no_store: bool,
    /// Do not change the content.
    pub no_transform: bool,
    /// Take a stored response or none.
    pub only_if_cached: bool,
    /// Take a response that has been stale for no longer than this when the origin fails (RFC 5861
    /// §4).
    pub stale_if_error: Option<Duration>,
}

/// What a response allows caches (RFC 9111 §5.2.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseDirectives {
    /// Fresh for this long.
    pub max_age: Option<Duration>,
    /// Fresh for this long in a shared cache.
    pub s_maxage: Option<Duration>,
    /// Not to be used stale.
    pub must_revalidate: bool,
    /// Not to be used stale by a shared cache.
    pub proxy_revalidate: bool,
    /// Store it only if the status is understood; then `no-store` does not count.
    pub must_understand: bool,
    /// Not to be used without validation, or some of its fields.
    pub no_cache: Option<Scope>,
    /// Not to be stored.
    pub no_store: bool,
    /// The content is not to be changed.
    pub no_transform: bool,
    /// Not for a shared cache, or some of its fields.
    pub private: Option<Scope>,
    /// May be stored although it otherwise might not.
    pub public: bool,
    /// Will not change while it is fresh (RFC 8246).
    pub immutable: bool,
    /// May be used stale for this long while it is validated (RFC 5861 §3).
    pub stale_while_revalidate: Option<Duration>,
    /// May be used stale for this long when the origin fails (RFC 5861 §4).
    pub stale_if_error: Option<Duration>,
}

/// What `no-cache` and `private` are about: the response, or fields of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of it.
    Response,
    /// These fields.
    Fields(Vec<HeaderName>),
}

// === impl RequestDirectives ===

impl RequestDirectives {
    /// Reads the request's `Cache-Control`.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        if headers.contains_key(CACHE_CONTROL) {
            list::elements(headers, &CACHE_CONTROL).for_each(|element| found.add(element));
        }
        found
    }

    fn add(&mut self, element: &str) {
        let (name, argument) = part(element);
        if name.eq_ignore_ascii_case("max-age") {
            first(&mut self.max_age, argument);
        } else if name.eq_ignore_ascii_case("max-stale") {
            // §5.2.1.2: without an argument, stale by any time.
            let any = argument.is_none().then_some(Duration::MAX);
            self.max_stale = self.max_stale.or_else(|| any.or_else(|| Some(seconds(argument))));
        } else if name.eq_ignore_ascii_case("min-fresh") {
            first(&mut self.min_fresh, argument);
        } else if name.eq_ignore_ascii_case("stale-if-error") {
            first(&mut self.stale_if_error, argument);
        } else if name.eq_ignore_ascii_case("no-cache") {
            self.no_cache = true;
        } else if name.eq_ignore_ascii_case("no-store") {
            self.no_store = true;
        } else if name.eq_ignore_ascii_case("no-transform") {
            self.no_transform = true;
        } else if name.eq_ignore_ascii_case("only-if-cached") {
            self.only_if_cached = true;
        }
    }
}

// === impl ResponseDirectives ===

impl ResponseDirectives {
    /// Reads the response's `Cache-Control`.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        list::elements(headers, &CACHE_CONTROL).for_each(|element| found.add(element));
        found
    }

    fn add(&mut self, element: &str) {
        let (name, argument) = part(element);
        match name.to_ascii_lowercase().as_str() {
            "max-age" => first(&mut self.max_age, argument),
            "s-maxage" => first(&mut self.s_maxage, argument),
            "stale-while-revalidate" => first(&mut self.stale_while_revalidate, argument),
            "stale-if-error" => first(&mut self.stale_if_error, argument),
            "must-revalidate" => self.must_revalidate = true,
            "proxy-revalidate" => self.proxy_revalidate = true,
            "must-understand" => self.must_understand = true,
            "no-store" => self.no_store = true,
            "no-transform" => self.no_transform = true,
            "public" => self.public = true,
            "immutable" => self.immutable = true,
            "no-cache" => Scope::widen(&mut self.no_cache, argument),
            "private" => Scope::widen(&mut self.private, argument),
            _ => {}
        }
    }
}

// === impl Scope ===

impl Scope {
    /// Reads the argument of `no-cache` or `private`: none is the whole response, and so is what
    /// names no fields.
    #[must_use]
    pub fn parse(argument: Option<&str>) -> Self {
        let Some(argument) = argument else { return Self::Response };
        let names = match list::unquote(argument) {
            Some(names) => names,
            None => return Self::Response,
        };
        match list::split(&names).map(HeaderName::try_from).collect::<Result<Vec<_>, _>>() {
            Ok(fields) if !fields.is_empty() => Self::Fields(fields),
            _ => Self::Response,
        }
    }

    /// Adds one more occurrence; the whole response is wider than any fields.
    fn widen(scope: &mut Option<Self>, argument: Option<&str>) {
        *scope = Some(match (scope.take(), Self::parse(argument)) {
            (None, new) => new,
            (Some(Self::Fields(mut old)), Self::Fields(new)) => {
                old.extend(new);
                Self::Fields(old)
            }
            _ => Self::Response,
        });
    }

    /// Whether it is about the whole response.
    #[must_use]
    pub fn is_response(&self) -> bool {
        matches!(self, Self::Response)
    }
}

/// The name and the argument of one directive. Whitespace around `=` is not allowed: it stays, and
/// is then no name or no number.
fn part(element: &str) -> (&str, Option<&str>) {
    match element.split_once('=') {
        Some((name, argument)) => (name, Some(argument)),
        None => (element, None),
    }
}

fn first(slot: &mut Option<Duration>, argument: Option<&str>) {
    slot.get_or_insert_with(|| seconds(argument));
}

/// RFC 9111 §5.2: a token is preferred, but a quoted string is to be understood too.
fn seconds(argument: Option<&str>) -> Duration {
    let text = argument.unwrap_or_default();
    let digits = text.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(text);
    Duration::from_secs(delta_seconds(digits).unwrap_or(0))
}

/// A number of seconds (RFC 9111 §1.2.2): digits only, at most 2^31.
#[must_use]
pub fn delta_seconds(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(MOST_SECONDS).min(MOST_SECONDS))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (CACHE_CONTROL, HeaderValue::from_str(line).unwrap())).collect()
    }

    #[track_caller]
    fn max_age(lines: &[&str], expect: Option<u64>) {
        assert_eq!(ResponseDirectives::of(&headers(lines)).max_age, expect.map(Duration::from_secs), "{lines:?}");
    }

    #[test]
    fn max_age_is_read_with_care() {
        max_age(&["max-age=3600"], Some(3600));
        max_age(&["x, MaX-aGe=003600"], Some(3600));
        max_age(&["max-age=\"3600\""], Some(3600));
        max_age(&["extension=\"max-age=3600\""], None);
        max_age(&["extension=\"max-age=3600\", max-age=1"], Some(1));
        max_age(&["max-age=1", "max-age=1800"], Some(1));
        max_age(&["max-age=99999999999999999999999"], Some(1 << 31));
        for bad in ["max-age", "max-age=", "max-age=-1", "max-age=a1", "max-age=1a", "max-age='1'", "max-age=1.0"] {
            max_age(&[bad], Some(0));
        }
        max_age(&["max-age= 3600"], Some(0));
        max_age(&["max-age =3600"], None);
    }

    #[test]
    fn scopes_widen() {
        let fields =
            |names: &[&'static str]| Some(Scope::Fields(names.iter().map(|n| HeaderName::from_static(n)).collect()));
        let of = |lines: &[&str]| ResponseDirectives::of(&headers(lines)).no_cache;
        assert_eq!(of(&["no-store"]), None);
        assert_eq!(of(&["No-Cache"]), Some(Scope::Response));
        assert_eq!(of(&["no-cache=\"a, b\""]), fields(&["a", "b"]));
        assert_eq!(of(&["no-cache=a", "no-cache=\"b\""]), fields(&["a", "b"]));
        assert_eq!(of(&["no-cache=\"a\", no-cache"]), Some(Scope::Response));
        assert_eq!(of(&["no-cache=\"a b\""]), Some(Scope::Response));
        assert_eq!(of(&["no-cache=\"\""]), Some(Scope::Response));
    }

    #[test]
    fn requests() {
        let of = |line: &str| RequestDirectives::of(&headers(&[line]));
        assert_eq!(of("nothing-known"), RequestDirectives::default());
        assert_eq!(of("max-stale").max_stale, Some(Duration::MAX));
        assert_eq!(of("max-stale=5").max_stale, Some(Duration::from_secs(5)));
        assert_eq!(of("max-stale=x").max_stale, Some(Duration::ZERO));
        assert_eq!(of("min-fresh=7").min_fresh, Some(Duration::from_secs(7)));
        let all = of("no-cache, no-store, no-transform, only-if-cached");
        assert!(all.no_cache && all.no_store && all.no_transform && all.only_if_cached);
    }

    proptest::proptest! {
        #[test]
        fn never_panics_and_unknown_directives_change_nothing(line in "[ -~]{0,60}", seconds in 0u64..1 << 31) {
            let _ = (RequestDirectives::of(&headers(&[&line])), ResponseDirectives::of(&headers(&[&line])));
            let own = format!("max-age={seconds}, x-y=\"max-age=1, no-store\", s-maxage={seconds}");
            let read = ResponseDirectives::of(&headers(&[&own]));
            proptest::prop_assert_eq!(read.max_age, Some(Duration::from_secs(seconds)));
            proptest::prop_assert_eq!(read.s_maxage, read.max_age);
            proptest::prop_assert!(!read.no_store);
        }
    }
}
