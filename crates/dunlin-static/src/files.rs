//! [`Files`]: the service. Its pipeline is resolve, variant, preconditions, range, respond: a
//! module each.

use std::convert::Infallible;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use bytes::Bytes;
use dunlin_http::{Body, BoxError, Context, Handler, Metric, ReplyFuture};
use http::{HeaderMap, Method, Request, Response};

use crate::entry::{Content, Entry};
use crate::lookup::{Known, Shared};
use crate::root::Root;
use crate::{Config, Error, listing, path, precondition, respond, variant};

/// The files of one folder, as a service. Clones share what is held in memory.
///
/// It answers GET, HEAD and OPTIONS; other methods get 405. Nothing outside of the folder is ever
/// read.
#[derive(Clone)]
pub struct Files(Arc<Shared>);

/// The answer of [`Files::respond`], ready at once for what is held in memory. It needs a tokio
/// runtime with time enabled.
#[must_use = "futures do nothing unless polled"]
pub struct Respond(State);

/// The answer of [`Files`] as a service.
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture(Respond);

/// What is held in memory at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Files that are known.
    pub files: usize,
    /// What they take, in bytes.
    pub bytes: usize,
}

enum State {
    Ready(Option<Response<Body>>),
    Slow(Pin<Box<dyn Future<Output = Response<Body>> + Send>>),
}

/// A request that cannot be answered from memory at once.
struct Ask {
    method: Method,
    headers: HeaderMap,
    path: String,
    query: String,
}

// === impl Files ===

impl Files {
    /// Serves what is beneath `root`.
    ///
    /// # Errors
    /// When `root` cannot be opened as a folder, or a setting makes no sense.
    pub fn new(root: impl AsRef<Path>, config: Config) -> Result<Self, Error> {
        config.validate()?;
        let root = root.as_ref();
        let open = Root::new(root).map_err(|source| Error::Root { path: root.to_owned(), source })?;
        Ok(Self(Arc::new(Shared::new(open, config))))
    }

    /// Answers for `target`: a path below the root, percent-encoded as it came, with or without a
    /// slash before it. It may have a query, which is kept in redirects. For routers that matched a
    /// prefix.
    pub fn respond(&self, method: &Method, headers: &HeaderMap, target: &str) -> Respond {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Respond::ready(respond::other_method(method));
        }
        let (raw, query) = path::split(target);
        // A path without escapes is its own name; only names that were let through are in the
        // table.
        if memchr::memchr(b'%', raw.as_bytes()).is_none()
            && let Some(response) = self.held(method, headers, raw)
        {
            return Respond::ready(response);
        }
        let Some(path) = path::parse(raw) else { return self.refused(method, headers) };
        if raw.len() != path.len()
            && let Some(response) = self.held(method, headers, &path)
        {
            return Respond::ready(response);
        }
        let ask =
            Ask { method: method.clone(), headers: headers.clone(), path: path.into_owned(), query: query.to_owned() };
        Respond(State::Slow(Box::pin(Self::look(Arc::clone(&self.0), ask))))
    }

    /// What is held in memory at this moment.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let (files, bytes) = self.0.table.size();
        Stats { files, bytes }
    }

    /// Answers from memory, without a system call, if what is there is fresh.
    fn held(&self, method: &Method, headers: &HeaderMap, path: &str) -> Option<Response<Body>> {
        let now = self.0.config.clock.now();
        let held = |entry: &Entry| {
            let fresh = entry.is_fresh(now, self.0.believed());
            let (variant, _) = Some(variant::select(entry, headers)).filter(|_| fresh)?;
            if !matches!(variant.content, Content::Memory { .. }) {
                return None;
            }
            if entry.can_be_sealed() {
                entry.count();
            }
            Some(respond::respond(variant, method, headers, now, None))
        };
        self.0.table.with(path, held).flatten()
    }

    /// A path that is not even looked for.
    fn refused(&self, method: &Method, headers: &HeaderMap) -> Respond {
        if self.0.config.not_found.is_none() {
            return Respond::ready(respond::not_found());
        }
        let (shared, method, headers) = (Arc::clone(&self.0), method.clone(), headers.clone());
        Respond(State::Slow(Box::pin(async move { missing(&shared, &method, &headers).await })))
    }

    /// The whole pipeline, from the disk.
    async fn look(shared: Arc<Shared>, ask: Ask) -> Response<Body> {
        let Ask { method, headers, path, query } = ask;
        let names_tag = precondition::names_tag(&headers);
        match shared.find(&path, names_tag).await {
            Ok(Known::Missing) if shared.config.spa && is_page(&path, &headers) => {
                match shared.find("", names_tag).await {
                    Ok(known @ (Known::Memory(_) | Known::Disk(..))) => file(&shared, known, &method, &headers),
                    _ => missing(&shared, &method, &headers).await,
                }
            }
            Ok(Known::Missing) => missing(&shared, &method, &headers).await,
            Ok(Known::Folder(folder)) => match listing::list(&shared, folder, &path, &headers).await {
                Ok(page) => respond::respond(&page, &method, &headers, shared.config.clock.now(), None),
                Err(error) => failed(&error, &path),
            },
            Ok(Known::Unslashed) => respond::redirect(&path, &query),
            Ok(known) => file(&shared, known, &method, &headers),
            Err(error) => failed(&error, &path),
        }
    }
}

