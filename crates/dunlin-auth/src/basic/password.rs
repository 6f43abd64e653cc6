//! [`PasswordHash`]: the formats of `htpasswd` and `mkpasswd`.

use argon2::Argon2;
use argon2::password_hash::PasswordVerifier;
use sha_crypt::ShaCrypt;

/// The hash of a password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum PasswordHash {
    /// `$2a$`, `$2b$`, `$2x$`, `$2y$`: bcrypt.
    Bcrypt(String),
    /// `$argon2id$`, `$argon2i$`, `$argon2d$`.
    Argon2(String),
    /// `$5$`, `$6$`: SHA-256 and SHA-512 crypt.
    ShaCrypt(String),
}

// === impl PasswordHash ===

impl PasswordHash {
    /// Parses a hash. Returns `None` if its format is unknown.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let hash = text.to_owned();
        if ["$2a$", "$2b$", "$2x$", "$2y$"].iter().any(|prefix| text.starts_with(prefix)) {
            text.parse::<bcrypt::HashParts>().is_ok().then_some(Self::Bcrypt(hash))
        } else if text.starts_with("$argon2") {
            argon2::PasswordHash::new(text).is_ok().then_some(Self::Argon2(hash))
        } else if text.starts_with("$5$") || text.starts_with("$6$") {
            sha_crypt::PasswordHashRef::new(text).is_ok().then_some(Self::ShaCrypt(hash))
        } else {
            None
        }
    }

    /// Returns `true` if the hash is that of `password`. This takes from milliseconds to a second.
    pub(crate) fn verify(&self, password: &str) -> bool {
        let password = password.as_bytes();
        match self {
            Self::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
            Self::Argon2(hash) => Argon2::default().verify_password(password, hash.as_str()).is_ok(),
            Self::ShaCrypt(hash) => ShaCrypt::default().verify_password(password, hash.as_str()).is_ok(),
        }
    }

    /// The text of the hash.
    pub(crate) fn as_str(&self) -> &str {
        let (Self::Bcrypt(hash) | Self::Argon2(hash) | Self::ShaCrypt(hash)) = self;
        hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_of_other_programs_are_verified() {
        // The examples of the specification of SHA-crypt, and `openssl passwd -6`.
        for (password, hash) in [
            ("Hello world!", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"),
            ("Hello world!", "$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA"),
            (
                "Hello world!",
                "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
            ),
        ] {
            let parsed = PasswordHash::parse(hash).unwrap_or_else(|| panic!("{hash}"));
            assert!(parsed.verify(password) && !parsed.verify("wrong"), "{hash}");
        }
        let hash = bcrypt::hash("secret", 4).unwrap();
        assert!(PasswordHash::parse(&hash).unwrap().verify("secret"));
    }

    #[test]
    fn argon2_hashes() {
        use argon2::password_hash::PasswordHasher as _;
        let params = argon2::Params::new(8, 1, 1, None).unwrap();
        let hash = Argon2::from(params).hash_password_with_salt(b"secret", b"some salt").unwrap().to_string();
        let parsed = PasswordHash::parse(&hash).unwrap();
        assert!(parsed.verify("secret") && !parsed.verify("Secret"));
    }

    #[test]
    fn weak_and_malformed_hashes_are_refused() {
        for hash in ["secret", "$apr1$x$y", "{SHA}xyz", "$1$x$y", "$2y$", "$argon2id$", "$5$", ""] {
            assert!(PasswordHash::parse(hash).is_none(), "{hash}");
        }
    }
}
