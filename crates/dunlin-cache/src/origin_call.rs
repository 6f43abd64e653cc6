//! [`OriginCall`]: requests that go to the origin alone, not collapsed with others. Their responses
//! may be stored all the same.

use std::sync::Arc;
use std::time::Duration;

use dunlin_http::cache_control::RequestDirectives;
use dunlin_http::conditional::ETag;
use dunlin_http::{Body, ClientContext, Handler, Reply};
use http::header::{ETAG, IF_RANGE, RANGE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};

use crate::client_freshness::ClientFreshness;
use crate::config::RoutePolicy;
use crate::core::Core;
use crate::entry::Entry;
use crate::forward::{forwarded, whole_request};
use crate::head::Times;
use crate::key::Key;
use crate::policy::client::Client;
use crate::policy::failure;
use crate::policy::s3_storing::Refusal;
use crate::policy::s4_request::BypassReason;
use crate::policy::{s3_4_partial, s4_3_validation};
use crate::serve::{self, RequestContext};
use crate::status::{CacheStatus, ForwardReason};
use crate::storing::ResponseContext;
use crate::tee::{PendingEntry, Tee};

/// A handler with the context of one request: the way to the origin.
#[derive(Clone)]
pub(crate) struct OriginCall<H, C> {
    pub(crate) core: Arc<Core>,
    pub(crate) policy: Arc<RoutePolicy>,
    pub(crate) handler: H,
    pub(crate) context: C,
}

/// A response of the origin, with its times.
pub(crate) struct OriginResponse {
    pub(crate) response: Response<Body>,
    pub(crate) times: Times,
}

/// A response that is stored while it is read, unless it was refused.
pub(crate) struct Teed {
    pub(crate) response: Response<Body>,
    pub(crate) refusal: Option<Refusal>,
}

// === impl OriginCall ===

impl<H: Handler<C>, C> OriginCall<H, C> {
    /// Calls the handler.
    pub(crate) async fn call(&mut self, request: Request<Body>) -> Result<Response<Body>, H::Error> {
        self.handler.handle(request, &self.context).await.map(Reply::into_response)
    }

    /// Forwards a request that the cache does not handle. An unsafe one invalidates when it
    /// succeeds (RFC 9111 §4.4).
    pub(crate) async fn bypass(
        mut self,
        request: Request<Body>,
        reason: BypassReason,
    ) -> Result<Response<Body>, H::Error>
    where
        C: ClientContext,
    {
        if reason == BypassReason::Unsafe {
            return self.unsafe_request(request).await;
        }
        let mut response = self.call(request).await?;
        if reason == BypassReason::Paused {
            // Clients get the same freshness as while the route is not paused.
            let freshness = ClientFreshness::of(response.status(), response.headers(), &self.policy);
            freshness.write(response.headers_mut(), Duration::ZERO);
        }
        Ok(match reason {
            BypassReason::Method => forwarded(&self.core, response, ForwardReason::Method, None, false),
            _ => forwarded(&self.core, response, ForwardReason::Bypass, Some(reason.as_str()), false),
        })
    }

    /// Forwards a request as it is, and stores the response if that is allowed.
    pub(crate) async fn alone(
        mut self,
        parts: Parts,
        key: &Key,
        reason: ForwardReason,
        detail: Option<&str>,
    ) -> Result<Response<Body>, H::Error> {
        let headers = parts.headers.clone();
        let origin = self.send(Request::from_parts(parts, Body::empty())).await?;
        let received = origin.times.received;
        let Teed { response, refusal } = self.tee(origin, key, &headers, None);
        if refusal.is_some() {
            self.core.hit_for_miss.add(key.hash, received);
        }
        let detail = detail.or(refusal.map(Refusal::as_str));
        Ok(forwarded(&self.core, response, reason, detail, refusal.is_none()))
    }

    /// Requests a part and stores it.
    pub(crate) async fn part(
        mut self,
        parts: Parts,
        key: Key,
        stored: Option<Arc<Entry>>,
        reason: ForwardReason,
    ) -> Result<Response<Body>, H::Error> {
        let headers = parts.headers.clone();
        let origin = self.send(Request::from_parts(parts, Body::empty())).await?;
        let Teed { response, refusal } = self.tee(origin, &key, &headers, stored);
        Ok(forwarded(&self.core, response, reason, refusal.map(Refusal::as_str), refusal.is_none()))
    }

    /// Requests the rest of a stored part (RFC 9111 §3.4), or the whole content if the rest does
    /// not fit.
    pub(crate) async fn complete(
        mut self,
        mut parts: Parts,
        key: Key,
        stored: Arc<Entry>,
        reason: ForwardReason,
    ) -> Result<Response<Body>, H::Error> {
        let client_headers = parts.headers.clone();
        let rest = match stored.part {
            Some(part) if part.first == 0 => HeaderValue::try_from(format!("bytes={}-", stored.body.len())).ok(),
            _ => None,
        };
        let Some(rest) = rest else { return self.alone(parts, &key, reason, None).await };
        let fallback = whole_request(&parts);
        parts = whole_request(&parts);
        parts.headers.insert(RANGE, rest);
        // Without a strong validator only the whole content will fit, and an origin may send that
        // in spite of the range.
        if let Some(etag) = stored.headers.get(ETAG)
            && ETag::of(&stored.headers).is_some_and(|etag| !etag.is_weak())
        {
            parts.headers.insert(IF_RANGE, etag.clone());
        }
        let origin = self.send(Request::from_parts(parts, Body::empty())).await?;
        let status = origin.response.status();
        if !matches!(status, StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE) {
            let Teed { response, refusal } = self.tee(origin, &key, &client_headers, None);
            return Ok(forwarded(&self.core, response, reason, refusal.map(Refusal::as_str), refusal.is_none()));
        }
        let joined = {
            let context =
                ResponseContext { key: &key, policy: &self.policy, request: &client_headers, times: origin.times };
            joined(&self.core, &context, origin.response, &stored).await
        };
        if let Some(entry) = joined {
            let context = self.request_context(&Method::GET, &client_headers);
            let status = CacheStatus {
                forward: Some(reason),
                forward_status: Some(status),
                stored: true,
                ..CacheStatus::default()
            };
            if let Some(response) = serve::stored(&entry, context, status) {
                return Ok(response);
            }
        }
        self.alone(fallback, &key, reason, None).await
    }

