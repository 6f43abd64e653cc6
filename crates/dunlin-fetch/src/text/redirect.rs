//! The target of a redirect.

use http::header::LOCATION;
use http::{HeaderMap, Uri};

use crate::Error;

/// The URL to which a redirect with these fields leads from `base`. It is never a Unix socket,
/// because only the caller may choose one.
pub(crate) fn location(base: &Uri, headers: &HeaderMap) -> Result<Uri, Error> {
    let location = headers.get(LOCATION).and_then(|location| location.to_str().ok());
    let location = location.ok_or(Error::Redirect("it has no Location"))?;
    let next = resolve(base, location).ok_or(Error::Redirect("its Location is not a URL"))?;
    if base.scheme_str() == Some("https") && next.scheme_str() != Some("https") {
        return Err(Error::Redirect("it leads from https to another scheme"));
    }
    if next.authority().is_some_and(|authority| authority.as_str() == "unix:") {
        return Err(Error::Redirect("it leads to a Unix socket"));
    }
    Ok(next)
}

/// Resolves a `Location` against the URL of the request (RFC 3986 §5.2, RFC 9110 §10.2.2), without
/// the fragment. Returns `None` if the result is not a URL.
pub(super) fn resolve(base: &Uri, location: &str) -> Option<Uri> {
    let location = location.split('#').next().unwrap_or(location).trim();
    let scheme = base.scheme_str()?;
    let authority = base.authority()?;
    if let Some(rest) = location.strip_prefix("//") {
        return format!("{scheme}://{rest}").parse().ok();
    }
    if has_scheme(location) {
        return location.parse().ok();
    }
    let path = match location.as_bytes().first() {
        None => return Some(base.clone()),
        Some(b'/') => remove_dots(location),
        Some(b'?') => format!("{}{location}", base.path()),
        Some(_) => {
            let folder = base.path().rfind('/').map_or("/", |at| &base.path()[..=at]);
            remove_dots(&format!("{folder}{location}"))
        }
    };
    format!("{scheme}://{authority}{path}").parse().ok()
}

/// Returns `true` if `location` begins with a scheme (RFC 3986 §3.1).
fn has_scheme(location: &str) -> bool {
    location.find([':', '/', '?']).is_some_and(|at| {
        location.as_bytes()[at] == b':'
            && location.starts_with(|first: char| first.is_ascii_alphabetic())
            && location[..at].bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
    })
}

/// Removes the dot segments of a path (RFC 3986 §5.2.4), which begins with a slash. The query
/// stays.
fn remove_dots(target: &str) -> String {
    let (path, query) = target.find('?').map_or((target, ""), |at| target.split_at(at));
    let mut out: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    out.pop();
                }
                if last {
                    out.push("");
                }
            }
            segment => out.push(segment),
        }
    }
    format!("/{}{query}", out.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(location: &str, expect: &str) {
        let base = Uri::from_static("http://a:8080/b/c/d;p?q");
        assert_eq!(resolve(&base, location).map(|uri| uri.to_string()).as_deref(), Some(expect), "{location}");
    }

    #[test]
    fn examples_of_rfc_3986() {
        for (location, expect) in [
            ("g", "/b/c/g"),
            ("./g", "/b/c/g"),
            ("g/", "/b/c/g/"),
            ("/g", "/g"),
            ("?y", "/b/c/d;p?y"),
            ("g?y/../x", "/b/c/g?y/../x"),
            ("g#s", "/b/c/g"),
            ("", "/b/c/d;p?q"),
            (".", "/b/c/"),
            ("..", "/b/"),
            ("../../../g", "/g"),
            ("/./g/../h", "/h"),
            ("g;x=1/../y", "/b/c/y"),
        ] {
            check(location, &format!("http://a:8080{expect}"));
        }
        check("//g/x", "http://g/x");
        check("https://g/x?y", "https://g/x?y");
        check("/x:y", "http://a:8080/x:y");
    }
}
