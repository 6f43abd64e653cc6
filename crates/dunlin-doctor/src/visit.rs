//! [`examine`]: visits a site, one request at a time.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, ETAG, HOST, IF_MODIFIED_SINCE, IF_NONE_MATCH};
use http::header::{LAST_MODIFIED, LOCATION, USER_AGENT};
use http::{HeaderName, HeaderValue, Request};
use http_body_util::Empty;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use url::Url;

use crate::budget::Budget;
use crate::connection::Connection;
use crate::facts::{Asset, Coding, Facts, Seen};
use crate::{Error, Report, assets, checks, coding};

/// The way in which a site is examined.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The limit of requests, 40 at most.
    pub max_requests: usize,
    /// Certificates to trust besides the system's, as a PEM file.
    pub ca_file: Option<PathBuf>,
}

/// The limit of requests.
const MAX_REQUESTS: usize = 40;
/// The largest file of certificates, in bytes.
const MAX_FILE: u64 = 16 << 20;
/// The limit of redirects to the page.
const MAX_REDIRECTS: usize = 5;
/// The limit of files of the page that are examined.
const MAX_ASSETS: usize = 6;
/// The name in requests.
const AGENT: &str = concat!("dunlin-doctor/", env!("CARGO_PKG_VERSION"));

impl Default for Options {
    fn default() -> Self {
        Self { max_requests: MAX_REQUESTS, ca_file: None }
    }
}

/// A visit of a site: one connection at a time.
struct Visit {
    tls: Arc<ClientConfig>,
    budget: Budget,
    connection: Option<Connection>,
}

/// The response to a request.
struct Answer {
    seen: Seen,
    content: Bytes,
    /// `true` if the connection had served another request before.
    was_kept: bool,
}

/// A request for a page or a file.
struct Ask<'a> {
    url: &'a Url,
    fields: Vec<(HeaderName, HeaderValue)>,
}

/// Visits the page at `url` and some of its files, and judges what it sees.
///
/// It needs a tokio runtime with I/O and time.
///
/// # Errors
/// There is no such page, or no response within ten seconds.
pub async fn examine(url: &str, options: &Options) -> Result<Report, Error> {
    let begun = Instant::now();
    let page = parse(url)?;
    let tls = Arc::new(client_config(options)?);
    let budget = Budget::new(options.max_requests.min(MAX_REQUESTS));
    let mut visit = Visit { tls, budget, connection: None };
    let facts = visit.facts(page).await?;
    let findings = checks::all(&facts);
    let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(Report { url: facts.url.to_string(), requests: visit.budget.used(), millis, findings })
}

fn parse(text: &str) -> Result<Url, Error> {
    let text = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    match Url::parse(&text) {
        Ok(url) if !url.username().is_empty() || url.password().is_some() => Err(Error::Credentials),
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        // A password could be before the sign.
        _ if text.contains('@') => Err(Error::Credentials),
        _ => Err(Error::Url(text)),
    }
}

