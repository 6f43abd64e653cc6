//! [`Client`]: requests to the authority, each with a limit of time and of size.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use instant_acme::{BodyWrapper, BytesResponse, Error as AcmeError, HttpClient};
use parking_lot::Mutex;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::Error;
use crate::failure::{Unreachable, chain};

/// Requests to the authority. Clones share connections.
#[derive(Clone)]
pub(crate) struct Client {
    http: HyperClient<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>,
    /// The `Retry-After` of the last refusal.
    retry_after: Arc<Mutex<Option<Duration>>>,
}

/// The limit of one request, from the connection to the end of the response.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The limit of a connection's making: a name has several addresses.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The limit of a response, in bytes. A chain has a few thousand.
const MAX_BODY: usize = 1 << 20;

/// The limit of bytes of a file of authorities.
const MAX_CA_FILE: u64 = 4 << 20;

// === impl Client ===

impl Client {
    /// A client that trusts the authorities of the system, and those of `ca_file`.
    pub(crate) fn new(ca_file: Option<&Path>) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        for authority in ca_file.map(authorities).transpose()?.into_iter().flatten() {
            roots.add(authority).map_err(|error| ca_error(ca_file, &error))?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| ca_error(ca_file, &error))?;
        let tls = builder.with_root_certificates(roots).with_no_client_auth();
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_http1().wrap_connector(connector);
        let mut builder = HyperClient::builder(TokioExecutor::new());
        builder.pool_idle_timeout(Duration::from_secs(10)).pool_timer(hyper_util::rt::TokioTimer::new());
        Ok(Self { http: builder.build(connector), retry_after: Arc::default() })
    }

    /// Takes the `Retry-After` of the last refusal.
    pub(crate) fn take_retry_after(&self) -> Option<Duration> {
        self.retry_after.lock().take()
    }
}

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, AcmeError>> + Send>> {
        let place = request.uri().to_string();
        let response = self.http.request(request);
        let retry_after = self.retry_after.clone();
        let exchange = async move {
            let response = response.await.map_err(|error| unreached(&chain(&error)))?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, MAX_BODY).collect().await;
            let body = body.map_err(|error| format!("broke off its response: {error}"))?.to_bytes();
            if parts.status.is_client_error() || parts.status.is_server_error() {
                *retry_after.lock() = wait(&parts.headers);
                let kind = parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
                // RFC 8555 §6.7: the error of an ACME server is a problem document.
                if !kind.contains("json") {
                    return Err(format!("responded with status {}", parts.status));
                }
            }
            let body: Box<dyn instant_acme::BytesBody> = Box::new(body);
            Ok(BytesResponse { parts, body })
        };
        Box::pin(async move {
            let outcome = tokio::time::timeout(TIMEOUT, exchange).await;
            let outcome = outcome.unwrap_or_else(|_| Err(format!("did not respond within {} s", TIMEOUT.as_secs())));
            outcome.map_err(|what| AcmeError::Other(Box::new(Unreachable(format!("{place} {what}")))))
        })
    }
}

/// The end of a message about a request that got no response.
fn unreached(error: &str) -> String {
    let advice = match error.contains("invalid peer certificate") {
        true => "; if its authority is your own, set the file of authorities",
        false => "",
    };
    format!("cannot be reached: {error}{advice}")
}

/// The wait in seconds or until a date (RFC 9110 §10.2.3).
fn wait(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    date.duration_since(dunlin_http::Clock::system().now()).ok()
}

pub(crate) fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    use std::io::Read as _;
    let mut pem = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| ca_error(Some(path), &error))?;
    file.take(MAX_CA_FILE).read_to_end(&mut pem).map_err(|error| ca_error(Some(path), &error))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates.map_err(|error| ca_error(Some(path), &error))? {
        certificates if certificates.is_empty() => Err(ca_error(Some(path), &"there is no certificate in it")),
        certificates => Ok(certificates),
    }
}

fn ca_error(path: Option<&Path>, reason: &dyn std::fmt::Display) -> Error {
    Error::CaFile { path: path.unwrap_or(Path::new("ca_file")).to_owned(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_is_in_seconds_or_until_a_date() {
        let wait = |value: &str| wait(&HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]));
        assert_eq!(wait("120"), Some(Duration::from_secs(120)));
        assert_eq!(wait("soon"), None);
        assert_eq!(wait("Thu, 01 Jan 1970 00:00:00 GMT"), None);
        assert!(wait("Fri, 01 Jan 2100 00:00:00 GMT").is_some_and(|wait| wait > Duration::from_secs(3600)));
    }
}
