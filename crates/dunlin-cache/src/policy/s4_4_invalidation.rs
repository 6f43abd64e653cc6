//! Invalidation by unsafe methods (RFC 9111 §4.4).

use http::header::{CONTENT_LOCATION, LOCATION};
use http::{HeaderMap, Method, StatusCode};

/// Returns `true` if a method may change resources. An unknown method is unsafe.
pub(crate) fn is_unsafe(method: &Method) -> bool {
    !(method.is_safe() || *method == Method::CONNECT)
}

/// Returns `true` for 2xx and 3xx, with which a method has succeeded.
pub(crate) fn is_non_error(status: StatusCode) -> bool {
    status.is_success() || status.is_redirection()
}

/// The targets of `Location` and `Content-Location` on the request's own origin, as paths with
/// queries. Other origins are ignored, because one origin must not invalidate another's responses
/// (RFC 9111 §4.4).
pub(crate) fn locations<'a>(
    headers: &'a HeaderMap,
    authority: &'a str,
    path: &'a str,
) -> impl Iterator<Item = String> + use<'a> {
    [LOCATION, CONTENT_LOCATION].into_iter().filter_map(move |name| {
        let reference = headers.get(name)?.to_str().ok()?;
        resolve(reference, authority, path)
    })
}

/// Resolves a reference (RFC 3986 §5.2) to a path and query, if it is on the same origin.
pub(crate) fn resolve(reference: &str, authority: &str, path: &str) -> Option<String> {
    let reference = reference.split('#').next().unwrap_or_default();
    let rest = match reference.split_once("://") {
        Some((scheme, rest)) if scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) => Some(rest),
        _ => reference.strip_prefix("//"),
    };
    if let Some(rest) = rest {
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (host, target) = rest.split_at(end);
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        return host.eq_ignore_ascii_case(authority).then(|| clean(&target));
    }
    Some(if reference.is_empty() {
        path.to_owned()
    } else if reference.starts_with('/') {
        clean(reference)
    } else if reference.starts_with('?') {
        format!("{path}{reference}")
    } else {
        let folder = &path[..=path.rfind('/')?];
        clean(&format!("{folder}{reference}"))
    })
}

/// Removes the segments `.` and `..` (RFC 3986 §5.2.4) from a path with a query.
fn clean(target: &str) -> String {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    if !path.contains("/.") {
        return target.to_owned();
    }
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            ".." => drop(kept.pop()),
            "." => {}
            segment => {
                kept.push(segment);
                continue;
            }
        }
        if last {
            kept.push("");
        }
    }
    let path = format!("/{}", kept.join("/"));
    query.map_or(path.clone(), |query| format!("{path}?{query}"))
}