fn client_config(options: &Options) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = &options.ca_file {
        let wrong = |reason: String| Error::Authorities { path: path.display().to_string(), reason };
        let read = std::fs::File::open(path).and_then(|file| dunlin_http::read_bounded(file, MAX_FILE));
        for certificate in CertificateDer::pem_slice_iter(&read.map_err(|error| wrong(error.to_string()))?) {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions();
    let wrong = |error: rustls::Error| Error::Authorities { path: "TLS".into(), reason: error.to_string() };
    let mut config = builder.map_err(wrong)?.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

// === impl Visit ===

impl Visit {
    async fn facts(&mut self, first: Url) -> Result<Facts, Error> {
        let (url, redirects, page, content) = self.page(first).await?;
        let mut connection = self.open(&url).await?.facts.clone();
        let again = self.get(Ask::plain(&url)).await.ok();
        let is_kept = again.as_ref().is_some_and(|answer| answer.was_kept);
        let plain = match url.scheme() {
            "https" if url.port().is_none() => self.plain(&url).await,
            _ => None,
        };
        if let Some(tls) = &mut connection.tls {
            self.connection = None;
            tls.is_resumed = self.open(&url).await.ok().map(|connection| connection.is_resumed);
        }
        let mut coded = Vec::new();
        for coding in Coding::ALL {
            if let Ok(answer) = self.get(Ask::plain(&url).with(ACCEPT_ENCODING, coding.token())).await {
                coded.push((coding, answer.seen));
            }
        }
        let conditional = match Ask::conditional(&url, &page) {
            Some(ask) => self.get(ask).await.ok().map(|answer| answer.seen),
            None => None,
        };
        let assets = self.assets(&url, &page, &content).await;
        let possible = coding::brotli_size(&content).await;
        let again = again.map(|answer| answer.seen);
        Ok(Facts { url, redirects, plain, connection, is_kept, page, again, coded, possible, conditional, assets })
    }

    /// The page at `url`, or where it leads to.
    async fn page(&mut self, mut url: Url) -> Result<(Url, usize, Seen, Bytes), Error> {
        for redirects in 0..=MAX_REDIRECTS {
            let Answer { seen, content, .. } = self.get(Ask::plain(&url)).await?;
            let location = seen.headers.get(LOCATION).and_then(|value| value.to_str().ok());
            let next = location.and_then(|location| url.join(location).ok());
            match next.filter(|next| seen.status.is_redirection() && matches!(next.scheme(), "http" | "https")) {
                Some(next) => url = next,
                None => return Ok((url, redirects, seen, content)),
            }
        }
        Err(Error::Redirects(url.to_string()))
    }

    /// The response at the root of the same host by plain HTTP.
    async fn plain(&mut self, page: &Url) -> Option<Seen> {
        let url = Url::parse(&format!("http://{}/", page.host_str()?)).ok()?;
        let kept = self.connection.take();
        let answer = self.get(Ask::plain(&url)).await.ok();
        self.connection = kept;
        answer.map(|answer| answer.seen)
    }

    /// The files that a page names, each in the best coding that the site has.
    async fn assets(&mut self, page: &Url, seen: &Seen, content: &Bytes) -> Vec<Asset> {
        let mut found = Vec::new();
        if !seen.field(&CONTENT_TYPE).contains("html") {
            return found;
        }
        for url in assets::of(&String::from_utf8_lossy(content), page, MAX_ASSETS) {
            let Ok(whole) = self.get(Ask::plain(&url)).await else { continue };
            let possible = coding::brotli_size(&whole.content).await;
            let coded = self.get(Ask::plain(&url).with(ACCEPT_ENCODING, "br, zstd, gzip")).await;
            let seen = coded.map_or(whole.seen, |answer| answer.seen);
            found.push(Asset { url, seen, possible });
        }
        found
    }

    /// Sends one request, on the connection to the same server if it is still open.
    async fn get(&mut self, ask: Ask<'_>) -> Result<Answer, Error> {
        let failed = |reason: String| Error::Response { url: ask.url.to_string(), reason };
        if !self.budget.take() {
            return Err(failed("the limit of requests is reached".into()));
        }
        let was_kept = self.connection.as_ref().is_some_and(|connection| connection.is_to(ask.url));
        let mut sent = None;
        if was_kept {
            let connection = self.open(ask.url).await?;
            sent = connection.send(ask.request().map_err(failed)?).await.unwrap_or(None);
        }
        if let Some((seen, content)) = sent {
            return Ok(Answer { seen, content, was_kept: true });
        }
        self.connection = None;
        let connection = self.open(ask.url).await?;
        match connection.send(ask.request().map_err(failed)?).await.map_err(failed)? {
            Some((seen, content)) => Ok(Answer { seen, content, was_kept: false }),
            None => Err(failed("the server closed the connection".into())),
        }
    }

    /// The connection to the server of `url`: the present one, or a new one.
    async fn open(&mut self, url: &Url) -> Result<&mut Connection, Error> {
        let kept = self.connection.take().filter(|connection| connection.is_to(url));
        let connection = match kept {
            Some(connection) => connection,
            None => Connection::open(url, &self.tls).await?,
        };
        Ok(self.connection.insert(connection))
    }
}

// === impl Ask ===

impl<'a> Ask<'a> {
    /// A request for content without a coding.
    fn plain(url: &'a Url) -> Self {
        Self { url, fields: vec![(ACCEPT_ENCODING, HeaderValue::from_static("identity"))] }
    }

    fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.fields.retain(|(other, _)| *other != name);
        self.fields.push((name, HeaderValue::from_static(value)));
        self
    }

    /// A request that is answered with 304 if the page is as it was. `None` without a validator.
    fn conditional(url: &'a Url, page: &Seen) -> Option<Self> {
        let mut ask = Self::plain(url);
        let (condition, validator) = match (page.headers.get(ETAG), page.headers.get(LAST_MODIFIED)) {
            (Some(tag), _) => (IF_NONE_MATCH, tag),
            (None, Some(date)) => (IF_MODIFIED_SINCE, date),
            (None, None) => return None,
        };
        ask.fields.push((condition, validator.clone()));
        Some(ask)
    }

    fn request(&self) -> Result<Request<Empty<Bytes>>, String> {
        let mut request = Request::get(self.url.as_str()).header(USER_AGENT, AGENT).header(ACCEPT, "*/*");
        let authority = self.url.authority();
        // RFC 9113 §8.3.1: HTTP/2 has the authority of the URL instead.
        request = request.header(HOST, authority.rsplit('@').next().unwrap_or(authority));
        for (name, value) in &self.fields {
            request = request.header(name, value);
        }
        request.body(Empty::new()).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_may_leave_out_its_scheme() {
        assert_eq!(parse("example.com/x").unwrap().as_str(), "https://example.com/x");
        assert_eq!(parse("http://a:8080").unwrap().as_str(), "http://a:8080/");
        for wrong in ["ftp://a/", "", "http://"] {
            assert!(matches!(parse(wrong), Err(Error::Url(_))), "{wrong:?}");
        }
        for secret in ["https://ada:secret@a.test/", "ada:secret@a.test", "http://x y:secret@/"] {
            let error = parse(secret).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