    /// Forwards a HEAD, and freshens the stored response by the fields that come (RFC 9111 §4.3.5).
    pub(crate) async fn head(
        mut self,
        parts: Parts,
        key: Key,
        stored: Option<Arc<Entry>>,
        reason: ForwardReason,
        directives: RequestDirectives,
    ) -> Result<Response<Body>, H::Error> {
        let (method, headers) = (parts.method.clone(), parts.headers.clone());
        let OriginResponse { response, times } = self.send(Request::from_parts(parts, Body::empty())).await?;
        let Some(stored) = stored.filter(|stored| stored.part.is_none()) else {
            return Ok(forwarded(&self.core, response, reason, None, false));
        };
        let status = response.status();
        let disconnected = failure::is_unreachable(status).then_some(self.core.config.disconnected);
        if failure::is_failure(status) && stored.may_stand_in(times.received, &directives, disconnected) {
            let context = self.request_context(&method, &headers);
            let cache_status = CacheStatus {
                forward: Some(reason),
                forward_status: Some(status),
                detail: Some("stale-if-error"),
                ..CacheStatus::default()
            };
            if let Some(response) = serve::stored(&stored, context, cache_status) {
                return Ok(response);
            }
        }
        let mut is_stored = false;
        if status == stored.status {
            if s4_3_validation::head_matches(&stored.headers, response.headers()) {
                let context = ResponseContext { key: &key, policy: &self.policy, request: &headers, times };
                let freshened = context.freshened(&self.core, &stored, response.headers().clone());
                if freshened.storable {
                    is_stored = context.store(&self.core, freshened.entry).stored;
                }
            } else {
                // The stored response has another content than the origin now.
                self.core.memory.remove(key.hash, &stored);
            }
        }
        Ok(forwarded(&self.core, response, reason, None, is_stored))
    }

    /// Calls the handler, and notes the times for the response.
    pub(crate) async fn send(&mut self, request: Request<Body>) -> Result<OriginResponse, H::Error> {
        let since = self.core.generations.now();
        let requested = self.core.clock.now();
        let response = self.call(request).await?;
        let times = Times { requested, received: self.core.clock.now(), since, store_generation: None };
        Ok(OriginResponse { response, times })
    }

    /// Stores a response while it is read, if that is allowed.
    pub(crate) fn tee(&self, origin: OriginResponse, key: &Key, request: &HeaderMap, part: Option<Arc<Entry>>) -> Teed {
        let OriginResponse { response, times } = origin;
        let (mut parts, content) = response.into_parts();
        let context = ResponseContext { key, policy: &self.policy, request, times };
        let head = match context.head(&self.core, parts.status, &parts.headers) {
            Ok(_) if content.len().is_some_and(|length| length > self.core.config.max_entry) => Err(Refusal::TooLarge),
            head => head,
        };
        let head = match head {
            Ok(head) => head,
            Err(refusal) => return Teed { response: Response::from_parts(parts, content), refusal: Some(refusal) },
        };
        head.client_freshness.write(&mut parts.headers, head.initial_age);
        let pending = PendingEntry {
            core: Arc::clone(&self.core),
            policy: Arc::clone(&self.policy),
            key: key.clone(),
            request: request.clone(),
            times,
            head,
            part,
        };
        let content = match content.try_into_bytes() {
            Ok(bytes) => {
                pending.store(bytes.clone(), None);
                bytes.into()
            }
            Err(content) => Body::new(Tee::new(content, pending)),
        };
        Teed { response: Response::from_parts(parts, content), refusal: None }
    }

    /// The client of the request.
    pub(crate) fn client(&self) -> Client<'_>
    where
        C: ClientContext,
    {
        Client::of(self.context.identity(), &self.policy)
    }

    fn request_context<'a>(&'a self, method: &'a Method, headers: &'a HeaderMap) -> RequestContext<'a> {
        RequestContext { method, headers, plain: false, now: self.core.clock.now(), cache_name: &self.core.config.name }
    }
}

/// Joins a stored part and the rest of it to the whole content, and stores that.
async fn joined(
    core: &Core,
    context: &ResponseContext<'_>,
    response: Response<Body>,
    stored: &Entry,
) -> Option<Arc<Entry>> {
    let (parts, content) = response.into_parts();
    if parts.status != StatusCode::PARTIAL_CONTENT || !s3_4_partial::combinable(&stored.headers, &parts.headers) {
        return None;
    }
    let head = context.head(core, parts.status, &parts.headers).ok()?;
    let bytes = content.collect(core.max_body()).await.ok()?;
    let entry = context.entry(head, bytes, Some(stored)).ok()?;
    entry.part.is_none().then(|| context.store(core, entry).entry)
}
