//! A reverse proxy: requests go to one upstream, and its answers come back.

mod config;
mod fields;
mod forwarded;
mod hops;
mod target;
mod tunnel;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use dunlin_http::{Body, BoxError, ClientInfo, Context as HandlerContext, Handler, Interim, Problem, ReplyFuture};
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, UPGRADE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use hyper::upgrade::OnUpgrade;

use crate::client::{Answer, Hear, Origin, Terms, Upgraded};
use crate::{Client, FetchError};
pub use config::ProxyConfig;

/// A reverse proxy: a service that sends each request to one upstream, and streams its answer back.
///
/// All that is not the business of one connection alone (RFC 9110 §7.6.1) passes unchanged, both
/// ways: unknown methods, unknown fields, repeated ones in their order, trailers; and interim
/// responses, when the request carries an [`Interim`] that says where they go. Bodies stream, and
/// each side waits for the other. An upstream that breaks off breaks off the answer, too: its body
/// fails, so that no client takes it for complete.
///
/// It never fails: what goes wrong upstream is answered as [`FetchError::problem`] has it.
#[derive(Clone, Debug)]
pub struct Proxy {
    inner: Arc<Inner>,
    peer: ClientInfo,
}

#[derive(Debug)]
struct Inner {
    /// Keeps the pool alive.
    _client: Client,
    origin: Arc<Origin>,
    base: target::Base,
    config: ProxyConfig,
    via: Option<fields::Via>,
    terms: Terms,
}

/// What of a request matters for its answer.
struct Asked {
    head: bool,
    upgrade: Option<(HeaderValue, OnUpgrade)>,
}

// === impl Proxy ===

impl Proxy {
    /// Sends requests to `upstream`, whose path comes before theirs.
    ///
    /// # Errors
    /// [`FetchError::Uri`] when `upstream` is no http or https URL.
    pub fn new(client: Client, upstream: &Uri, config: ProxyConfig) -> Result<Self, FetchError> {
        let (origin, path) = client.origin_and_path(upstream)?;
        let defaults = client.shared().terms();
        let terms = Terms {
            response_timeout: config.response_timeout.unwrap_or(defaults.response_timeout),
            read_timeout: config.read_timeout.unwrap_or(defaults.read_timeout),
            retry: config.retry.unwrap_or(defaults.retry),
            expect: None,
        };
        let via = config.via.as_deref().and_then(fields::Via::new);
        let inner = Inner { _client: client, origin, base: target::Base::of(&path), config, via, terms };
        Ok(Self { inner: Arc::new(inner), peer: ClientInfo::default() })
    }

    /// The same proxy for requests from `peer`, unless they carry a [`ClientInfo`] of their own.
    #[must_use]
    pub fn for_peer(&self, peer: ClientInfo) -> Self {
        Self { inner: self.inner.clone(), peer }
    }

