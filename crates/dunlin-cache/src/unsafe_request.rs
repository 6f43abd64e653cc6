//! Requests with unsafe methods: they invalidate (RFC 9111 §4.4), and the response to a POST may be
//! stored (RFC 9110 §9.3.3).

use dunlin_http::{Body, ClientContext, Handler};
use http::header::{CONTENT_LOCATION, EXPIRES};
use http::{HeaderMap, Method, Request, Response, StatusCode};

use crate::config::RoutePolicy;
use crate::core::Core;
use crate::field_names::CACHE_GROUP_INVALIDATION;
use crate::forward::forwarded;
use crate::invalidate::add_url;
use crate::key::{Key, group_at};
use crate::origin_call::{OriginCall, OriginResponse};
use crate::policy::key::Target;
use crate::policy::s4_4_invalidation;
use crate::policy::s5_2_response::Effective;
use crate::request::RequestHead;
use crate::status::ForwardReason;
use crate::store::Invalidation;
use crate::storing::groups;

/// The facts of an unsafe request that are needed after the origin has consumed it.
struct UnsafeRequest {
    is_post: bool,
    secure: bool,
    authority: String,
    /// The path with the prefix that an outer router has removed.
    path: String,
    query: Option<String>,
    headers: HeaderMap,
    /// The key of a GET of the same URI.
    key: Key,
}

// === impl OriginCall ===

impl<H: Handler<C>, C: ClientContext> OriginCall<H, C> {
    /// Forwards an unsafe request, and invalidates when it succeeds.
    pub(crate) async fn unsafe_request(mut self, request: Request<Body>) -> Result<Response<Body>, H::Error> {
        let facts = UnsafeRequest::of(&RequestHead::of(&request, self.client()), &self.core, &self.policy);
        let origin = self.send(request).await?;
        if s4_4_invalidation::is_non_error(origin.response.status()) {
            facts.invalidate(&self.core, origin.response.headers(), &self.policy);
        }
        Ok(self.store_post(origin, &facts))
    }

    /// Stores the response to a POST that says it equals the response to a GET of the same URI (RFC
    /// 9110 §9.3.3).
    fn store_post(&self, mut origin: OriginResponse, facts: &UnsafeRequest) -> Response<Body> {
        let headers = origin.response.headers();
        let directives = Effective::of(headers, &self.core.config.targets);
        let explicit = directives.max_age.or(directives.s_maxage).is_some() || headers.contains_key(EXPIRES);
        let location = headers.get(CONTENT_LOCATION).and_then(|location| location.to_str().ok());
        let names_target = location.is_some_and(|location| {
            let target = s4_4_invalidation::resolve(location, &facts.authority, &facts.path);
            target.as_deref() == Some(&facts.target())
        });
        if !facts.is_post || origin.response.status() != StatusCode::OK || !explicit || !names_target {
            return forwarded(&self.core, origin.response, ForwardReason::Method, None, false);
        }
        // The response contains the result of the change, so it is newer than the invalidation that
        // the change has caused.
        origin.times.since = self.core.generations.now();
        let teed = self.tee(origin, &facts.key, &facts.headers, None);
        forwarded(&self.core, teed.response, ForwardReason::Method, None, teed.refusal.is_none())
    }
}

// === impl UnsafeRequest ===

impl UnsafeRequest {
    fn of(request: &RequestHead<'_>, core: &Core, policy: &RoutePolicy) -> Self {
        let target = Target::of(request, policy);
        Self {
            is_post: *request.method == Method::POST,
            secure: target.secure,
            authority: target.authority.to_owned(),
            path: [target.prefix, target.path].concat(),
            query: request.uri.query().map(str::to_owned),
            headers: request.headers.clone(),
            key: core.plain_key(request, policy),
        }
    }

    fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    fn invalidate(&self, core: &Core, response: &HeaderMap, policy: &RoutePolicy) {
        let mut invalidation = Invalidation::default();
        add_url(&mut invalidation, self.secure, &self.authority, &self.target());
        for target in s4_4_invalidation::locations(response, &self.authority, &self.path) {
            add_url(&mut invalidation, self.secure, &self.authority, &target);
        }
        let scheme = if self.secure { "https://" } else { "http://" };
        let origin = format!("{scheme}{}", self.authority.to_ascii_lowercase());
        let named = groups(response, &CACHE_GROUP_INVALIDATION);
        invalidation.groups.extend(named.iter().map(|group| group_at(&origin, group)));
        invalidation.groups.extend(policy.invalidates.iter().cloned());
        core.invalidate(&invalidation);
    }
}