/// Answers with a file that was found: steps 2 to 5.
fn file(shared: &Shared, known: Known, method: &Method, headers: &HeaderMap) -> Response<Body> {
    let now = shared.config.clock.now();
    match known {
        Known::Memory(entry) => respond::respond(variant::select(&entry, headers).0, method, headers, now, None),
        Known::Disk(entry, located) => {
            let (variant, coding) = variant::select(&entry, headers);
            let source = located.into_source(coding, shared.pool.clone());
            respond::respond(variant, method, headers, now, source)
        }
        Known::Unslashed | Known::Folder(_) | Known::Missing => respond::not_found(),
    }
}

fn failed(error: &std::io::Error, path: &str) -> Response<Body> {
    tracing::error!(%error, path, "a file cannot be served");
    respond::unavailable()
}

/// 404, with the page for it if there is one.
async fn missing(shared: &Arc<Shared>, method: &Method, headers: &HeaderMap) -> Response<Body> {
    let Some(page) = &shared.config.not_found else { return respond::not_found() };
    match shared.find(page, false).await {
        Ok(Known::Memory(entry)) => respond::not_found_page(variant::select(&entry, headers).0, method),
        _ => respond::not_found(),
    }
}

/// Whether a path may be a page of an application that routes in the browser: it has no extension,
/// or the client asks for HTML by name, as browsers do for pages and not for scripts, styles and
/// images.
fn is_page(path: &str, headers: &HeaderMap) -> bool {
    let accepts_html = || {
        dunlin_http::list::elements(headers, &http::header::ACCEPT)
            .filter_map(dunlin_http::media_type::MediaType::parse)
            .any(|media| media.is("text/html"))
    };
    !path.rsplit('/').next().unwrap_or(path).contains('.') || accepts_html()
}

impl<B> tower_service::Service<Request<B>> for Files
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        let uri = request.uri();
        let target = uri.path_and_query().map_or_else(|| uri.path(), http::uri::PathAndQuery::as_str);
        ResponseFuture(self.respond(request.method(), request.headers(), target))
    }
}

impl Handler<Context> for Files {
    type Error = Infallible;
    type Future = ReplyFuture;

    fn handle(&self, request: Request<Body>, context: &Context) -> ReplyFuture {
        let target = context.target(request.uri());
        match self.respond(request.method(), request.headers(), target).0 {
            State::Ready(response) => ReplyFuture::ready(response.unwrap_or_default()),
            State::Slow(future) => ReplyFuture::response(future),
        }
    }
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Files").field("config", &self.0.config).field("stats", &self.stats()).finish()
    }
}

// === impl Stats ===

impl Stats {
    /// The figures with their descriptions.
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
}

impl Future for Respond {
    type Output = Response<Body>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Response<Body>> {
        match &mut self.0 {
            // Polled again after it was ready, against the contract of futures: it stays pending.
            State::Ready(response) => response.take().map_or(Poll::Pending, Poll::Ready),
            State::Slow(future) => future.as_mut().poll(cx),
        }
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(Ok)
    }
}
