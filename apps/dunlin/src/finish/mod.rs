//! The stage that edits a response on its way out: header fields, CORS and error pages.
//!
//! It is outside the cache, so that stored responses contain nothing about one client. The edits
//! are compiled from the configuration at start. A route without edits pays one branch.

mod pages;

use dunlin_http::{Body, ClientInfo, Reply};
use http::{HeaderValue, Request};

use crate::admit::{Cors, is_preflight};
use crate::fields::{Facts, FieldEdits, IdentitySlot, Message, REQUEST_ID};
use crate::reader::{Document, Pattern, Section, Value};
use crate::routes::Captures;
use pages::ErrorPages;

/// The edits of a route's responses, as they were read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Finish {
    fields: FieldEdits,
    pages: ErrorPages,
}

/// The edits of a route's responses, compiled.
#[derive(Debug)]
pub(crate) struct RouteFinish {
    edits: Finish,
    cors: Option<Cors>,
    captures: Captures,
    /// `true` if responses have the identifier of their request.
    request_id: bool,
    /// `true` if responses may be an upstream's.
    forwards: bool,
}

/// The parts of a route that edit its responses, besides [`Finish`].
pub(crate) struct Parts<'r> {
    pub(crate) cors: Option<&'r Cors>,
    pub(crate) path: &'r Pattern,
    pub(crate) request_id: bool,
    pub(crate) forwards: bool,
}

/// The facts about one request that its edits need, taken before the request is answered.
#[derive(Debug)]
pub(crate) struct Begun {
    facts: Option<Facts>,
    origin: Option<HeaderValue>,
    is_preflight: bool,
    request_id: Option<HeaderValue>,
    prefers_html: bool,
}

// === impl Finish ===

impl Finish {
    /// Reads the keys of a route and of its defaults, key by key.
    ///
    /// `names` are the names in the route's path; `None` if any may be there.
    pub(crate) fn read(table: &mut Section<'_>, names: Option<&[&str]>, document: &Document<'_>) -> Option<Self> {
        let fields = FieldEdits::read(table.all("response_headers"), Message::Response, names);
        let has_own = table.has("error_pages");
        let pages = ErrorPages::read(table.all("error_pages"), has_own, document);
        Some(Self { fields: fields?, pages: pages? })
    }

    /// Reads the keys of `[defaults]` for responses that no route gives.
    pub(crate) fn read_defaults(value: Value<'_>, document: &Document<'_>) -> Option<Self> {
        Self::read(&mut value.section("[defaults]")?, None, document)
    }

    fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.pages.is_empty()
    }
}

// === impl RouteFinish ===

impl RouteFinish {
    /// The edits of a route; `None` if there are none.
    pub(crate) fn new(edits: &Finish, parts: &Parts<'_>) -> Option<Box<Self>> {
        let Parts { cors, path, request_id, forwards } = *parts;
        let is_needed = !edits.is_empty() || cors.is_some() || request_id;
        let captures = || Captures::new(path);
        let (edits, cors) = (edits.clone(), cors.cloned());
        is_needed.then(|| Box::new(Self { edits, cors, captures: captures(), request_id, forwards }))
    }

    /// Takes the facts that the edits of this request's response need.
    pub(crate) fn begin(&self, request: &Request<Body>, client: &ClientInfo, identity: Option<&IdentitySlot>) -> Begun {
        let Finish { fields, pages } = &self.edits;
        Begun {
            facts: fields.needs_facts().then(|| Facts::new(request, client, identity.cloned())),
            origin: self.cors.as_ref().and_then(|_| request.headers().get(http::header::ORIGIN).cloned()),
            is_preflight: self.cors.is_some() && is_preflight(request),
            request_id: self.request_id.then(|| request.headers().get(REQUEST_ID).cloned()).flatten(),
            prefers_html: !pages.is_empty() && pages::prefers_html(request.headers()),
        }
    }

    /// Edits a reply.
    pub(crate) fn apply(&self, begun: Begun, reply: Reply) -> Reply {
        let Begun { facts, origin, is_preflight, request_id, prefers_html } = begun;
        let reply = self.edits.pages.apply(prefers_html, self.forwards, reply);
        if self.edits.fields.is_empty() && self.cors.is_none() && request_id.is_none() {
            return reply;
        }
        let mut response = reply.into_response();
        let headers = response.headers_mut();
        if let Some(cors) = &self.cors {
            cors.apply(headers, origin.as_ref(), is_preflight);
        }
        if let Some(id) = request_id {
            headers.insert(REQUEST_ID, id);
        }
        self.edits.fields.apply(headers, facts.as_ref(), &self.captures);
        Reply::Response(response)
    }
}
