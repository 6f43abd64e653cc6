//! `error_pages`: pages instead of problem documents, for clients that prefer HTML.

use std::cmp::Reverse;
use std::path::Path;

use bytes::Bytes;
use dunlin_http::media_type::MediaType;
use dunlin_http::negotiate::qvalue;
use dunlin_http::{Body, BodyId, Generated, Reply, list};
use http::header::{self, ACCEPT, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue};
use toml::de::DeValue;

use crate::reader::{Diagnostic, Document, MAX_NAMED, Value, read_file};

/// The pages of a route, with those of single statuses before those of classes.
#[derive(Clone, Debug, Default)]
pub(super) struct ErrorPages(Vec<Page>);

/// A page, and the statuses that it is for.
#[derive(Clone, Debug)]
struct Page {
    statuses: Statuses,
    content: Bytes,
    id: BodyId,
    content_type: HeaderValue,
    /// `true` if the page is a default, which leaves the errors of upstreams as they are.
    is_default: bool,
}

/// One status, or a class of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Statuses {
    One(u16),
    Class(u16),
}

/// The fields that describe the content that a page replaces (RFC 9110 §8, §14).
const REPLACED: [header::HeaderName; 12] = [
    CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LOCATION,
    header::CONTENT_RANGE,
    header::CONTENT_DISPOSITION,
    header::ACCEPT_RANGES,
    header::ETAG,
    header::LAST_MODIFIED,
    header::HeaderName::from_static("content-digest"),
    header::HeaderName::from_static("repr-digest"),
];

const EXPECTED: &str = "a table of files by status, such as { 404 = \"404.html\", \"5xx\" = \"sorry.html\" }";

// === impl ErrorPages ===

impl ErrorPages {
    /// Reads the tables of a route and of its defaults, the one with precedence first. A status has
    /// the page of the first table that has one for it. `has_own`: the first table is the route's.
    pub(super) fn read<'v>(
        tables: impl IntoIterator<Item = Value<'v>>,
        has_own: bool,
        document: &Document<'_>,
    ) -> Option<Self> {
        let mut pages: Vec<Page> = Vec::new();
        for (index, value) in tables.into_iter().enumerate() {
            for page in table(value, document)? {
                let page = Page { is_default: index > 0 || !has_own, ..page };
                if pages.iter().all(|other| other.statuses != page.statuses) {
                    pages.push(page);
                }
            }
        }
        pages.sort_by_key(|page| Reverse(matches!(page.statuses, Statuses::One(_))));
        Some(Self(pages))
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Replaces the content of an error if there is a page for its status. `forwards`: the response
    /// may be an upstream's.
    pub(super) fn apply(&self, prefers_html: bool, forwards: bool, reply: Reply) -> Reply {
        let status = reply.status().as_u16();
        let Some(page) = self.0.iter().find(|page| page.statuses.contains(status)) else { return reply };
        if page.is_default && forwards && !is_generated(&reply) {
            return reply;
        }
        let mut response = reply.into_response();
        let headers = response.headers_mut();
        // RFC 9110 §12.5.5: the response depends on Accept, whichever of both it is.
        let varies = list::elements(headers, &VARY).any(|name| name == "*" || name.eq_ignore_ascii_case("accept"));
        if !varies {
            headers.append(VARY, HeaderValue::from_static("accept"));
        }
        if prefers_html {
            for name in REPLACED {
                headers.remove(name);
            }
            headers.insert(CONTENT_TYPE, page.content_type.clone());
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            *response.body_mut() = Body::identified(page.content.clone(), page.id);
        }
        Reply::Response(response)
    }
}

impl Statuses {
    /// Reads `404` or `5xx`.
    fn parse(text: &str) -> Option<Self> {
        let (class, rest) = text.split_at_checked(1)?;
        let digit: u16 = class.parse().ok().filter(|class| matches!(class, 4 | 5))?;
        if rest.eq_ignore_ascii_case("xx") {
            return Some(Self::Class(digit));
        }
        let is_number = rest.len() == 2 && rest.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse().ok().map(Self::One)).flatten()
    }

    const fn contains(self, status: u16) -> bool {
        match self {
            Self::One(own) => own == status,
            Self::Class(class) => class == status / 100,
        }
    }
}

