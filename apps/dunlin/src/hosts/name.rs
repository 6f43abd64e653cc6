//! [`HostPattern`]: the hosts of a route.

use std::borrow::Cow;
use std::fmt;

use crate::reader::{Read, Value};

/// The hosts that a route is for, in the form that the wire has: lower case, punycode, no port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum HostPattern {
    /// One host.
    Exact(String),
    /// All hosts below a domain: `*.example.com`, at any depth.
    Below(String),
}

// === impl HostPattern ===

impl HostPattern {
    fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("*.") {
            Some(domain) => ascii(domain).map(Self::Below),
            None => ascii(text).map(Self::Exact),
        }
    }

    /// A stand-in for a wrong pattern, different for each `number`.
    pub(crate) fn unknown(number: usize) -> Self {
        Self::Exact(format!("{number}.invalid"))
    }

    /// A host that the pattern matches.
    pub(crate) fn sample(&self) -> String {
        match self {
            Self::Exact(host) => host.clone(),
            Self::Below(domain) => format!("sample.{domain}"),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => f.write_str(host),
            Self::Below(domain) => write!(f, "*.{domain}"),
        }
    }
}

impl Read for HostPattern {
    const EXPECTED: &'static str = "a host such as \"example.com\" or \"*.example.com\", without a port";

    fn read(value: Value<'_>) -> Option<Self> {
        let text = value.str(Self::EXPECTED)?;
        Self::parse(text).or_else(|| {
            // The parts that a URL has besides its host.
            let bare = text.split_once("://").map_or(text, |(_, after)| after);
            let bare = bare.split(['/', '?']).next().unwrap_or_default();
            let bare = without_port(bare);
            let meant = Self::parse(bare).map(|_| bare.to_owned()).filter(|bare| bare != text);
            value.wrong(format_args!("\"{text}\""), Self::EXPECTED, meant)
        })
    }
}

/// The form of a host name in messages; `None` if it is none.
fn ascii(name: &str) -> Option<String> {
    if name.starts_with('[') {
        let inner = name.strip_prefix('[')?.strip_suffix(']')?;
        return inner.parse::<std::net::Ipv6Addr>().ok().map(|ip| format!("[{ip}]"));
    }
    let ascii = idna::domain_to_ascii(name.trim_end_matches('.')).ok()?;
    let is_label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    (ascii.len() <= 253 && ascii.split('.').all(is_label)).then_some(ascii)
}

/// The host of an authority: without its port and the dot of the root, in lower case.
pub(super) fn normalise(authority: &str) -> Cow<'_, str> {
    let host = without_port(authority);
    let host = host.strip_suffix('.').unwrap_or(host);
    match host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(host.to_ascii_lowercase()),
        false => Cow::Borrowed(host),
    }
}

/// The host of an authority as it is written, without its port.
pub(crate) fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !is_cut(host) => host,
        _ => authority,
    }
}

/// Returns `true` for an IPv6 address that a colon of its own has cut in two.
fn is_cut(host: &str) -> bool {
    host.starts_with('[') && !host.ends_with(']')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_the_file() {
        #[track_caller]
        fn check(text: &str, expect: Option<&str>) {
            assert_eq!(HostPattern::parse(text).map(|pattern| pattern.to_string()).as_deref(), expect, "{text:?}");
        }
        check("example.com", Some("example.com"));
        check("Example.COM.", Some("example.com"));
        check("*.example.com", Some("*.example.com"));
        check("bücher.example", Some("xn--bcher-kva.example"));
        check("*.BÜCHER.example", Some("*.xn--bcher-kva.example"));
        check("localhost", Some("localhost"));
        check("[::1]", Some("[::1]"));
        check("127.0.0.1", Some("127.0.0.1"));
        for wrong in ["", "*", "*.", "a.*.b", "example.com:80", "https://example.com", "a b", "a..b", "-\u{0}", "a/b"] {
            check(wrong, None);
        }
    }

    #[test]
    fn names_in_requests() {
        #[track_caller]
        fn check(authority: &str, expect: &str) {
            assert_eq!(normalise(authority), expect, "{authority:?}");
        }
        check("example.com", "example.com");
        check("EXAMPLE.com:8080", "example.com");
        check("example.com.:80", "example.com");
        check("[::1]:8080", "[::1]");
        check("[::1]", "[::1]");
        check("example.com:", "example.com");
        check("", "");
    }
}
