//! [`Rules`]: the media type and the `Cache-Control` of a file, by its name. Pure.

use std::time::Duration;

use http::HeaderValue;

use crate::Config;

/// The rules of a configuration.
pub(crate) struct Rules {
    types: Vec<(String, String)>,
    immutable: Vec<String>,
    fingerprints: bool,
    default_cache_control: HeaderValue,
}

const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");

// === impl Rules ===

impl Rules {
    pub(crate) fn new(config: &Config) -> Self {
        let folder = |path: &String| format!("{}/", path.trim_matches('/'));
        Self {
            types: config.types.clone(),
            immutable: config.immutable.iter().map(folder).collect(),
            fingerprints: config.fingerprints,
            default_cache_control: config.cache.map_or(NO_CACHE, max_age),
        }
    }

    /// The media type of a file, by its extension. `utf8` says that its content is UTF-8.
    pub(crate) fn content_type(&self, path: &str, utf8: bool) -> HeaderValue {
        let extension = extension(path);
        let media = match self.types.iter().find(|(known, _)| known.eq_ignore_ascii_case(extension)) {
            Some((_, media)) => media.as_str(),
            None => media_type(extension),
        };
        if utf8 && let Some(common) = common(media) {
            return common;
        }
        if utf8 && media.starts_with("text/") && !media.contains("charset") {
            return HeaderValue::try_from(format!("{media}; charset=utf-8")).unwrap_or(OCTETS);
        }
        HeaderValue::from_str(media).unwrap_or(OCTETS)
    }

    /// The value of `Cache-Control`.
    pub(crate) fn cache_control(&self, path: &str) -> HeaderValue {
        let html = matches!(extension(path).to_ascii_lowercase().as_str(), "html" | "htm" | "xhtml");
        let named = self.immutable.iter().any(|folder| folder == "/" || path.starts_with(folder.as_str()));
        if html {
            NO_CACHE
        } else if named || (self.fingerprints && is_fingerprinted(path)) {
            // RFC 8246 §2: not even a reload revalidates. A year is the convention for "forever".
            HeaderValue::from_static("public, max-age=31536000, immutable")
        } else {
            self.default_cache_control.clone()
        }
    }
}

/// The media types that most pages consist of. Every response clones its value, and a static one is
/// free to clone.
fn common(media: &str) -> Option<HeaderValue> {
    Some(HeaderValue::from_static(match media {
        "text/html" => "text/html; charset=utf-8",
        "text/css" => "text/css; charset=utf-8",
        "text/javascript" => "text/javascript; charset=utf-8",
        "text/plain" => "text/plain; charset=utf-8",
        "application/json" => "application/json",
        "image/svg+xml" => "image/svg+xml",
        _ => return None,
    }))
}

fn max_age(age: Duration) -> HeaderValue {
    HeaderValue::try_from(format!("max-age={}", age.as_secs())).unwrap_or(NO_CACHE)
}

const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// The part after the last dot of the last segment.
fn extension(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').map_or("", |(_, extension)| extension)
}

fn media_type(extension: &str) -> &'static str {
    match extension.to_ascii_lowercase().as_str() {
        // RFC 9239 §6: `text/javascript` is the one name for scripts. `mime_guess` has older ones.
        "js" | "mjs" | "cjs" => "text/javascript",
        "ts" | "mts" | "tsx" => "text/plain",
        "map" => "application/json",
        "ico" => "image/vnd.microsoft.icon",
        "" => "application/octet-stream",
        extension => mime_guess::from_ext(extension).first_raw().unwrap_or("application/octet-stream"),
    }
}

/// Returns `true` if the name contains a hash of the content, as bundlers write it.
///
/// A hash is a part between dots, or the last part after a dash, dot or underscore. A missed hash
/// costs a revalidation. A word that is taken for a hash would keep an old file for a year. So a
/// hash needs both letters and digits, and one with letters beyond hex needs many changes between
/// them.
fn is_fingerprinted(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let Some((stem, _)) = name.split_once(['.', '-', '_']).and(name.rsplit_once('.')) else { return false };
    stem.split('.').any(is_hash) || stem.rsplit(['-', '.', '_']).next().is_some_and(is_hash) || ends_in_base64(stem)
}

