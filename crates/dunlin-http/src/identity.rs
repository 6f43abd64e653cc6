//! [`Identity`]: the verified claims about a client.

use serde_json::{Map, Value};

/// The verified claims about a client.
///
/// An authenticator makes one of a password, a token, a key or a certificate that it has verified.
/// The claim `sub` is the subject: the user's name or id (RFC 7519 §4.1.2).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Identity {
    claims: Map<String, Value>,
}

// === impl Identity ===

impl Identity {
    /// Makes an identity of these claims.
    #[must_use]
    pub const fn new(claims: Map<String, Value>) -> Self {
        Self { claims }
    }

    /// Makes an identity with only a subject.
    #[must_use]
    pub fn of_subject(subject: impl Into<String>) -> Self {
        let mut claims = Map::new();
        claims.insert("sub".into(), Value::String(subject.into()));
        Self { claims }
    }

    /// The subject.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.claims.get("sub").and_then(Value::as_str)
    }

    /// The claim at `path`: `a.b` is the claim `a.b` if there is one, and otherwise `b` within `a`.
    #[must_use]
    pub fn claim(&self, path: &str) -> Option<&Value> {
        if let Some(value) = self.claims.get(path) {
            return Some(value);
        }
        let mut parts = path.split('.');
        let first = self.claims.get(parts.next()?)?;
        parts.try_fold(first, |value, name| value.get(name))
    }

    /// Returns `true` if the claim at `path` is `expected`, or contains it as an element of a list
    /// or as a word of a string (like `scope`, RFC 8693 §4.2).
    #[must_use]
    pub fn has(&self, path: &str, expected: &str) -> bool {
        let matches = |value: &Value| match value {
            Value::String(text) => text == expected || text.split(' ').any(|word| word == expected),
            Value::Number(number) => number.to_string() == expected,
            Value::Bool(flag) => expected == if *flag { "true" } else { "false" },
            _ => false,
        };
        match self.claim(path) {
            Some(Value::Array(values)) => values.iter().any(matches),
            Some(value) => matches(value),
            None => false,
        }
    }

    /// The claim at `path` as text: a string unchanged, any other value as JSON.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<String> {
        self.claim(path).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    }

    /// All claims.
    #[must_use]
    pub const fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        let claims = r#"{"sub":"ada","role":"admin","groups":["a","b"],"scope":"read write","level":3,
            "app":{"role":"user","on":true},"app.role":"odd"}"#;
        Identity::new(serde_json::from_str(claims).unwrap())
    }

    #[test]
    fn claims_by_path() {
        let identity = identity();
        assert_eq!(identity.subject(), Some("ada"));
        assert_eq!(identity.text("app.role").as_deref(), Some("odd"));
        assert_eq!(identity.text("app.on").as_deref(), Some("true"));
        assert_eq!(identity.text("level").as_deref(), Some("3"));
        assert_eq!(identity.text("sub.x"), None);
        assert_eq!(Identity::of_subject("x").subject(), Some("x"));
    }

    #[test]
    fn required_claims() {
        let identity = identity();
        for (path, expected) in
            [("role", "admin"), ("groups", "b"), ("scope", "write"), ("level", "3"), ("app.on", "true")]
        {
            assert!(identity.has(path, expected), "{path} {expected}");
        }
        for (path, expected) in [("role", "adm"), ("groups", "c"), ("scope", "rea"), ("app", "role"), ("none", "")] {
            assert!(!identity.has(path, expected), "{path} {expected}");
        }
    }
}
