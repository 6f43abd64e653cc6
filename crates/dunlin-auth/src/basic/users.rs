//! [`Users`]: the lines of an `htpasswd` file.

use std::collections::HashMap;
use std::fmt;

use super::password::PasswordHash;
use crate::Error;

/// Users and the hashes of their passwords.
#[derive(Clone, Default)]
pub struct Users(HashMap<String, PasswordHash>);

// === impl Users ===

impl Users {
    /// Parses lines of `name:hash`. The hash is one of bcrypt, argon2 or SHA-2 crypt. Empty lines
    /// and lines that begin with `#` are ignored.
    ///
    /// # Errors
    /// Returns an error with the number of the line, but without its text.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut users = HashMap::new();
        for (index, line) in text.lines().enumerate() {
            let (line, number) = (line.trim(), index + 1);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let expected = "name:hash, where the hash is of bcrypt (htpasswd -B), argon2 or SHA-2 crypt";
            let invalid = || Error::Line { line: number, expected };
            let (name, hash) = line.split_once(':').ok_or_else(invalid)?;
            let hash = PasswordHash::parse(hash).ok_or_else(invalid)?;
            if users.insert(name.to_owned(), hash).is_some() {
                return Err(Error::Duplicate { line: number });
            }
        }
        Ok(Self(users))
    }

    /// The number of users.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns `true` if there is no user.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&PasswordHash> {
        self.0.get(name)
    }

    /// The hash of any user. It is verified for unknown names, so that the time of a response does
    /// not reveal which names exist.
    pub(crate) fn any(&self) -> Option<&PasswordHash> {
        self.0.values().next()
    }
}

/// Prints no hash.
impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5";

    #[test]
    fn lines_of_a_file() {
        let users = Users::parse(&format!("# staff\n\nada:{HASH}\r\n  grace:{HASH}\n")).unwrap();
        assert_eq!((users.len(), users.is_empty()), (2, false));
        assert!(users.get("ada").is_some() && users.get("grace").is_some() && users.get("x").is_none());
        assert!(!format!("{users:?}").contains("salt"));
    }

    #[test]
    fn errors_have_the_line_number_but_not_its_text() {
        for (text, line) in [(format!("a:{HASH}\nsecret"), 2), ("a:s3cret".into(), 1)] {
            let error = Users::parse(&text).unwrap_err();
            assert!(matches!(error, Error::Line { line: found, .. } if found == line), "{error}");
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
        let twice = Users::parse(&format!("a:{HASH}\na:{HASH}")).unwrap_err();
        assert_eq!(twice, Error::Duplicate { line: 2 });
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,200}") {
            let _ = Users::parse(&text);
        }
    }
}
