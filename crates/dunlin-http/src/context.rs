//! [`Context`]: the facts about a request that are not in its message.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use http::{Request, Uri};

use crate::{Identity, Interim, PathParams};

/// The facts about a request that are not in its message.
///
/// A server or a router makes one for each request. A [`ToTower`](crate::ToTower) service reads it
/// from the request's extensions: [`ClientInfo`], [`PathParams`], [`Interim`] and `Arc<Identity>`.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Context {
    /// The client that sent the request.
    pub client: ClientInfo,
    /// The peer of the connection, if it is a proxy and not the client.
    pub peer: Option<ClientInfo>,
    /// The parameters of the matched path.
    pub params: PathParams,
    /// The index of the byte in the path at which the part matched by `{*rest}` begins.
    pub rest: Option<usize>,
    /// The sender of interim responses, if the client's protocol allows them.
    pub interim: Option<Interim>,
    /// The verified identity of the client, if the route requires one.
    pub identity: Option<Arc<Identity>>,
    /// The place where a proxy notes the server that it sends the request to.
    pub upstream: Option<UpstreamSlot>,
}

/// The place where a proxy notes the server that it sends a request to, for a log.
#[derive(Clone, Debug, Default)]
pub struct UpstreamSlot(Arc<Mutex<Option<Arc<str>>>>);

/// A context that a layer can look into, whatever else it contains.
pub trait ClientContext {
    /// The verified identity of the client.
    fn identity(&self) -> Option<&Identity>;

    /// The context of a request that a layer makes after the client has its response, such as a
    /// revalidation in the background.
    ///
    /// It names the same resource and has the same identity, because the request contains the same
    /// credentials. The client's address and the sender of interim responses are left out.
    #[must_use]
    fn for_background(&self) -> Self;
}

/// The client of a request: the peer of the connection, or the client that a trusted proxy names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ClientInfo {
    /// The address. `None` for a Unix socket.
    pub ip: Option<IpAddr>,
    /// `true` if the client's own connection is encrypted.
    pub https: bool,
}

/// A context that can be made from a request.
pub trait FromRequest {
    /// Reads the request's extensions.
    fn from_request<B>(request: &Request<B>) -> Self;
}

// === impl Context ===

impl Context {
    /// The part of a request's path and query that belongs to the handler: the part that `{*rest}`
    /// matched, or all of it.
    #[must_use]
    pub fn target<'u>(&self, uri: &'u Uri) -> &'u str {
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        self.rest.and_then(|rest| target.get(rest..)).unwrap_or(target)
    }
}

impl FromRequest for Context {
    fn from_request<B>(request: &Request<B>) -> Self {
        let extensions = request.extensions();
        Self {
            client: extensions.get().copied().unwrap_or_default(),
            peer: None,
            params: extensions.get().cloned().unwrap_or_default(),
            rest: None,
            interim: extensions.get().cloned(),
            identity: extensions.get().cloned(),
            upstream: None,
        }
    }
}

impl ClientContext for Context {
    fn identity(&self) -> Option<&Identity> {
        self.identity.as_deref()
    }

    fn for_background(&self) -> Self {
        Self {
            client: ClientInfo { ip: None, https: self.client.https },
            peer: None,
            params: self.params.clone(),
            rest: self.rest,
            interim: None,
            identity: self.identity.clone(),
            upstream: None,
        }
    }
}

impl ClientContext for () {
    fn identity(&self) -> Option<&Identity> {
        None
    }

    fn for_background(&self) -> Self {}
}

impl FromRequest for () {
    fn from_request<B>(_: &Request<B>) -> Self {}
}

// === impl UpstreamSlot ===

impl UpstreamSlot {
    /// Notes a server. The last one counts: it is the one that answered, or failed last.
    pub fn set(&self, server: Arc<str>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
    }

    /// The server, if the request was sent to one.
    #[must_use]
    pub fn get(&self) -> Option<Arc<str>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

// === impl ClientInfo ===

impl ClientInfo {
    /// Makes the description of a client at `ip`, or on a Unix socket.
    #[must_use]
    pub const fn new(ip: Option<IpAddr>, https: bool) -> Self {
        Self { ip, https }
    }

    /// `https` or `http`.
    #[must_use]
    pub const fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_of_a_handler() {
        #[track_caller]
        fn check(uri: &str, rest: Option<usize>, expect: &str) {
            let context = Context { rest, ..Context::default() };
            assert_eq!(context.target(&uri.parse().unwrap()), expect);
        }
        check("/a/b?c", None, "/a/b?c");
        check("/a/b?c", Some(3), "b?c");
        check("/a/?c", Some(3), "?c");
        check("/a/", Some(3), "");
        check("/a", Some(9), "/a");
    }
}
