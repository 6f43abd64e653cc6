//! [`Pass`]: requests that go to the origin by themselves, as nobody else can wait for their
//! answer. It may be kept all the same.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dunlin_http::cache_control::RequestDirectives;
use dunlin_http::conditional::ETag;
use dunlin_http::{Body, BoxError};
use http::header::{CONTENT_LOCATION, ETAG, EXPIRES, IF_RANGE, RANGE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use tower_service::Service;

use crate::config::RoutePolicy;
use crate::core::{Core, Key};
use crate::entry::{Entry, Times, Told};
use crate::fill::{self, passed};
use crate::keep::{Answer, body, groups};
use crate::policy::key::Target;
use crate::policy::s3_storing::Refusal;
use crate::policy::s4_request::Reason;
use crate::policy::s5_2_response::Effective;
use crate::policy::{s3_4_partial, s4_3_validation, s4_4_invalidation};
use crate::serve::{self, For};
use crate::status::{CacheStatus, Forward};
use crate::store::Invalidation;
use crate::tee::{Keeper, Tee};

/// The groups that a response invalidates (RFC 9875 §3).
const CACHE_GROUP_INVALIDATION: HeaderName = HeaderName::from_static("cache-group-invalidation");

/// A way to the origin.
pub(crate) struct Pass<S> {
    pub(crate) core: Arc<Core>,
    pub(crate) policy: Arc<RoutePolicy>,
    /// Ready to be called.
    pub(crate) service: S,
}

// === impl Pass ===

impl<S, R> Pass<S>
where
    S: Service<Request<Body>, Response = Response<R>>,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    /// Lets a request pass that the cache is not to handle. An unsafe one invalidates when it
    /// succeeds (RFC 9111 §4.4).
    pub(crate) async fn bypass(mut self, request: Request<Body>, reason: Reason) -> Result<Response<Body>, S::Error> {
        let why = if matches!(reason, Reason::Unsafe | Reason::Method) { Forward::Method } else { Forward::Bypass };
        let detail = (why == Forward::Bypass).then_some(reason.as_str());
        if reason != Reason::Unsafe {
            let mut response = fill::call(&mut self.service, request).await?.map(body);
            if reason == Reason::Paused {
                let told = Told::of(response.status(), response.headers(), &self.policy);
                told.write(response.headers_mut(), Duration::ZERO);
            }
            return Ok(passed(&self.core, response, why, detail, false));
        }
        let target = Unsafe::of(&request, &self.policy);
        let requested = self.core.clock.now();
        let since = self.core.generations.now();
        let response = fill::call(&mut self.service, request).await?.map(body);
        if s4_4_invalidation::is_non_error(response.status()) {
            target.invalidate(&self.core, response.headers(), &self.policy);
        }
        let times = Times { requested, received: self.core.clock.now(), since, stood: None };
        Ok(self.kept_post(response, &target, times))
    }

    /// Keeps the answer to a POST that says it is what a GET of the same URI would give (RFC 9110
    /// §9.3.3).
    fn kept_post(&self, response: Response<Body>, target: &Unsafe, mut times: Times) -> Response<Body> {
        let plain = |response| passed(&self.core, response, Forward::Method, None, false);
        let directives = Effective::of(response.headers(), &self.core.config.targets);
        let explicit = directives.max_age.or(directives.s_maxage).is_some() || response.headers().contains_key(EXPIRES);
        let same = response.headers().get(CONTENT_LOCATION).and_then(|location| location.to_str().ok()).is_some_and(
            |location| {
                s4_4_invalidation::resolve(location, &target.authority, &target.path).as_deref()
                    == Some(&target.target())
            },
        );
        if !target.post || response.status() != StatusCode::OK || !explicit || !same {
            return plain(response);
        }
        // It is what came of the change, so it is newer than the invalidation that the change
        // itself has made.
        times.since = self.core.generations.now();
        let Some(key) = target.key(&self.core, &self.policy) else { return plain(response) };
        let (response, stored) = self.tee(response, &key, &target.headers, times, None);
        passed(&self.core, response, Forward::Method, None, stored)
    }

    /// Asks the origin with the very request, and keeps the answer if it may be.
    pub(crate) async fn alone(
        mut self,
        parts: Parts,
        key: &Key,
        why: Forward,
        detail: Option<&str>,
    ) -> Result<Response<Body>, S::Error> {
        let headers = parts.headers.clone();
        let (response, times) = self.send(Request::from_parts(parts, Body::empty())).await?;
        let (response, stored, refusal) = self.teed(response, key, &headers, times, None);
        let detail = detail.or(refusal.map(Refusal::as_str));
        if !stored {
            self.core.lonely.add(key.hash, times.received);
        }
        Ok(passed(&self.core, response, why, detail, stored))
    }

    /// Asks for a part, and keeps it.
    pub(crate) async fn part(
        mut self,
        parts: Parts,
        key: Key,
        stored: Option<Arc<Entry>>,
        why: Forward,
    ) -> Result<Response<Body>, S::Error> {
        let headers = parts.headers.clone();
        let (response, times) = self.send(Request::from_parts(parts, Body::empty())).await?;
        let (response, kept, refusal) = self.teed(response, &key, &headers, times, stored);
        Ok(passed(&self.core, response, why, refusal.map(Refusal::as_str), kept))
    }

    /// Asks for what a stored part lacks (RFC 9111 §3.4), and for all of it when what comes does
    /// not fit.
    pub(crate) async fn complete(
        mut self,
        mut parts: Parts,
        key: Key,
        stored: Arc<Entry>,
        why: Forward,
    ) -> Result<Response<Body>, S::Error> {
        let client = parts.headers.clone();
        let rest = match stored.part {
            Some(part) if part.first == 0 => HeaderValue::try_from(format!("bytes={}-", stored.body.len())).ok(),
            _ => None,
        };
        let Some(rest) = rest else { return self.alone(parts, &key, why, None).await };
        let again = fill::whole_request(&parts);
        parts = fill::whole_request(&parts);
        parts.headers.insert(RANGE, rest);
        // Without a strong validator what comes will only fit if it is all of it: an origin may
        // well ignore the range.
        if let Some(etag) = stored.headers.get(ETAG)
            && ETag::of(&stored.headers).is_some_and(|etag| !etag.is_weak())
        {
            parts.headers.insert(IF_RANGE, etag.clone());
        }
        let (response, times) = self.send(Request::from_parts(parts, Body::empty())).await?;
        if !matches!(response.status(), StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE) {
            let (response, kept, refusal) = self.teed(response, &key, &client, times, None);
            return Ok(passed(&self.core, response, why, refusal.map(Refusal::as_str), kept));
        }
        let status = response.status();
        let joined = {
            let answer = Answer { key: &key, policy: &self.policy, request: &client, times };
            joined(&self.core, &answer, response, &stored).await
        };
        if let Some(entry) = joined {
            let method = http::Method::GET;
            let request = For {
                method: &method,
                headers: &client,
                plain: false,
                now: self.core.clock.now(),
                name: &self.core.config.name,
            };
            let told = CacheStatus {
                forward: Some(why),
                forward_status: Some(status),
                stored: true,
                ..CacheStatus::default()
            };
            if let Some(response) = serve::entry(&entry, request, told) {
                return Ok(response);
            }
        }
        self.alone(again, &key, why, None).await
    }

    /// Passes a HEAD on, and brings what is stored up to date by what comes (RFC 9111 §4.3.5).
    pub(crate) async fn head(
        mut self,
        parts: Parts,
        key: Key,
        stored: Option<Arc<Entry>>,
        why: Forward,
        asked: RequestDirectives,
    ) -> Result<Response<Body>, S::Error> {
        let request = parts.headers.clone();
        let method = parts.method.clone();
        let (response, times) = self.send(Request::from_parts(parts, Body::empty())).await?;
        let Some(stored) = stored.filter(|stored| stored.part.is_none()) else {
            return Ok(passed(&self.core, response, why, None, false));
        };
        let status = response.status();
        if Core::has_failed(status)
            && stored.may_stand_in(times.received, &asked, Core::is_unreachable(status), self.core.disconnected())
        {
            let made_for = For {
                method: &method,
                headers: &request,
                plain: false,
                now: times.received,
                name: &self.core.config.name,
            };
            let told = CacheStatus {
                forward: Some(why),
                forward_status: Some(status),
                detail: Some("stale-if-error"),
                ..CacheStatus::default()
            };
            if let Some(response) = serve::entry(&stored, made_for, told) {
                return Ok(response);
            }
        }
        let mut kept = false;
        if status == stored.status {
            if s4_3_validation::head_matches(&stored.headers, response.headers()) {
                let answer = Answer { key: &key, policy: &self.policy, request: &request, times };
                if let (entry, true) = answer.freshened(&self.core, &stored, response.headers().clone()) {
                    kept = answer.keep(&self.core, entry).1;
                }
            } else {
                // What is stored is of another content: it is not to be used again.
                self.core.memory.remove(key.hash, &stored);
            }
        }
        Ok(passed(&self.core, response, why, None, kept))
    }

    async fn send(&mut self, request: Request<Body>) -> Result<(Response<Body>, Times), S::Error> {
        let since = self.core.generations.now();
        let requested = self.core.clock.now();
        let response = fill::call(&mut self.service, request).await?.map(body);
        Ok((response, Times { requested, received: self.core.clock.now(), since, stood: None }))
    }

    fn tee(
        &self,
        response: Response<Body>,
        key: &Key,
        request: &HeaderMap,
        times: Times,
        part: Option<Arc<Entry>>,
    ) -> (Response<Body>, bool) {
        let (response, stored, _) = self.teed(response, key, request, times, part);
        (response, stored)
    }

    /// The response, with what reads along and keeps it, if it may be kept.
    fn teed(
        &self,
        response: Response<Body>,
        key: &Key,
        request: &HeaderMap,
        times: Times,
        part: Option<Arc<Entry>>,
    ) -> (Response<Body>, bool, Option<Refusal>) {
        let (parts, content) = response.into_parts();
        let answer = Answer { key, policy: &self.policy, request, times };
        let head = match answer.head(&self.core, parts.status, &parts.headers) {
            Ok(_) if content.len().is_some_and(|length| length > self.core.config.max_entry) => Err(Refusal::TooLarge),
            head => head,
        };
        let head = match head {
            Ok(head) => head,
            Err(refusal) => return (Response::from_parts(parts, content), false, Some(refusal)),
        };
        let mut headers = parts.headers.clone();
        head.told.write(&mut headers, head.initial_age);
        let keeper = Keeper {
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
                keeper.keep(bytes.clone(), None);
                bytes.into()
            }
            Err(content) => Body::new(Tee::new(content, keeper)),
        };
        let mut response = Response::from_parts(parts, content);
        *response.headers_mut() = headers;
        (response, true, None)
    }
}

