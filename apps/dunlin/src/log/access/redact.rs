//! [`Redact`]: values of a query that no line shows.

use std::borrow::Cow;
use std::sync::Arc;

use percent_encoding::percent_decode_str;

/// The names of a query whose values no line shows.
#[derive(Clone, Debug)]
pub(super) struct Redact(Arc<[String]>);

/// The text in the place of a value, as OpenTelemetry's conventions have it.
const REDACTED: &str = "REDACTED";

/// The names that are usual for secrets.
const USUAL: [&str; 17] = [
    "access_token",
    "api_key",
    "apikey",
    "auth_token",
    "awsaccesskeyid",
    "client_secret",
    "id_token",
    "password",
    "passwd",
    "refresh_token",
    "secret",
    "sig",
    "signature",
    "token",
    "x-amz-security-token",
    "x-amz-signature",
    "x-goog-signature",
];

// === impl Redact ===

impl Redact {
    /// The usual names, and the ones of the configuration.
    pub(super) fn new(names: &[String]) -> Self {
        let usual = USUAL.iter().map(|name| (*name).to_owned());
        Self(usual.chain(names.iter().map(|name| name.to_ascii_lowercase())).collect())
    }

    /// A query without the values of these names.
    pub(super) fn query<'q>(&self, query: &'q str) -> Cow<'q, str> {
        if !query.split('&').any(|pair| self.is_secret(pair)) {
            return Cow::Borrowed(query);
        }
        let mut text = String::with_capacity(query.len());
        for (index, pair) in query.split('&').enumerate() {
            if index > 0 {
                text.push('&');
            }
            match pair.split_once('=').filter(|_| self.is_secret(pair)) {
                Some((name, _)) => text.extend([name, "=", REDACTED]),
                None => text.push_str(pair),
            }
        }
        Cow::Owned(text)
    }

    /// A URL without the values of these names in its query and its fragment.
    pub(super) fn url<'u>(&self, url: &'u str) -> Cow<'u, str> {
        let Some((before, query)) = url.split_once('?') else { return Cow::Borrowed(url) };
        let (query, fragment) = query.split_once('#').map_or((query, None), |(query, rest)| (query, Some(rest)));
        match (self.query(query), fragment.map(|fragment| self.query(fragment))) {
            (Cow::Borrowed(_), None | Some(Cow::Borrowed(_))) => Cow::Borrowed(url),
            (query, None) => Cow::Owned(format!("{before}?{query}")),
            (query, Some(fragment)) => Cow::Owned(format!("{before}?{query}#{fragment}")),
        }
    }

    /// Returns `true` if the pair has a value, and a name of the list in any spelling.
    fn is_secret(&self, pair: &str) -> bool {
        let Some((name, value)) = pair.split_once('=') else { return false };
        let is_plain = name.bytes().all(|byte| byte != b'%' && byte != b'+');
        let name = if is_plain { Cow::Borrowed(name) } else { decoded(name) };
        !value.is_empty() && self.0.iter().any(|secret| secret.eq_ignore_ascii_case(&name))
    }
}

fn decoded(name: &str) -> Cow<'_, str> {
    let spaced = name.replace('+', " ");
    Cow::Owned(percent_decode_str(&spaced).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_secret_names_are_replaced() {
        #[track_caller]
        fn check(query: &str, expect: &str) {
            let redact = Redact::new(&["Email".to_owned(), "two words".to_owned()]);
            assert_eq!(redact.query(query), expect);
            assert_eq!(redact.url(&format!("https://a.example/p?{query}")), format!("https://a.example/p?{expect}"));
        }
        check("", "");
        check("a=1&b=2", "a=1&b=2");
        check("token=hush", "token=REDACTED");
        check("a=1&TOKEN=hush&b=2", "a=1&TOKEN=REDACTED&b=2");
        check("email=a%40b&email=c", "email=REDACTED&email=REDACTED");
        check("to%6ben=hush", "to%6ben=REDACTED");
        check("two+words=x&two%20words=y", "two+words=REDACTED&two%20words=REDACTED");
        check("token", "token");
        check("token=", "token=");
        check("tokens=1", "tokens=1");
        check("a=token=1", "a=token=1");
        check("token=a=b", "token=REDACTED");
    }

    #[test]
    fn a_fragment_may_have_a_token() {
        let redact = Redact::new(&[]);
        assert_eq!(redact.url("/p"), "/p");
        assert_eq!(redact.url("/p?token=x#token=y"), "/p?token=REDACTED#token=REDACTED");
        assert_eq!(redact.url("/p?a#b"), "/p?a#b");
    }
}