/// Returns `true` for 8 to 64 lowercase hex digits, with both letters and decimal digits.
fn is_hash(part: &str) -> bool {
    let digits = part.bytes().filter(u8::is_ascii_digit).count();
    (8..=64).contains(&part.len())
        && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        && digits > 0
        && digits < part.len()
}

/// Returns `true` if the stem ends in a dash and eight characters of base64url that change their
/// kind at least four times. Words change it less often.
fn ends_in_base64(stem: &str) -> bool {
    let bytes = stem.as_bytes();
    let Some(at) = bytes.len().checked_sub(9).filter(|&at| at > 0 && bytes[at] == b'-') else { return false };
    let hash = &bytes[at + 1..];
    let kind = |byte: u8| match byte {
        b'a'..=b'z' => 1,
        b'A'..=b'Z' => 2,
        b'0'..=b'9' => 3,
        b'_' | b'-' => 4,
        _ => 0,
    };
    let changes = hash.windows(2).filter(|pair| kind(pair[0]) != kind(pair[1])).count();
    let has = |wanted| hash.iter().any(|&byte| kind(byte) == wanted);
    !has(0) && has(1) && has(2) && has(3) && changes >= 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types() {
        let rules = Rules::new(&Config { types: vec![("gltf".into(), "model/gltf+json".into())], ..Config::default() });
        for (path, media) in [
            ("a.html", "text/html; charset=utf-8"),
            ("a.CSS", "text/css; charset=utf-8"),
            ("a.js", "text/javascript; charset=utf-8"),
            ("a.mjs", "text/javascript; charset=utf-8"),
            ("a.json", "application/json"),
            ("a.svg", "image/svg+xml"),
            ("a.wasm", "application/wasm"),
            ("a.woff2", "font/woff2"),
            ("a.webmanifest", "application/manifest+json"),
            ("a.gltf", "model/gltf+json"),
            ("b.c/a", "application/octet-stream"),
            ("a.unknown", "application/octet-stream"),
        ] {
            assert_eq!(rules.content_type(path, true), media, "{path}");
        }
        assert_eq!(rules.content_type("latin1.html", false), "text/html", "no charset is better than a wrong one");
    }

    #[track_caller]
    fn check(path: &str, expect: bool) {
        assert_eq!(is_fingerprinted(path), expect, "{path}");
    }

    #[test]
    fn fingerprints() {
        check("app.3f9a0c1b.js", true);
        check("assets/app-3f9a0c1b2d.css", true);
        check("3f9a0c1b2d4e5f60718293a4b5c6d7e8.chunk.js", true);
        check("main.8e0d62a03f51c2b4.bundle.js", true);
        check("assets/index-BhsJ3k2d.js", true);
        check("assets/index-B_s-3k2d.js", true);
    }

    #[test]
    fn words_and_dates_are_no_fingerprints() {
        for name in ["app.js", "jquery-3.8.0.min.js", "report-20241122.pdf", "photo-Summer24.jpg", "a-iPhone15.png"] {
            check(name, false);
        }
        for name in ["facade-deadbeef.js", "index-decade.js", "3f9a0c1b", "data.1234567890.json", "x-McDonald.js", ""] {
            check(name, false);
        }
    }

    #[test]
    fn cache_control() {
        let config =
            Config { cache: Some(Duration::from_secs(3600)), immutable: vec!["/assets/".into()], ..Config::default() };
        let rules = Rules::new(&config);
        for (path, expect) in [
            ("a.css", "max-age=3600"),
            ("index.html", "no-cache"),
            ("assets/a.html", "no-cache"),
            ("assets/a.css", "public, max-age=31536000, immutable"),
            ("app.3f9a0c1b.js", "public, max-age=31536000, immutable"),
        ] {
            assert_eq!(rules.cache_control(path), expect, "{path}");
        }
        assert_eq!(Rules::new(&Config::default()).cache_control("a.css"), "no-cache");
    }
}