/// The whole that a stored part and the rest of it make.
async fn joined(core: &Core, answer: &Answer<'_>, response: Response<Body>, stored: &Entry) -> Option<Arc<Entry>> {
    let (parts, content) = response.into_parts();
    if parts.status != StatusCode::PARTIAL_CONTENT || !s3_4_partial::combinable(&stored.headers, &parts.headers) {
        return None;
    }
    let head = answer.head(core, parts.status, &parts.headers).ok()?;
    let most = usize::try_from(core.config.max_entry).unwrap_or(usize::MAX);
    let bytes = content.collect(most).await.ok()?;
    let entry = answer.entry(head, bytes, Some(stored)).ok()?;
    entry.part.is_none().then(|| answer.keep(core, entry).0)
}

/// What an unsafe request is about.
struct Unsafe {
    post: bool,
    secure: bool,
    authority: String,
    path: String,
    /// The target as it came, without what an outer router has removed.
    own: Uri,
    query: Option<String>,
    headers: HeaderMap,
}

// === impl Unsafe ===

impl Unsafe {
    fn of(request: &Request<Body>, policy: &RoutePolicy) -> Self {
        let method = request.method().clone();
        // Only what the target is made of.
        let mut parts = Request::new(()).into_parts().0;
        parts.uri = request.uri().clone();
        parts.headers = request.headers().clone();
        parts.extensions = request.extensions().clone();
        let target = Target::of(&parts, policy);
        Self {
            post: method == http::Method::POST,
            secure: target.secure,
            authority: target.authority.to_owned(),
            path: [target.prefix, target.path].concat(),
            own: parts.uri.clone(),
            query: parts.uri.query().map(str::to_owned),
            headers: parts.headers,
        }
    }

    fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    fn invalidate(&self, core: &Core, response: &HeaderMap, policy: &RoutePolicy) {
        let mut what = Invalidation::default();
        Core::url(&mut what, self.secure, &self.authority, &self.target());
        for target in s4_4_invalidation::locations(response, &self.authority, &self.path) {
            Core::url(&mut what, self.secure, &self.authority, &target);
        }
        let told = groups(response, &CACHE_GROUP_INVALIDATION);
        let origin =
            format!("{}{}", if self.secure { "https://" } else { "http://" }, self.authority.to_ascii_lowercase());
        what.groups.extend(told.iter().map(|group| Core::group_at(&origin, group)));
        what.groups.extend(policy.invalidates.iter().cloned());
        core.invalidate(&what);
    }

    fn key(&self, core: &Core, policy: &RoutePolicy) -> Option<Key> {
        let mut parts = Request::new(()).into_parts().0;
        parts.uri = self.own.clone();
        parts.headers = self.headers.clone();
        if self.secure {
            parts.extensions.insert(http::uri::Scheme::HTTPS);
        }
        Some(core.plain_key(&parts, policy))
    }
}
