//! Challenges: the values of `WWW-Authenticate` (RFC 9110 §11.6.1).

use http::HeaderValue;

/// Makes `scheme realm="…"` with more parameters. Characters that are invalid in a quoted string
/// are removed from the realm.
pub(crate) fn challenge(scheme: &str, realm: &str, more: &str) -> HeaderValue {
    let realm: String = realm.chars().filter(|char| matches!(char, ' '..='~') && !matches!(char, '"' | '\\')).collect();
    let value = format!("{scheme} realm=\"{realm}\"{more}");
    HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static("Basic"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_realm_cannot_end_its_quotes() {
        assert_eq!(
            challenge("Basic", "the \"staff\"\r\n", ", charset=\"UTF-8\""),
            "Basic realm=\"the staff\", charset=\"UTF-8\""
        );
    }
}
