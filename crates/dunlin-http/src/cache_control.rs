//! The directives of `Cache-Control` (RFC 9111 §5.2), of requests and of responses.
//!
//! Of a repeated directive, the first counts. An invalid number of seconds counts as zero, so that
//! a malformed limit never allows more reuse (RFC 9111 §4.2.1). Unknown directives are ignored.

use std::time::Duration;

use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderName};

use crate::list;

/// RFC 9111 §1.2.2: a number of seconds that is too large counts as 2^31.
const MAX_SECONDS: u64 = 1 << 31;

/// The directives of a request (RFC 9111 §5.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestDirectives {
    /// The limit of a response's age.
    pub max_age: Option<Duration>,
    /// The limit of a response's staleness. [`Duration::MAX`] accepts any.
    pub max_stale: Option<Duration>,
    /// The time for which a response has to stay fresh.
    pub min_fresh: Option<Duration>,
    /// A stored response has to be validated first.
    pub no_cache: bool,
    /// Neither the request nor its response may be stored.
    pub no_store: bool,
    /// The content may not be transformed.
    pub no_transform: bool,
    /// Only a stored response is acceptable.
    pub only_if_cached: bool,
    /// The limit of a response's staleness if the origin fails (RFC 5861 §4).
    pub stale_if_error: Option<Duration>,
}

/// The directives of a response (RFC 9111 §5.2.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseDirectives {
    /// The time for which it is fresh.
    pub max_age: Option<Duration>,
    /// The time for which it is fresh in a shared cache.
    pub s_maxage: Option<Duration>,
    /// It may not be used stale.
    pub must_revalidate: bool,
    /// A shared cache may not use it stale.
    pub proxy_revalidate: bool,
    /// A cache that understands the status ignores `no-store`. Others may not store it.
    pub must_understand: bool,
    /// The response, or fields of it, may not be used without validation.
    pub no_cache: Option<Scope>,
    /// It may not be stored.
    pub no_store: bool,
    /// The content may not be transformed.
    pub no_transform: bool,
    /// A shared cache may not store the response, or fields of it.
    pub private: Option<Scope>,
    /// It may be stored even if other rules forbid it.
    pub public: bool,
    /// It does not change while it is fresh (RFC 8246).
    pub immutable: bool,
    /// The time for which it may be used stale while it is validated (RFC 5861 §3).
    pub stale_while_revalidate: Option<Duration>,
    /// The time for which it may be used stale if the origin fails (RFC 5861 §4).
    pub stale_if_error: Option<Duration>,
}

/// The scope of `no-cache` and `private`: the response, or fields of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The whole response.
    Response,
    /// These fields.
    Fields(Vec<HeaderName>),
}

// === impl RequestDirectives ===

impl RequestDirectives {
    /// Parses the `Cache-Control` of a request.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let mut directives = Self::default();
        if headers.contains_key(CACHE_CONTROL) {
            list::elements(headers, &CACHE_CONTROL).for_each(|element| directives.add(element));
        }
        directives
    }

    fn add(&mut self, element: &str) {
        let (name, argument) = split_argument(element);
        if name.eq_ignore_ascii_case("max-age") {
            set_once(&mut self.max_age, argument);
        } else if name.eq_ignore_ascii_case("max-stale") {
            // RFC 9111 §5.2.1.2: without an argument, any staleness is acceptable.
            let any = argument.is_none().then_some(Duration::MAX);
            self.max_stale = self.max_stale.or_else(|| any.or_else(|| Some(seconds(argument))));
        } else if name.eq_ignore_ascii_case("min-fresh") {
            set_once(&mut self.min_fresh, argument);
        } else if name.eq_ignore_ascii_case("stale-if-error") {
            set_once(&mut self.stale_if_error, argument);
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
    /// Parses the `Cache-Control` of a response.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let mut directives = Self::default();
        list::elements(headers, &CACHE_CONTROL).for_each(|element| directives.add(element));
        directives
    }

    fn add(&mut self, element: &str) {
        let (name, argument) = split_argument(element);
        match name.to_ascii_lowercase().as_str() {
            "max-age" => set_once(&mut self.max_age, argument),
            "s-maxage" => set_once(&mut self.s_maxage, argument),
            "stale-while-revalidate" => set_once(&mut self.stale_while_revalidate, argument),
            "stale-if-error" => set_once(&mut self.stale_if_error, argument),
            "must-revalidate" => self.must_revalidate = true,
            "proxy-revalidate" => self.proxy_revalidate = true,
            "must-understand" => self.must_understand = true,
            "no-store" => self.no_store = true,
            "no-transform" => self.no_transform = true,
            "public" => self.public = true,
            "immutable" => self.immutable = true,
            "no-cache" => Scope::merge(&mut self.no_cache, argument),
            "private" => Scope::merge(&mut self.private, argument),
            _ => {}
        }
    }
}

// === impl Scope ===

impl Scope {
    /// Parses the argument of `no-cache` or `private`. No argument, or one without valid field
    /// names, is the whole response.
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

    /// Adds another occurrence. The whole response includes any fields.
    fn merge(scope: &mut Option<Self>, argument: Option<&str>) {
        *scope = Some(match (scope.take(), Self::parse(argument)) {
            (None, new) => new,
            (Some(Self::Fields(mut old)), Self::Fields(new)) => {
                old.extend(new);
                Self::Fields(old)
            }
            _ => Self::Response,
        });
    }

    /// Returns `true` for the whole response.
    #[must_use]
    pub fn is_response(&self) -> bool {
        matches!(self, Self::Response)
    }
}

/// The name and the argument of one directive. Whitespace around `=` is invalid. It stays, so that
/// the name or the number is not recognised.
fn split_argument(element: &str) -> (&str, Option<&str>) {
    match element.split_once('=') {
        Some((name, argument)) => (name, Some(argument)),
        None => (element, None),
    }
}

/// Sets `slot`, unless an earlier directive did.
fn set_once(slot: &mut Option<Duration>, argument: Option<&str>) {
    slot.get_or_insert_with(|| seconds(argument));
}

/// A number of seconds, as a token or a quoted string (RFC 9111 §5.2).
fn seconds(argument: Option<&str>) -> Duration {
    let text = argument.unwrap_or_default();
    let digits = text.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(text);
    Duration::from_secs(delta_seconds(digits).unwrap_or(0))
}

/// Parses a number of seconds (RFC 9111 §1.2.2): digits only, at most 2^31.
#[must_use]
pub fn delta_seconds(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(MAX_SECONDS).min(MAX_SECONDS))
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
    fn invalid_numbers_are_zero() {
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
    fn scopes_are_merged() {
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
    fn directives_of_requests() {
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
