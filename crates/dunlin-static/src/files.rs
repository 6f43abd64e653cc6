//! [`Files`]: the service. Its steps are *resolve*, *variant*, *precondition*, *range* and
//! *respond*, a module each.

use std::convert::Infallible;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use bytes::Bytes;
use dunlin_http::{Body, BoxError, Context, Handler, Metric, ReplyFuture, ResponseFuture};
use http::{HeaderMap, Method, Response};

use crate::entry::{Content, Entry};
use crate::lookup::Lookup;
use crate::respond::Source;
use crate::root::Root;
use crate::shared::Shared;
use crate::{Config, Error, listing, path, precondition, respond, variant};

/// The files of one folder, as a service. Clones share one table of files in memory.
///
/// It responds to GET, HEAD and OPTIONS. Other methods get 405 (Method Not Allowed). No file
/// outside the folder is ever read.
#[derive(Clone)]
pub struct Files(Arc<Shared>);

/// The future of [`Files::respond`]. It is ready at once for a file in memory. It needs a tokio
/// runtime with time enabled.
#[must_use = "futures do nothing unless polled"]
pub struct Respond(State);

/// The figures of a folder at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Files in the table.
    pub files: usize,
    /// The memory that they take, in bytes.
    pub bytes: usize,
}

enum State {
    Ready(Option<Response<Body>>),
    Slow(Pin<Box<dyn Future<Output = Response<Body>> + Send>>),
}

/// The parts of a request that needs a lookup.
struct Request {
    method: Method,
    headers: HeaderMap,
    path: String,
    query: String,
}

// === impl Files ===

impl Files {
    /// Serves the files beneath `root`.
    ///
    /// # Errors
    /// Fails if `root` cannot be opened as a folder, or if a setting is invalid.
    pub fn new(root: impl AsRef<Path>, config: Config) -> Result<Self, Error> {
        config.validate()?;
        let root = root.as_ref();
        let open = Root::new(root).map_err(|source| Error::Root { path: root.to_owned(), source })?;
        Ok(Self(Arc::new(Shared::new(open, config))))
    }

    /// Responds to a request for `target`. It is for routers that have matched a prefix.
    ///
    /// `target` is a path below the root, percent-encoded, with or without a slash before it. It
    /// may have a query, which redirects keep.
    pub fn respond(&self, method: &Method, headers: &HeaderMap, target: &str) -> Respond {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Respond::ready(respond::other_method(method));
        }
        let (raw, query) = path::split(target);
        // A path without escapes needs no decoding. It needs no check either: the table contains
        // accepted paths only.
        if memchr::memchr(b'%', raw.as_bytes()).is_none()
            && let Some(response) = self.respond_from_memory(method, headers, raw)
        {
            return Respond::ready(response);
        }
        let Some(path) = path::parse(raw) else { return self.reject(method, headers) };
        if raw.len() != path.len()
            && let Some(response) = self.respond_from_memory(method, headers, &path)
        {
            return Respond::ready(response);
        }
        let request = Request {
            method: method.clone(),
            headers: headers.clone(),
            path: path.into_owned(),
            query: query.to_owned(),
        };
        Respond(State::Slow(Box::pin(look_up(Arc::clone(&self.0), request))))
    }

    /// The figures at this moment.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let (files, bytes) = self.0.table.size();
        Stats { files, bytes }
    }

    /// Responds from memory, without a system call, if the table has a fresh entry.
    fn respond_from_memory(&self, method: &Method, headers: &HeaderMap, path: &str) -> Option<Response<Body>> {
        let now = self.0.config.clock.now();
        let respond = |entry: &Entry| {
            if !entry.is_fresh(now, self.0.check_interval()) {
                return None;
            }
            let (variant, _) = variant::select(entry, headers);
            let Content::Memory(memory) = &variant.content else { return None };
            if entry.can_be_sealed() {
                entry.count_request();
            }
            Some(respond::respond(variant, Source::Memory(memory), method, headers, now))
        };
        self.0.table.with(path, respond).flatten()
    }

    /// Responds with 404 to a path that is invalid.
    fn reject(&self, method: &Method, headers: &HeaderMap) -> Respond {
        if self.0.config.not_found.is_none() {
            return Respond::ready(respond::not_found());
        }
        let (shared, method, headers) = (Arc::clone(&self.0), method.clone(), headers.clone());
        Respond(State::Slow(Box::pin(async move { not_found(&shared, &method, &headers).await })))
    }
}

