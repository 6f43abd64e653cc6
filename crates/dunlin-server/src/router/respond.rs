//! The requests and responses of handlers: [`Respond`], [`Json`] and [`json`].

use dunlin_http::{Body, BodyError, Problem};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A value that converts into a response.
pub trait Respond {
    /// Converts into a response.
    fn respond(self) -> Response<Body>;
}

/// A value whose response is JSON.
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

/// Reads the body of a request as JSON.
///
/// # Errors
/// Returns 415 for another content type, 413 for a body that is too large, and 408 for one that is
/// too slow. Returns 400 if it is not JSON, or does not fit `T`.
pub async fn json<T: DeserializeOwned>(request: &mut Request<Body>) -> Result<T, Problem> {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence != "application/json" && !essence.ends_with("+json") {
        // RFC 9110 §15.5.16: Accept names the supported types.
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE)
            .header(ACCEPT, HeaderValue::from_static("application/json"))
            .detail("expected application/json"));
    }
    let body = std::mem::take(request.body_mut());
    let problem = |error: BodyError| Problem::new(error.status()).detail(error.to_string());
    // The server has limited the body already.
    let bytes = body.collect(usize::MAX).await.map_err(problem)?;
    serde_json::from_slice(&bytes).map_err(|error| Problem::new(StatusCode::BAD_REQUEST).detail(error.to_string()))
}

// === impls of Respond ===

impl Respond for Response<Body> {
    fn respond(self) -> Self {
        self
    }
}

impl Respond for Problem {
    fn respond(self) -> Response<Body> {
        self.into_response()
    }
}

impl Respond for StatusCode {
    fn respond(self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self;
        response
    }
}

impl Respond for &'static str {
    fn respond(self) -> Response<Body> {
        typed("text/plain; charset=utf-8", self.into())
    }
}

impl Respond for String {
    fn respond(self) -> Response<Body> {
        typed("text/plain; charset=utf-8", self.into())
    }
}

impl<T: Serialize> Respond for Json<T> {
    fn respond(self) -> Response<Body> {
        match serde_json::to_vec(&self.0) {
            Ok(bytes) => typed("application/json", bytes.into()),
            Err(error) => {
                tracing::error!(%error, "cannot write a response as JSON; answering 500");
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR).into_response()
            }
        }
    }
}

/// Makes a service that cannot fail a handler.
impl Respond for std::convert::Infallible {
    fn respond(self) -> Response<Body> {
        match self {}
    }
}

impl<T: Respond, E: Respond> Respond for Result<T, E> {
    fn respond(self) -> Response<Body> {
        match self {
            Ok(value) => value.respond(),
            Err(error) => error.respond(),
        }
    }
}

fn typed(content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: &'static str, expect: Result<u8, u16>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut request = Request::new(Body::from("1"));
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        let answer = runtime.block_on(json::<u8>(&mut request)).map_err(Problem::into_response);
        if let Err(response) = &answer {
            assert_eq!(response.headers()[ACCEPT], "application/json");
        }
        assert_eq!(answer.map_err(|response| response.status().as_u16()), expect, "{kind:?}");
    }

    #[test]
    fn a_response_to_another_media_type_names_the_supported_one() {
        check("application/json", Ok(1));
        check("application/problem+json; charset=utf-8", Ok(1));
        check("text/plain", Err(415));
    }
}
