//! [`Credentials`]: the `Authorization` field (RFC 9110 §11.6.2).

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::HeaderMap;
use http::header::AUTHORIZATION;

/// The credentials of a request.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Credentials {
    /// A user and a password (RFC 7617).
    Basic {
        /// The name, without a colon.
        user: String,
        /// The password.
        password: String,
    },
    /// A bearer token (RFC 6750 §2.1).
    Bearer(String),
}

/// Accepts base64 with and without padding, because clients differ.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The limit of the field's length. A longer field has no credentials.
const MAX_LENGTH: usize = 16 << 10;

// === impl Credentials ===

impl Credentials {
    /// Parses `Authorization`. Returns `None` if there is none or more than one, if it is
    /// malformed, or if it has another scheme.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut lines = headers.get_all(AUTHORIZATION).iter();
        let (Some(line), None) = (lines.next(), lines.next()) else { return None };
        if line.len() > MAX_LENGTH {
            return None;
        }
        let (scheme, rest) = line.to_str().ok()?.split_once(' ')?;
        let rest = rest.trim_matches(' ');
        if scheme.eq_ignore_ascii_case("basic") {
            let decoded = String::from_utf8(BASE64.decode(rest).ok()?).ok()?;
            // RFC 7617 §2: neither part has control characters.
            if decoded.chars().any(char::is_control) {
                return None;
            }
            let (user, password) = decoded.split_once(':')?;
            Some(Self::Basic { user: user.to_owned(), password: password.to_owned() })
        } else if scheme.eq_ignore_ascii_case("bearer") {
            let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
            (!rest.is_empty() && rest.bytes().all(is_token)).then(|| Self::Bearer(rest.to_owned()))
        } else {
            None
        }
    }
}

/// Shows no secret.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Basic { user, .. } => f.debug_struct("Basic").field("user", user).finish_non_exhaustive(),
            Self::Bearer(_) => f.write_str("Bearer"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Option<Credentials> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, value.parse().ok()?);
        Credentials::of(&headers)
    }

    #[test]
    fn basic_credentials() {
        let basic = |user: &str, password: &str| {
            Some(Credentials::Basic { user: user.to_owned(), password: password.to_owned() })
        };
        // The examples of RFC 7617 §2 and §2.1.
        assert_eq!(read("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), basic("Aladdin", "open sesame"));
        assert_eq!(read("Basic dGVzdDoxMjPCow=="), basic("test", "123£"));
        assert_eq!(read("basic dGVzdDoxMjPCow"), basic("test", "123£"));
        assert_eq!(read("Basic Ojo="), basic("", ":"));
        for wrong in ["Basic", "Basic !", "Basic YQ==", "Basic YQo6Yg==", "Digest QWxh", "Basic /w=="] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn bearer_tokens() {
        assert_eq!(read("BEARER a.b-c_d~/+="), Some(Credentials::Bearer("a.b-c_d~/+=".into())));
        for wrong in ["Bearer", "Bearer ", "Bearer a b", "Bearer a,b"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn two_fields_are_no_credentials() {
        let mut headers = HeaderMap::new();
        headers.append(AUTHORIZATION, "Bearer a".parse().unwrap());
        headers.append(AUTHORIZATION, "Bearer b".parse().unwrap());
        assert_eq!(Credentials::of(&headers), None);
    }

    #[test]
    fn secrets_are_not_shown() {
        let shown = format!("{:?} {:?}", read("Basic dTpzZWNyZXQ="), read("Bearer secret"));
        assert!(!shown.contains("secret") && shown.contains('u'), "{shown}");
    }

    proptest::proptest! {
        #[test]
        fn never_panics(value in "\\PC{0,80}") {
            let _ = read(&value);
        }

        #[test]
        fn reads_every_password(user in "[^:\\p{Cc}]{0,20}", password in "\\P{Cc}{0,20}") {
            let field = format!("Basic {}", BASE64.encode(format!("{user}:{password}")));
            proptest::prop_assert_eq!(read(&field), Some(Credentials::Basic { user, password }));
        }
    }
}
