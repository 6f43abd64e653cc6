//! [`RequestInfo`]: the facts about a request that its answer depends on, besides the parameters.

use dunlin_http::conditional::Validators;
use dunlin_http::fields;
use http::header::{IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName, Method};

use super::arguments::Params;
use super::page::Paging;
use super::{accept, prefer};
use crate::declared::Declared;
use crate::error::Error;
use crate::json::Format;
use crate::query::Rows;

/// The facts about a request that the answer depends on, besides the parameters.
pub(super) struct RequestInfo {
    pub(super) format: Format,
    /// GET, HEAD or QUERY.
    pub(super) reads: bool,
    /// The method and the fields, if there is a condition or a preference.
    pub(super) fields: Option<Box<(Method, HeaderMap)>>,
    /// The parameters of the query whose answer a condition is about.
    pub(super) representation: Option<Box<Result<Params, Error>>>,
    pub(super) page: Option<Box<Paging>>,
}

// === impl RequestInfo ===

impl RequestInfo {
    pub(super) fn of(query: &Declared, method: Method, headers: HeaderMap) -> Self {
        let format = format_of(query, &headers);
        let reads = is_read(&method);
        let wants = || !reads && fields::has(&headers, &prefer::PREFER);
        let fields = (Validators::has_preconditions(&headers) || wants()).then(|| Box::new((method, headers)));
        Self { format, reads, fields, representation: None, page: None }
    }

    /// The fields of the request, if they are needed.
    pub(super) fn headers(&self) -> Option<&HeaderMap> {
        self.fields.as_ref().map(|fields| &fields.1)
    }

    /// Returns `true` if the request has this field.
    pub(super) fn has(&self, name: &HeaderName) -> bool {
        self.headers().is_some_and(|headers| headers.contains_key(name))
    }

    /// Returns `true` if the request depends on the current representation.
    pub(super) fn is_conditional(&self) -> bool {
        self.headers().is_some_and(has_condition)
    }
}

/// Returns `true` for the methods whose responses are representations: GET, HEAD and QUERY (RFC
/// 10008 §2).
pub(super) const fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::QUERY)
}

/// Returns `true` if a request has a condition about entity tags.
pub(super) fn has_condition(headers: &HeaderMap) -> bool {
    fields::has_any(headers, &[IF_MATCH, IF_NONE_MATCH])
}

/// The format that a client gets from a query.
pub(super) fn format_of(query: &Declared, headers: &HeaderMap) -> Format {
    match query.rows {
        Rows::One => Format::Json,
        Rows::Many => accept::choose(query.formats, headers),
    }
}
