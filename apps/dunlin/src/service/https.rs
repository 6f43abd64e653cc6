//! `[server.tls] redirect`: plain requests are sent to `https`.

use dunlin_http::{Body, Problem};
use dunlin_server::{Addr, Listen};
use http::header::LOCATION;
use http::{HeaderValue, Request, Response, StatusCode};

use crate::fields::host;
use crate::hosts::without_port;

/// The place of the listener with TLS.
#[derive(Clone, Copy, Debug)]
pub(super) struct HttpsRedirect {
    /// The port, if it is not the one of the scheme.
    port: Option<u16>,
}

// === impl HttpsRedirect ===

impl HttpsRedirect {
    /// Redirects to the first listener that says `tls = true`; without one, to the usual port.
    pub(super) fn new(listeners: &[Listen]) -> Self {
        let port = |listen: &Listen| match &listen.addr {
            Addr::Tcp(addr) if listen.tls == Some(true) => Some(addr.port()),
            _ => None,
        };
        Self { port: listeners.iter().find_map(port).filter(|port| *port != 443) }
    }

    /// The redirect of a request: to the same host and target, with the same method.
    #[cold]
    pub(super) fn response(self, request: &Request<Body>) -> Response<Body> {
        let name = without_port(host(request));
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        let location = HeaderValue::from_str(&format!("https://{name}{port}{target}"));
        match location {
            Ok(location) if !name.is_empty() => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
                response.headers_mut().insert(LOCATION, location);
                response
            }
            _ => Problem::new(StatusCode::BAD_REQUEST).detail("the request names no host").into_response(),
        }
    }
}