    /// Sends `request` to the upstream's URL with `path_and_query` appended: percent-encoded as it
    /// came, the query included. This is for routers, that know which part of the path is theirs.
    /// With `keep_path` the request's own path and query are sent instead.
    pub fn forward<B>(
        &self,
        mut request: Request<B>,
        path_and_query: &str,
    ) -> impl Future<Output = Response<Body>> + Send + use<B>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let base = &self.inner.base;
        let target = if self.inner.config.keep_path { base.join_uri(request.uri()) } else { base.join(path_and_query) };
        let upgrade = request.extensions_mut().remove::<OnUpgrade>();
        let request = request.map(Body::new);
        let this = self.clone();
        async move {
            match target {
                Ok(target) => this.run(request, target, upgrade).await,
                Err(status) => Problem::new(status).into_response(),
            }
        }
    }

    async fn run(self, mut request: Request<Body>, target: PathAndQuery, on: Option<OnUpgrade>) -> Response<Body> {
        if let Some(response) = hops::count(&mut request) {
            return response;
        }
        if *request.method() == Method::CONNECT {
            return hops::refuse_connect();
        }
        // They are counted, also where they go no further.
        let hear = match request.extensions_mut().remove::<Interim>() {
            Some(interim) => self.hear(interim),
            None => Arc::new(|_: StatusCode, _: &HeaderMap| ()),
        };
        let (request, asked, terms) = self.prepare(request, target, on);
        match self
            .inner
            .origin
            .send(request, terms, None, Some(&hear))
            .await
            .and_then(|answer| self.finish(answer, asked))
        {
            Ok(response) => response,
            Err(error) => error.problem().into_response(),
        }
    }

    /// Passes interim responses on (RFC 9110 §15.2: "A proxy MUST forward 1xx responses").
    fn hear(&self, interim: Interim) -> Hear {
        let inner = self.inner.clone();
        Arc::new(move |status, headers| {
            let mut headers = headers.clone();
            fields::remove_hop_by_hop(&mut headers);
            if let Some(via) = &inner.via {
                via.add(&mut headers, Version::HTTP_11);
            }
            interim.send(status, &headers);
        })
    }

    /// The request as the upstream shall have it.
    fn prepare(
        &self,
        request: Request<Body>,
        target: PathAndQuery,
        on: Option<OnUpgrade>,
    ) -> (Request<Body>, Asked, Terms) {
        let Inner { config, origin, via, .. } = &*self.inner;
        let (mut parts, body) = request.into_parts();
        let peer = parts.extensions.get().copied().unwrap_or(self.peer);
        // What other layers left there is not for the client's connection, least of all a hook of
        // it.
        parts.extensions.clear();
        let headers = &mut parts.headers;
        let upgrade = on.and_then(|on| Some((fields::wanted_upgrade(headers, parts.version, &config.upgrades)?, on)));
        let trailers = fields::takes_trailers(headers);
        fields::remove_hop_by_hop(headers);
        let mut terms = self.inner.terms;
        if headers.get(EXPECT).is_some_and(|expect| expect.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
            // RFC 9110 §10.1.1: the client waits for what the upstream says; HTTP/1.0 clients and
            // empty bodies do not.
            if parts.version == Version::HTTP_10 || body.is_empty() {
                headers.remove(EXPECT);
            } else {
                terms.expect = Some(config.expect_timeout);
            }
        }
        if !headers.contains_key(HOST) {
            // HTTP/2 has the authority in the URL.
            let authority = parts.uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
            if let Some(authority) = authority {
                headers.insert(HOST, authority);
            }
        }
        let told = forwarded::Fields { x_forwarded: config.x_forwarded, forwarded: config.forwarded };
        forwarded::tell(headers, peer, &config.trusted, told);
        // HTTP/1.0 need not name a host. What it did not ask for is not told above; the upstream is
        // to have one.
        if !config.preserve_host || !headers.contains_key(HOST) {
            headers.insert(HOST, origin.host.clone());
        }
        if let Some(via) = via {
            via.add(headers, parts.version);
        }
        match &upgrade {
            Some((protocols, _)) => {
                headers.insert(UPGRADE, protocols.clone());
                headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            }
            None if trailers => {
                // RFC 9110 §10.1.4: whoever sends TE names it in Connection.
                headers.insert(TE, HeaderValue::from_static("trailers"));
                headers.insert(CONNECTION, HeaderValue::from_static("te"));
            }
            None => {}
        }
        parts.uri = target.into();
        let asked = Asked { head: parts.method == Method::HEAD, upgrade };
        (Request::from_parts(parts, body), asked, terms)
    }

    /// The answer as the client shall have it.
    fn finish(&self, answer: Answer, asked: Asked) -> Result<Response<Body>, FetchError> {
        let Answer { mut response, upgraded } = answer;
        if let Some(upgraded) = upgraded {
            return self.switch(response, upgraded, asked);
        }
        let status = response.status();
        let headers = response.headers_mut();
        fields::remove_hop_by_hop(headers);
        if status == StatusCode::NO_CONTENT {
            // RFC 9110 §8.6: there is none with 204.
            headers.remove(CONTENT_LENGTH);
        } else if !asked.head && status != StatusCode::NOT_MODIFIED {
            one_length(&mut response);
        }
        if let Some(via) = &self.inner.via {
            via.add(response.headers_mut(), Version::HTTP_11);
        }
        Ok(response)
    }

    /// Connects client and upstream after 101 (RFC 9110 §15.2.2).
    fn switch(
        &self,
        mut response: Response<Body>,
        upgraded: Upgraded,
        asked: Asked,
    ) -> Result<Response<Body>, FetchError> {
        let unwanted = || FetchError::Protocol("101 to what nobody asked for".into());
        let (wanted, client) = asked.upgrade.ok_or_else(unwanted)?;
        if !fields::is_wanted(response.headers(), &wanted) {
            return Err(unwanted());
        }
        let upstream = response.extensions_mut().remove::<OnUpgrade>().ok_or_else(unwanted)?;
        let headers = response.headers_mut();
        let protocol = headers.get(UPGRADE).cloned();
        fields::remove_hop_by_hop(headers);
        headers.remove(CONTENT_LENGTH);
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol.unwrap_or(wanted));
        tunnel::spawn(client, upstream, upgraded, self.inner.origin.clone());
        Ok(response)
    }
}

impl Handler<HandlerContext> for Proxy {
    type Error = Infallible;
    type Future = ReplyFuture;

    fn handle(&self, mut request: Request<Body>, context: &HandlerContext) -> ReplyFuture {
        // The upstream learns of the nearest hop; what trusted proxies said before stays.
        request.extensions_mut().insert(context.peer.unwrap_or(context.client));
        if let Some(interim) = &context.interim {
            request.extensions_mut().insert(interim.clone());
        }
        // A URI is a count of references; the target borrows it.
        let uri = request.uri().clone();
        ReplyFuture::response(self.forward(request, context.target(&uri)))
    }
}

impl<B> tower_service::Service<Request<B>> for Proxy
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let target = self.inner.base.join_uri(request.uri());
        let upgrade = request.extensions_mut().remove::<OnUpgrade>();
        let request = request.map(Body::new);
        let this = self.clone();
        Box::pin(async move {
            Ok(match target {
                Ok(target) => this.run(request, target, upgrade).await,
                Err(status) => Problem::new(status).into_response(),
            })
        })
    }
}

/// Leaves one length where the upstream gave the same one several times (RFC 9110 §8.6).
fn one_length(response: &mut Response<Body>) {
    let mut lengths = response.headers().get_all(CONTENT_LENGTH).iter();
    let first_is_list = lengths.next().is_some_and(|first| first.as_bytes().contains(&b','));
    if (first_is_list || lengths.next().is_some())
        && let Some(len) = response.body().len()
    {
        response.headers_mut().insert(CONTENT_LENGTH, len.into());
    }
}
