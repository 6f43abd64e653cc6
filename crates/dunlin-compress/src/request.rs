//! [`RequestInfo`]: the parts of a request that decide about the encoding of its response.

use dunlin_http::fields;
use dunlin_http::negotiate::{AcceptEncoding, Choice, Coding};
use http::header::IF_NONE_MATCH;
use http::{HeaderValue, Method, Request};

/// The parts of a request that decide about the encoding of its response.
#[derive(Debug)]
pub(crate) struct RequestInfo {
    /// The negotiated coding. `None` means identity.
    pub(crate) coding: Option<Coding>,
    pub(crate) is_head: bool,
    pub(crate) is_connect: bool,
    pub(crate) if_none_match: Option<HeaderValue>,
    pub(crate) accept: AcceptEncoding,
}

// === impl RequestInfo ===

impl RequestInfo {
    /// Reads a request, and negotiates one of the offered codings.
    pub(crate) fn new<A>(request: &Request<A>, offered: &[Coding]) -> Self {
        let headers = request.headers();
        let accept = AcceptEncoding::of(headers);
        let coding = match accept.choose(offered) {
            Choice::Coding(coding) => Some(coding),
            // Deviates from RFC 9110 §12.5.3: a client that accepts neither identity nor an offered
            // coding gets identity, because the handler's work is done by then, and a response that
            // the client may be able to read is worth more to it than a 406 (Not Acceptable).
            Choice::Identity | Choice::Nothing => None,
        };
        Self {
            coding,
            is_head: *request.method() == Method::HEAD,
            is_connect: *request.method() == Method::CONNECT,
            if_none_match: fields::first(headers, &IF_NONE_MATCH).cloned(),
            accept,
        }
    }

    /// Returns `true` if the client accepts content in this coding.
    pub(crate) fn accepts(&self, coding: Coding) -> bool {
        self.accept.choose(&[coding]) == Choice::Coding(coding)
    }
}
