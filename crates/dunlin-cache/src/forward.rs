//! Requests on their way to the origin, and responses that are passed on as they came.

use dunlin_http::Body;
use http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE, UPGRADE};
use http::request::Parts;
use http::{Method, Request, Response};

use crate::core::Core;
use crate::field_names::CACHE_STATUS;
use crate::policy::s3_storing::strip_hop_by_hop;
use crate::status::{CacheStatus, ForwardReason};

/// The GET for the whole content, without the client's range and conditions.
pub(crate) fn whole_request(parts: &Parts) -> Parts {
    let mut request = Request::new(()).into_parts().0;
    request.method = Method::GET;
    request.uri = parts.uri.clone();
    request.version = parts.version;
    request.headers = parts.headers.clone();
    request.extensions = parts.extensions.clone();
    for name in [IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_RANGE, RANGE] {
        request.headers.remove(name);
    }
    request
}

/// The response of the origin, with `Cache-Status` and without the fields of its connection.
pub(crate) fn forwarded(
    core: &Core,
    mut response: Response<Body>,
    reason: ForwardReason,
    detail: Option<&str>,
    stored: bool,
) -> Response<Body> {
    let status = CacheStatus {
        forward: Some(reason),
        forward_status: Some(response.status()),
        stored,
        detail,
        ..CacheStatus::default()
    };
    let headers = response.headers_mut();
    // An upgrade is for the server that sends this response on.
    if !headers.contains_key(UPGRADE) {
        strip_hop_by_hop(headers);
    }
    let upstream = headers.get(CACHE_STATUS).cloned();
    let value = status.to_value(&core.config.name, upstream.as_ref());
    headers.insert(CACHE_STATUS, value);
    response
}
