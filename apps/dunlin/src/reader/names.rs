//! Values that several sections have: names of groups and fields, media types, URLs, networks.

use dunlin_http::Network;
use dunlin_http::media_type::MediaType;
use http::uri::Authority;
use http::{HeaderName, HeaderValue, Uri};

use super::source::Diagnostic;
use super::value::{Read, Value};

/// The name of a cache group.
pub(crate) struct Group(pub(crate) String);

/// The name of a header field.
pub(crate) struct Field(pub(crate) HeaderName);

impl Read for Group {
    const EXPECTED: &'static str = "the name of a group, without spaces, quotes and commas";

    fn read(value: Value<'_>) -> Option<Self> {
        let text = value.str(Self::EXPECTED)?;
        // RFC 9875 §2: a member of Cache-Groups is a String (RFC 9651 §3.3.3). A notice has several
        // of them, separated by spaces.
        let fits = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\' | ',');
        if !text.is_empty() && text.chars().all(fits) {
            return Some(Self(text.to_owned()));
        }
        value.wrong(format_args!("\"{text}\""), Self::EXPECTED, None)
    }
}

impl Read for Field {
    const EXPECTED: &'static str = "the name of a header field";

    fn read(value: Value<'_>) -> Option<Self> {
        let text = value.str(Self::EXPECTED)?;
        match HeaderName::from_bytes(text.as_bytes()) {
            Ok(name) => Some(Self(name)),
            Err(_) => value.wrong(format_args!("\"{text}\""), Self::EXPECTED, None),
        }
    }
}

impl Read for Network {
    const EXPECTED: &'static str = "a network such as \"10.0.0.0/8\", or an address";

    fn read(value: Value<'_>) -> Option<Self> {
        let text = value.str(Self::EXPECTED)?;
        text.parse().ok().or_else(|| value.wrong(format_args!("\"{text}\""), Self::EXPECTED, None))
    }
}

/// A media type, with parameters.
pub(crate) fn media_type(value: Value<'_>) -> Option<HeaderValue> {
    const EXPECTED: &str = "a media type such as \"text/html; charset=utf-8\"";
    let text = value.str(EXPECTED)?;
    let known = MediaType::parse(text).and(HeaderValue::from_str(text).ok());
    known.or_else(|| value.wrong(format_args!("\"{text}\""), EXPECTED, None))
}

/// The URL of another server: `http` or `https`, with a host and without a user.
pub(crate) fn upstream_url(value: Value<'_>) -> Option<Uri> {
    const EXPECTED: &str = "a URL such as \"http://127.0.0.1:9000\"";
    const UNIX: &str = "a socket such as \"http://unix:/run/app.sock\", with \":/path\" behind it for a path";
    let text = value.str(EXPECTED)?;
    match text.parse::<Uri>() {
        Ok(url) if matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some() => {
            let authority = url.authority().map_or("", Authority::as_str);
            if authority.contains('@') {
                let what = "there is a user in this URL";
                value.error(Diagnostic::new(value.span(), what).expected(EXPECTED).secret());
                return None;
            }
            if authority == "unix:" {
                let socket = url.path().split(':').next().unwrap_or_default();
                let is_right = url.scheme_str() == Some("http") && socket.len() > 1;
                return if is_right { Some(url) } else { value.wrong(format_args!("\"{text}\""), UNIX, None) };
            }
            let port = authority.strip_prefix(url.host().unwrap_or_default()).unwrap_or_default();
            if port == ":" {
                return value.wrong(format_args!("\"{text}\": the port is missing"), EXPECTED, None);
            }
            if !port.is_empty() && url.port_u16().is_none_or(|port| port == 0) {
                return value.wrong(format_args!("\"{text}\": there is no such port"), EXPECTED, None);
            }
            Some(url)
        }
        parsed => {
            let bare = parsed.is_ok_and(|url| url.scheme().is_none()) && !text.starts_with('/');
            value.wrong(format_args!("\"{text}\""), EXPECTED, bare.then(|| format!("http://{text}")))
        }
    }
}
