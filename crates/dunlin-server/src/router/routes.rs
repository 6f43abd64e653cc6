//! [`Routes`]: handlers by method and path, and the service that they make.

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use dunlin_http::{Body, BoxError, Problem};
use http::header::ALLOW;
use http::{Method, Request, Response, StatusCode, Uri};
use tower_service::Service;

use super::{Match, Respond, RouteError, Router};

type ResponseFuture = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;
type Boxed = Arc<dyn Fn(Request<Body>) -> ResponseFuture + Send + Sync>;

/// Handlers and services by method and path. [`build`](Self::build) makes a service of them.
///
/// ```
/// use dunlin_http::{Body, PathParams, Problem};
/// use dunlin_server::{Json, Routes, json};
/// use http::{Request, StatusCode};
/// use tower::ServiceExt;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let service = Routes::new()
///     .get("/", async |_| "Hello, World!")
///     .get("/users/{id}", async |request: Request<Body>| {
///         let params: &PathParams = request.extensions().get().unwrap();
///         match params.get("id") {
///             Some("1") => Ok(Json(serde_json::json!({"id": 1}))),
///             _ => Err(Problem::new(StatusCode::NOT_FOUND)),
///         }
///     })
///     .post("/sum", async |mut request: Request<Body>| {
///         json::<Vec<i64>>(&mut request).await.map(|numbers| Json(numbers.iter().sum::<i64>()))
///     })
///     .build()
///     .unwrap();
///
/// let request = Request::get("/users/1").body(Body::empty()).unwrap();
/// let response = service.oneshot(request).await.unwrap();
/// assert_eq!(response.into_body().as_bytes(), Some(&br#"{"id":1}"#[..]));
/// # });
/// ```
#[must_use]
pub struct Routes {
    router: Router<Boxed>,
    fallback: Option<Boxed>,
    error: Option<RouteError>,
}

/// The service of [`Routes`].
#[derive(Clone)]
pub struct RouteService {
    router: Arc<Router<Boxed>>,
    fallback: Option<Boxed>,
}

// === impl Routes ===

impl Routes {
    /// An empty set of routes. Its responses are 404, and 501 for unknown methods.
    pub fn new() -> Self {
        Self { router: Router::new(), fallback: None, error: None }
    }

    /// Adds a handler of `methods` on `pattern`; see [`Router::insert`].
    pub fn route<H, F>(mut self, methods: &[Method], pattern: &str, handler: H) -> Self
    where
        H: Fn(Request<Body>) -> F + Send + Sync + 'static,
        F: Future<Output: Respond> + Send + 'static,
    {
        if let Err(error) = self.router.insert(methods, pattern, boxed(handler)) {
            self.error.get_or_insert(error);
        }
        self
    }

    /// Adds a handler of GET and HEAD.
    pub fn get<H, F>(self, pattern: &str, handler: H) -> Self
    where
        H: Fn(Request<Body>) -> F + Send + Sync + 'static,
        F: Future<Output: Respond> + Send + 'static,
    {
        self.route(&[Method::GET], pattern, handler)
    }

    /// Adds a handler of POST.
    pub fn post<H, F>(self, pattern: &str, handler: H) -> Self
    where
        H: Fn(Request<Body>) -> F + Send + Sync + 'static,
        F: Future<Output: Respond> + Send + 'static,
    {
        self.route(&[Method::POST], pattern, handler)
    }

    /// Adds a service of every method on every path below `prefix`. The prefix is removed from the
    /// path: a service on `/assets` sees `/assets/app.js` as `/app.js`.
    pub fn mount<S, B>(self, prefix: &str, service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let prefix = prefix.trim_end_matches('/').to_owned();
        let (rest, bare) = (format!("{prefix}/{{*rest}}"), prefix.clone());
        let handler = move |mut request: Request<Body>| {
            remove_prefix(request.uri_mut(), prefix.len());
            call(service.clone(), request)
        };
        let handler = Arc::new(handler);
        let again = handler.clone();
        let mounted = self.route(&[], &rest, move |request| handler(request));
        if bare.is_empty() { mounted } else { mounted.route(&[], &bare, move |request| again(request)) }
    }

    /// Sets the handler of every path without a route, for any method.
    pub fn fallback<H, F>(mut self, handler: H) -> Self
    where
        H: Fn(Request<Body>) -> F + Send + Sync + 'static,
        F: Future<Output: Respond> + Send + 'static,
    {
        self.fallback = Some(boxed(handler));
        self
    }

    /// Builds the service.
    ///
    /// # Errors
    /// Returns the error of the first route that was malformed or clashed with another.
    pub fn build(self) -> Result<RouteService, RouteError> {
        match self.error {
            Some(error) => Err(error),
            None => Ok(RouteService { router: Arc::new(self.router), fallback: self.fallback }),
        }
    }
}

impl Default for Routes {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.router.iter().map(|(pattern, methods, _)| (pattern, methods))).finish()
    }
}

fn boxed<H, F>(handler: H) -> Boxed
where
    H: Fn(Request<Body>) -> F + Send + Sync + 'static,
    F: Future<Output: Respond> + Send + 'static,
{
    Arc::new(move |request| {
        let answer = handler(request);
        Box::pin(async move { answer.await.respond() })
    })
}

async fn call<S, B>(mut service: S, request: Request<Body>) -> Response<Body>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let ready = poll_fn(|cx| service.poll_ready(cx).map_err(Into::<BoxError>::into)).await;
    let answer = match ready {
        Ok(()) => service.call(request).await.map_err(Into::into),
        Err(error) => Err(error),
    };
    answer.map(|response| response.map(Body::new)).unwrap_or_else(|error| {
        tracing::error!(%error, "a mounted service failed; answering 500");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR).into_response()
    })
}

/// Removes the first `len` bytes of the path.
fn remove_prefix(uri: &mut Uri, len: usize) {
    let Some(target) = uri.path_and_query().and_then(|target| target.as_str().get(len..)) else { return };
    let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
    if let Ok(target) = target.parse::<http::uri::PathAndQuery>() {
        *uri = Uri::from(target);
    }
}

// === impl RouteService ===

impl fmt::Debug for RouteService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.router.iter().map(|(pattern, methods, _)| (pattern, methods))).finish()
    }
}

impl<B> Service<Request<B>> for RouteService
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

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut request = request.map(Body::new);
        let answer: Result<ResponseFuture, Response<Body>> = match self
            .router
            .at(request.method(), request.uri().path())
        {
            Match::Found { value, params } => {
                request.extensions_mut().insert(params);
                Ok(value(request))
            }
            Match::NotFound => match &self.fallback {
                Some(fallback) => Ok(fallback(request)),
                None if self.router.knows(request.method()) => Err(Problem::new(StatusCode::NOT_FOUND).into_response()),
                None => Err(Problem::new(StatusCode::NOT_IMPLEMENTED).into_response()),
            },
            Match::MethodNotAllowed { allow } => Err(Problem::method_not_allowed(allow.clone()).into_response()),
            Match::NotImplemented => Err(Problem::new(StatusCode::NOT_IMPLEMENTED).into_response()),
            Match::Options { allow } => {
                let mut response = StatusCode::NO_CONTENT.respond();
                response.headers_mut().insert(ALLOW, allow.clone());
                Err(response)
            }
        };
        Box::pin(async move {
            Ok(match answer {
                Ok(answer) => answer.await,
                Err(response) => response,
            })
        })
    }
}