/// Returns `true` if this service made the response because of an error.
fn is_generated(reply: &Reply) -> bool {
    matches!(reply, Reply::Response(response) if response.extensions().get::<Generated>().is_some())
}

/// Reads the pages of one table.
fn table(value: Value<'_>, document: &Document<'_>) -> Option<Vec<Page>> {
    let DeValue::Table(pages) = value.raw() else { return value.wrong_type(EXPECTED) };
    let page = |(key, raw)| {
        let (key, raw): (&toml::Spanned<toml::de::DeString<'_>>, _) = (key, raw);
        let Some(statuses) = Statuses::parse(key.get_ref()) else {
            let what = format!("\"{}\" is not the status of an error", key.get_ref());
            value.error(Diagnostic::new(key.span(), what).expected("a status such as 404, or \"4xx\" or \"5xx\""));
            return None;
        };
        let value = value.at("error_pages", raw);
        let path = document.file(value)?;
        match read_file(&path, MAX_NAMED) {
            Ok(content) => Some(Page {
                statuses,
                content: content.into(),
                id: BodyId::new(),
                content_type: content_type(&path),
                is_default: false,
            }),
            Err(error) => {
                value.error(Diagnostic::new(value.span(), format!("{} cannot be read: {error}", path.display())));
                None
            }
        }
    };
    let pages: Vec<Option<Page>> = pages.iter().map(page).collect();
    pages.into_iter().collect()
}

/// The media type of a page. Pages are HTML, unless their name tells otherwise.
fn content_type(path: &Path) -> HeaderValue {
    HeaderValue::from_static(match path.extension().and_then(|extension| extension.to_str()) {
        Some("txt") => "text/plain; charset=utf-8",
        Some("xhtml") => "application/xhtml+xml",
        _ => "text/html; charset=utf-8",
    })
}

/// Returns `true` if `Accept` names HTML, and no JSON with a higher weight.
pub(super) fn prefers_html(headers: &HeaderMap) -> bool {
    let (mut html, mut json) = (0, 0);
    for range in list::elements(headers, &ACCEPT) {
        let Some(media) = MediaType::parse(range) else { continue };
        let weight = |range: &str| {
            let weight = range.split(';').skip(1).filter_map(|parameter| parameter.trim().split_once('='));
            let mut weight = weight.filter(|(name, _)| name.eq_ignore_ascii_case("q"));
            weight.next().map_or(1000, |(_, weight)| qvalue(weight.trim()).unwrap_or(0))
        };
        if media.is("text/html") || media.is("application/xhtml+xml") {
            html = html.max(weight(range));
        } else if media.is_json() {
            json = json.max(weight(range));
        }
    }
    html > 0 && html >= json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_that_prefer_html() {
        #[track_caller]
        fn check(accept: &str, expect: bool) {
            let mut headers = HeaderMap::new();
            if !accept.is_empty() {
                headers.insert(ACCEPT, HeaderValue::from_str(accept).unwrap());
            }
            assert_eq!(prefers_html(&headers), expect, "{accept:?}");
        }
        check("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true);
        check("text/html", true);
        check("TEXT/HTML;q=0.1", true);
        check("application/json, text/html", true);
        check("application/json, text/html;q=0.5", false);
        check("application/problem+json, text/html;q=0.9", false);
        check("text/html;q=0, */*", false);
        check("*/*", false);
        check("text/*", false);
        check("", false);
    }

    #[test]
    fn statuses() {
        #[track_caller]
        fn check(text: &str, expect: Option<Statuses>) {
            assert_eq!(Statuses::parse(text), expect, "{text:?}");
        }
        check("404", Some(Statuses::One(404)));
        check("5xx", Some(Statuses::Class(5)));
        check("4XX", Some(Statuses::Class(4)));
        for wrong in ["", "4", "40", "4040", "200", "3xx", "6xx", "x", "4+4", "\u{e4}xx"] {
            check(wrong, None);
        }
    }
}
