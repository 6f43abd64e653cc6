//! [`RequestBuilder`]: a request that is built step by step.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dunlin_http::Body;
use form_urlencoded::Serializer;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Uri};
use tokio::time::Instant;

use super::ClientResponse;
use super::deadline::Deadline;
use super::follow;
use crate::{Client, Error};

/// A request that [`Client::get`] and its relatives begin. The first error is kept for
/// [`RequestBuilder::send`].
#[derive(Debug)]
#[must_use = "a request is sent by `send`"]
pub struct RequestBuilder {
    client: Client,
    request: Result<Request<Body>, Error>,
    timeout: Option<Duration>,
    limit: usize,
    redirects: usize,
}

// === impl Client ===

/// Adds a method that begins a request.
macro_rules! verbs {
    ($($name:ident $method:ident),*) => {$(
        #[doc = concat!("Begins a ", stringify!($method), " request.")]
        pub fn $name<U>(&self, url: U) -> RequestBuilder
        where
            U: TryInto<Uri>,
            U::Error: Into<http::Error>,
        {
            self.request_to(Method::$method, url)
        }
    )*};
}

impl Client {
    verbs!(get GET, post POST, put PUT, patch PATCH, delete DELETE, head HEAD);

    /// Begins a request with any method.
    pub fn request_to<U>(&self, method: Method, url: U) -> RequestBuilder
    where
        U: TryInto<Uri>,
        U::Error: Into<http::Error>,
    {
        let request = url.try_into().map_err(invalid).map(|url| {
            let mut request = Request::new(Body::empty());
            *request.method_mut() = method;
            *request.uri_mut() = url;
            request
        });
        RequestBuilder {
            client: self.clone(),
            request,
            timeout: None,
            limit: self.shared().config.max_text,
            redirects: 0,
        }
    }
}

// === impl RequestBuilder ===

impl RequestBuilder {
    /// Adds a field line.
    pub fn header<N, V>(self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName>,
        N::Error: Into<http::Error>,
        V: TryInto<HeaderValue>,
        V::Error: Into<http::Error>,
    {
        self.change(|request| {
            request.headers_mut().append(name.try_into().map_err(invalid)?, value.try_into().map_err(invalid)?);
            Ok(())
        })
    }

    /// Adds parameters to the query of the URL.
    pub fn query<K: AsRef<str>, V: AsRef<str>>(self, pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        self.change(|request| {
            let added = encode(pairs);
            if added.is_empty() {
                return Ok(());
            }
            let mut parts = request.uri().clone().into_parts();
            let old = parts.path_and_query.as_ref();
            let path = old.map_or("/", PathAndQuery::path);
            let query = match old.and_then(PathAndQuery::query) {
                Some(query) if !query.is_empty() => format!("{path}?{query}&{added}"),
                _ => format!("{path}?{added}"),
            };
            parts.path_and_query = Some(query.parse().map_err(invalid)?);
            *request.uri_mut() = Uri::from_parts(parts).map_err(invalid)?;
            Ok(())
        })
    }

    /// Sets the body.
    pub fn body(self, body: impl Into<Body>) -> Self {
        self.change(|request| {
            *request.body_mut() = body.into();
            Ok(())
        })
    }

    /// Sets the body to a form (`application/x-www-form-urlencoded`).
    pub fn form<K: AsRef<str>, V: AsRef<str>>(self, pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        self.change(|request| {
            set_content(request, "application/x-www-form-urlencoded", encode(pairs).into());
            Ok(())
        })
    }

    /// Sets the body to a value as JSON.
    #[cfg(feature = "json")]
    pub fn json<T: serde::Serialize + ?Sized>(self, value: &T) -> Self {
        self.change(|request| {
            let json = serde_json::to_vec(value).map_err(|error| Error::Request(error.into()))?;
            set_content(request, "application/json", json.into());
            Ok(())
        })
    }

    /// Sets `Authorization` to a bearer token (RFC 6750).
    pub fn bearer(self, token: &str) -> Self {
        self.authorization(&format!("Bearer {token}"))
    }

    /// Sets `Authorization` to a user and a password (RFC 7617).
    pub fn basic(self, user: &str, password: &str) -> Self {
        if user.contains(':') {
            return self.change(|_| Err(Error::Request("a user of Basic has no colon (RFC 7617 §2)".into())));
        }
        self.authorization(&format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
    }

    /// Limits the time from [`RequestBuilder::send`] to the end of the response body. Default: the
    /// limits of [`Config`](crate::Config) alone.
    pub const fn timeout(mut self, total: Duration) -> Self {
        self.timeout = Some(total);
        self
    }

    /// Limits the bytes of the response that [`ClientResponse`] reads into memory. Default:
    /// [`Config::max_text`](crate::Config::max_text).
    pub const fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// Follows at most `limit` redirects, never from `https` to `http`. Default: 0, with which a
    /// redirect is a response like any other.
    ///
    /// A 303, and a 301 or 302 of a POST, becomes a GET. Another origin receives no
    /// `Authorization`, `Cookie` and `Proxy-Authorization`. A body that streams is not sent again.
    pub const fn redirects(mut self, limit: usize) -> Self {
        self.redirects = limit;
        self
    }

    /// Sends the request.
    ///
    /// # Errors
    /// [`Error`]. The status of a response is none: see [`ClientResponse::error_for_status`].
    pub async fn send(self) -> Result<ClientResponse, Error> {
        let Self { client, request, timeout, limit, redirects } = self;
        let sent = follow::send(&client, request?, redirects);
        // A time beyond the range of the clock is no limit.
        let end = timeout.and_then(|total| Some((total, Instant::now().checked_add(total)?)));
        let (response, url) = match end {
            None => sent.await?,
            Some((total, at)) => {
                let (response, url) = tokio::time::timeout_at(at, sent).await.map_err(|_| Error::Timeout(total))??;
                (response.map(|body| Body::new(Deadline::new(body, at))), url)
            }
        };
        Ok(ClientResponse { response, url, limit })
    }

    fn authorization(self, value: &str) -> Self {
        self.change(|request| {
            let mut value: HeaderValue = value.parse().map_err(invalid)?;
            value.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, value);
            Ok(())
        })
    }

    fn change(mut self, change: impl FnOnce(&mut Request<Body>) -> Result<(), Error>) -> Self {
        self.request = self.request.and_then(|mut request| change(&mut request).map(|()| request));
        self
    }
}

/// The error of an invalid URL, name or value. Its text does not repeat the value.
fn invalid(error: impl Into<http::Error>) -> Error {
    Error::Request(error.into().into())
}

fn encode<K: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (K, V)>) -> String {
    Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// Sets the body, and `Content-Type` unless the caller has set it.
fn set_content(request: &mut Request<Body>, content_type: &'static str, body: Body) {
    *request.body_mut() = body;
    request.headers_mut().entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(content_type));
}
