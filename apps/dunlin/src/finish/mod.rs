//! The stage that edits a response on its way out: header fields and error pages.
//!
//! It is outside the cache, so that stored responses contain nothing about one client. The edits
//! are compiled from the configuration at start. A route without edits pays one branch.

mod headers;
mod pages;
mod template;

use dunlin_http::{Body, Reply};
use http::{HeaderValue, Request};

use crate::reader::{Document, Section, Value};
use crate::routes::Captures;
use headers::HeaderEdits;
use pages::ErrorPages;
pub(crate) use template::Facts;

/// The edits of a route's responses, compiled.
#[derive(Clone, Debug, Default)]
pub(crate) struct Finish {
    headers: HeaderEdits,
    pages: ErrorPages,
}

/// The facts about one request that its edits need, taken before the request is answered.
#[derive(Debug)]
pub(crate) struct Begun {
    /// The values that are made from the request, in the order of the templates.
    values: Vec<Option<HeaderValue>>,
    prefers_html: bool,
}

// === impl Finish ===

impl Finish {
    /// Reads the keys of a route, or of its defaults, key by key.
    ///
    /// `names` are the names in the route's path.
    pub(crate) fn read(table: &mut Section<'_>, names: &[&str], document: &Document<'_>) -> Option<Self> {
        let headers = HeaderEdits::read(table.both("response_headers"), Some(names));
        let pages = ErrorPages::read(table.both("error_pages"), document);
        Some(Self { headers: headers?, pages: pages? })
    }

    /// Reads the keys of `[defaults]` for responses that no route gives.
    pub(crate) fn read_defaults(value: Value<'_>, document: &Document<'_>) -> Option<Self> {
        let mut table = value.section("[defaults]")?;
        let headers = HeaderEdits::read(table.both("response_headers"), None);
        let pages = ErrorPages::read(table.both("error_pages"), document);
        Some(Self { headers: headers?, pages: pages? })
    }

    /// Returns `true` if nothing is edited.
    pub(crate) fn is_empty(&self) -> bool {
        self.headers.is_empty() && self.pages.is_empty()
    }

    /// Takes the facts that the edits of this request's response need.
    pub(crate) fn begin(&self, request: &Request<Body>, facts: &Facts<'_>, captures: &Captures) -> Begun {
        Begun {
            values: self.headers.values(request, facts, captures),
            prefers_html: !self.pages.is_empty() && pages::prefers_html(request.headers()),
        }
    }

    /// Edits a reply.
    pub(crate) fn apply(&self, begun: Begun, reply: Reply) -> Reply {
        let reply = self.pages.apply(begun.prefers_html, reply);
        self.headers.apply(begun.values, reply)
    }
}
