//! [`RequestHead`].

use http::{Extensions, HeaderMap, Method, Request, Uri};

use crate::policy::client::Client;

/// The parts of a request that the cache looks at, by reference.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestHead<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) extensions: &'a Extensions,
    pub(crate) client: Client<'a>,
}

// === impl RequestHead ===

impl<'a> RequestHead<'a> {
    pub(crate) fn of<B>(request: &'a Request<B>, client: Client<'a>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
            client,
        }
    }
}