/// Looks a path up, and responds.
async fn look_up(shared: Arc<Shared>, request: Request) -> Response<Body> {
    let Request { method, headers, path, query } = &request;
    let names_tag = precondition::names_tag(headers);
    match shared.find(path, names_tag).await {
        Ok(Lookup::Missing) if shared.config.spa && is_page(path, headers) => match shared.find("", names_tag).await {
            Ok(found @ (Lookup::Memory(_) | Lookup::Disk(..))) => file(&shared, found, method, headers),
            _ => not_found(&shared, method, headers).await,
        },
        Ok(Lookup::Missing) => not_found(&shared, method, headers).await,
        Ok(Lookup::Folder(folder)) => match listing::list(&shared, folder, path, headers).await {
            Ok(page) => {
                let source = Source::Memory(&page.content);
                respond::respond(&page.variant, source, method, headers, shared.config.clock.now())
            }
            Err(error) => failed(&error, path),
        },
        Ok(Lookup::Unslashed) => respond::redirect(path, query),
        Ok(found) => file(&shared, found, method, headers),
        Err(error) => failed(&error, path),
    }
}

/// Responds with a file that was found: steps 2 to 5.
fn file(shared: &Shared, found: Lookup, method: &Method, headers: &HeaderMap) -> Response<Body> {
    let (entry, located) = match found {
        Lookup::Memory(entry) => (entry, None),
        Lookup::Disk(entry, located) => (entry, Some(located)),
        Lookup::Unslashed | Lookup::Folder(_) | Lookup::Missing => return respond::not_found(),
    };
    let (variant, coding) = variant::select(&entry, headers);
    let source = match &variant.content {
        Content::Memory(memory) => Some(Source::Memory(memory)),
        Content::Disk => located.and_then(|located| located.into_source(coding, shared.pool.clone())).map(Source::File),
    };
    match source {
        Some(source) => respond::respond(variant, source, method, headers, shared.config.clock.now()),
        None => respond::unavailable(),
    }
}

fn failed(error: &std::io::Error, path: &str) -> Response<Body> {
    tracing::error!(%error, path, "a file could not be read: responding with 503");
    respond::unavailable()
}

/// Responds with 404, and with the configured page if there is one.
async fn not_found(shared: &Arc<Shared>, method: &Method, headers: &HeaderMap) -> Response<Body> {
    let Some(page) = &shared.config.not_found else { return respond::not_found() };
    match shared.find(page, false).await {
        Ok(Lookup::Memory(entry)) => respond::not_found_page(variant::select(&entry, headers).0, method),
        _ => respond::not_found(),
    }
}

/// Returns `true` if a path may be a page of an application that routes in the browser.
///
/// Such a path has no extension, or `Accept` names HTML. Browsers name it for pages, but not for
/// scripts, styles and images.
fn is_page(path: &str, headers: &HeaderMap) -> bool {
    let accepts_html = || {
        dunlin_http::list::elements(headers, &http::header::ACCEPT)
            .filter_map(dunlin_http::media_type::MediaType::parse)
            .any(|media| media.is("text/html"))
    };
    !path.rsplit('/').next().unwrap_or(path).contains('.') || accepts_html()
}

impl<B> tower_service::Service<http::Request<B>> for Files
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

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let uri = request.uri();
        let target = uri.path_and_query().map_or_else(|| uri.path(), http::uri::PathAndQuery::as_str);
        ResponseFuture::new(self.respond(request.method(), request.headers(), target).into_reply())
    }
}

impl Handler<Context> for Files {
    type Error = Infallible;
    type Future = ReplyFuture;

    fn handle(&self, request: http::Request<Body>, context: &Context) -> ReplyFuture {
        let target = context.target(request.uri());
        self.respond(request.method(), request.headers(), target).into_reply()
    }
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Files").field("config", &self.0.config).field("stats", &self.stats()).finish()
    }
}

// === impl Stats ===

impl Stats {
    /// The figures as metrics.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        let Self { files, bytes } = *self;
        vec![
            Metric::gauge("dunlin_files_known", "Files that are known.", files as f64),
            Metric::gauge("dunlin_files_bytes", "Bytes of files in memory.", bytes as f64),
        ]
    }
}

// === impl Respond ===

impl Respond {
    fn ready(response: Response<Body>) -> Self {
        Self(State::Ready(Some(response)))
    }

    fn into_reply(self) -> ReplyFuture {
        match self.0 {
            State::Ready(response) => ReplyFuture::ready(response.unwrap_or_default()),
            State::Slow(future) => ReplyFuture::response(future),
        }
    }
}

impl Future for Respond {
    type Output = Response<Body>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Response<Body>> {
        match &mut self.0 {
            // A second poll after completion breaks the contract of futures; it stays pending.
            State::Ready(response) => response.take().map_or(Poll::Pending, Poll::Ready),
            State::Slow(future) => future.as_mut().poll(cx),
        }
    }
}
