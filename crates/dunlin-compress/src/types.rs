//! [`Types`]: the media types that are worth encoding.

use std::str::FromStr;

use dunlin_http::list;
use dunlin_http::media_type::MediaType;

use crate::Error;

/// A list of media types to encode.
///
/// Other types are not encoded. A list of exceptions instead would miss unknown formats that are
/// compressed already. An entry is `type/subtype`, `type/*` or `*/*+suffix`. One with `!` before it
/// excludes types. If several entries match a type, the last one decides.
///
/// ```
/// # fn main() -> Result<(), dunlin_compress::Error> {
/// use dunlin_compress::Types;
///
/// let types = Types::default().with("application/x-ndjson")?.with("!text/event-stream")?;
/// assert!(types.contains("text/html") && types.contains("application/x-ndjson"));
/// assert!(!types.contains("text/event-stream") && !types.contains("image/png"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Types(Vec<Entry>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    listed: bool,
    pattern: Pattern,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Exact(Box<str>),
    /// The part before `*`, including the slash.
    Main(Box<str>),
    /// The end, including the plus.
    Suffix(Box<str>),
}

/// Text under any name, and binary formats that are not compressed. Formats that are compressed
/// already (images, audio, video, archives, woff2) gain nothing.
const DEFAULT: &[&str] = &[
    "*/*+json",
    "*/*+xml",
    "*/*+text",
    "application/javascript",
    "application/json",
    "application/manifest+json",
    "application/ndjson",
    "application/rtf",
    "application/toml",
    "application/vnd.ms-fontobject",
    "application/wasm",
    "application/x-javascript",
    "application/x-ndjson",
    "application/x-protobuf",
    "application/xml",
    "application/yaml",
    "font/collection",
    "font/otf",
    "font/sfnt",
    "font/ttf",
    "image/bmp",
    "image/vnd.microsoft.icon",
    "image/x-icon",
    "text/*",
];

// === impl Types ===

impl Types {
    /// An empty list.
    #[must_use]
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// Fails if `entry` has none of the forms above.
    pub fn with(mut self, entry: &str) -> Result<Self, Error> {
        self.0.push(entry.parse()?);
        Ok(self)
    }

    /// Returns `true` if content of this media type is encoded. `essence` is `type/subtype`, in any
    /// case.
    #[must_use]
    pub fn contains(&self, essence: &str) -> bool {
        self.0.iter().rev().find(|entry| entry.pattern.matches(essence)).is_some_and(|entry| entry.listed)
    }
}

impl Default for Types {
    fn default() -> Self {
        Self(DEFAULT.iter().filter_map(|entry| entry.parse().ok()).collect())
    }
}

// === impl Entry ===

impl FromStr for Entry {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (listed, name) = text.strip_prefix('!').map_or((true, text), |rest| (false, rest));
        let error = || Error::Type(text.to_owned());
        let pattern = if let Some(suffix) = name.strip_prefix("*/*+") {
            list::is_token(suffix).then(|| Pattern::Suffix(format!("+{suffix}").into())).ok_or_else(error)?
        } else {
            let (main, sub) = name.split_once('/').ok_or_else(error)?;
            match sub {
                "*" if main != "*" && list::is_token(main) => Pattern::Main(name[..=main.len()].into()),
                _ if !name.contains('*') && MediaType::parse(name).is_some_and(|media| media.is(name)) => {
                    Pattern::Exact(name.into())
                }
                _ => return Err(error()),
            }
        };
        Ok(Self { listed, pattern })
    }
}

// === impl Pattern ===

impl Pattern {
    fn matches(&self, essence: &str) -> bool {
        let essence = essence.as_bytes();
        let part = |part: Option<&[u8]>, of: &str| part.is_some_and(|part| part.eq_ignore_ascii_case(of.as_bytes()));
        match self {
            Self::Exact(name) => essence.eq_ignore_ascii_case(name.as_bytes()),
            Self::Main(main) => part(essence.get(..main.len()), main),
            Self::Suffix(end) => part(essence.len().checked_sub(end.len()).and_then(|at| essence.get(at..)), end),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_types() {
        let types = Types::default();
        assert_eq!(types.0.len(), DEFAULT.len(), "every default is an entry");
        for yes in ["text/html", "TEXT/x-anything", "application/problem+json", "image/svg+xml", "application/wasm"] {
            assert!(types.contains(yes), "{yes}");
        }
        for no in ["image/png", "text", "application/octet-stream", "application/zip", "font/woff2", "video/mp4", ""] {
            assert!(!types.contains(no), "{no}");
        }
    }

    #[test]
    fn the_last_entry_decides() {
        let types = Types::none().with("text/*").unwrap().with("!text/css").unwrap().with("a/b").unwrap();
        assert!(types.contains("text/plain") && types.contains("A/B") && !types.contains("text/CSS"));
    }

    #[test]
    fn invalid_entries() {
        for bad in ["", "text", "*/*", "*/json", "text/", "text/*x", "a/b; q=1", "*/*+", " a/b", "*"] {
            assert_eq!(Types::none().with(bad), Err(Error::Type(bad.into())), "{bad:?}");
        }
    }
}
