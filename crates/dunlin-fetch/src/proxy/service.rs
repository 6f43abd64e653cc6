//! [`Proxy`]: the handler, and the tower service.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use bytes::Bytes;
use dunlin_http::{
    Body, BoxError, ClientInfo, Context, Handler, Interim, Problem, ReplyFuture, ResponseFuture, UpstreamSlot,
};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use hyper::upgrade::OnUpgrade;

use super::config::ProxyConfig;
use super::request::UpstreamRequest;
use super::state::{Destination, ProxyState};
use super::{max_forwards, response};
use crate::upstream::{KeySource, Routing};
use crate::{Client, Error, Upstream};

/// A reverse proxy: it sends each request to one upstream and streams the response back.
///
/// Everything that does not concern one connection only (RFC 9110 §7.6.1) passes unchanged in both
/// directions: unknown methods, unknown fields, the order of repeated fields, trailers, and interim
/// responses where the client's connection takes them ([`Interim`]). Bodies stream with
/// backpressure. If the upstream's response ends too early, the body fails, so that no client takes
/// it for complete.
///
/// The proxy never fails: an error of the upstream becomes the response of [`Error::problem`].
///
/// It is a [`Handler`] with a [`Context`], and a tower service. The upstream receives the path of
/// the request behind that of its own URL. As a handler, the proxy sends only the part of the path
/// that [`Context::rest`] leaves to it. As a service, it sends the path that it is called with:
/// axum's `nest_service` removes the prefix. A [`ClientInfo`] in the request's extensions names the
/// client.
#[derive(Clone, Debug)]
pub struct Proxy {
    state: Arc<ProxyState>,
    peer: ClientInfo,
}

/// The two addresses that a request comes from.
#[derive(Clone, Copy)]
struct Senders {
    /// The nearest hop.
    peer: ClientInfo,
    /// The client behind all proxies, as far as it is known.
    client: ClientInfo,
}

/// The ways back from a request, besides its response.
struct Channels {
    /// The sender of interim responses.
    interim: Option<Interim>,
    /// The place where the server is noted.
    slot: Option<UpstreamSlot>,
    /// The client's side of a tunnel.
    client: Option<OnUpgrade>,
}

// === impl Proxy ===

impl Proxy {
    /// Makes a proxy for `upstream`, a URL without a query.
    ///
    /// # Errors
    /// [`Error::Uri`] if `upstream` is not an http or https URL.
    pub fn new(client: Client, upstream: &Uri, config: ProxyConfig) -> Result<Self, Error> {
        let state = Arc::new(ProxyState::new(client, upstream, config)?);
        Ok(Self { state, peer: ClientInfo::default() })
    }

    /// Makes a proxy for the servers of `upstream`. `path` comes before the path of each request.
    /// The connections are those of `client`, so each event loop makes a proxy of its own.
    ///
    /// # Errors
    /// [`Error::Uri`] if a server's name cannot be a TLS name.
    pub fn with_upstream(
        client: Client,
        upstream: Arc<Upstream>,
        path: &str,
        config: ProxyConfig,
    ) -> Result<Self, Error> {
        let state = Arc::new(ProxyState::with_upstream(client, upstream, path, config)?);
        Ok(Self { state, peer: ClientInfo::default() })
    }

    /// The same proxy for the requests of one connection. The tower service uses `peer` for
    /// requests without a [`ClientInfo`] of their own.
    #[must_use]
    pub fn for_peer(&self, peer: ClientInfo) -> Self {
        Self { state: self.state.clone(), peer }
    }

    fn forward(
        &self,
        mut request: Request<Body>,
        target: Result<PathAndQuery, StatusCode>,
        senders: Senders,
        interim: Option<Interim>,
        slot: Option<UpstreamSlot>,
    ) -> ReplyFuture {
        let client = request.extensions_mut().remove::<OnUpgrade>();
        let state = self.state.clone();
        ReplyFuture::response(async move {
            match target {
                Ok(target) => send(&state, request, target, senders, Channels { interim, slot, client }).await,
                Err(status) => Problem::new(status).into_response(),
            }
        })
    }
}

/// Sends a request to the upstream, unless the proxy itself has to respond.
async fn send(
    state: &Arc<ProxyState>,
    mut request: Request<Body>,
    target: PathAndQuery,
    senders: Senders,
    Channels { interim, slot, client }: Channels,
) -> Response<Body> {
    if let Some(response) = max_forwards::decrement(&mut request) {
        return response;
    }
    if *request.method() == Method::CONNECT {
        return max_forwards::refuse_connect();
    }
    // Interim responses are counted even if the client's connection takes none.
    let on_interim = match interim {
        Some(interim) => response::forward_interim(state, interim),
        None => Arc::new(|_: StatusCode, _: &HeaderMap| ()),
    };
    let key = match &state.destination {
        Destination::Origin(_) => None,
        Destination::Upstream(balancer) => {
            balancer.key(KeySource { headers: request.headers(), path: target.path(), client: senders.client.ip })
        }
    };
    let UpstreamRequest { request, options, facts, sets_host } =
        UpstreamRequest::new(state, request, target, senders.peer, client);
    let received = match &state.destination {
        Destination::Origin(origin) => {
            if let Some(slot) = &slot {
                slot.set(origin.name.clone());
            }
            origin.send(request, options, None, Some(&on_interim)).await
        }
        // Boxed, so that the future of a proxy for one server is no larger.
        Destination::Upstream(balancer) => {
            let routing = Routing { key, sets_host, slot: slot.as_ref() };
            Box::pin(balancer.send(request, options, routing, Some(&on_interim))).await
        }
    };
    match received.and_then(|received| response::finish(state, received, facts)) {
        Ok(response) => response,
        Err(error) => error.problem().into_response(),
    }
}

impl Handler<Context> for Proxy {
    type Error = Infallible;
    type Future = ReplyFuture;

    fn handle(&self, request: Request<Body>, context: &Context) -> ReplyFuture {
        let ProxyState { base, config, .. } = &*self.state;
        let target = match context.rest {
            Some(_) if !config.keep_path => base.join(context.target(request.uri())),
            _ => base.join_uri(request.uri()),
        };
        // The upstream learns of the nearest hop. The fields of trusted proxies stay.
        let senders = Senders { peer: context.peer.unwrap_or(context.client), client: context.client };
        self.forward(request, target, senders, context.interim.clone(), context.upstream.clone())
    }
}

impl<B> tower_service::Service<Request<B>> for Proxy
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ResponseFuture<ReplyFuture>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let target = self.state.base.join_uri(request.uri());
        let peer = request.extensions().get().copied().unwrap_or(self.peer);
        let interim = request.extensions().get().cloned();
        let senders = Senders { peer, client: peer };
        ResponseFuture::new(self.forward(request.map(Body::new), target, senders, interim, None))
    }
}
