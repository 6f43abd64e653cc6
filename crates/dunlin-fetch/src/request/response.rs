//! [`ClientResponse`]: a response whose body is read up to a limit.

use bytes::Bytes;
use dunlin_http::Body;
use http::{HeaderMap, Response, StatusCode, Uri};

use crate::Error;
use crate::text::read;

/// The response to a [`RequestBuilder`](crate::RequestBuilder).
#[derive(Debug)]
pub struct ClientResponse {
    pub(super) response: Response<Body>,
    pub(super) url: Uri,
    pub(super) limit: usize,
}

// === impl ClientResponse ===

impl ClientResponse {
    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// The header fields.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The URL of the request, with its query.
    #[must_use]
    pub const fn url(&self) -> &Uri {
        &self.url
    }

    /// Returns the response if its status is below 400.
    ///
    /// # Errors
    /// [`Error::Status`].
    pub fn error_for_status(self) -> Result<Self, Error> {
        let status = self.status();
        if status.is_client_error() || status.is_server_error() { Err(Error::Status(status)) } else { Ok(self) }
    }

    /// Reads the body.
    ///
    /// # Errors
    /// [`Error::ResponseBody`], also if the body is larger than the limit.
    pub async fn bytes(self) -> Result<Bytes, Error> {
        self.response.into_body().collect(self.limit).await.map_err(Error::ResponseBody)
    }

    /// Reads the body as text, with the encoding that [`get_text`](crate::Client::get_text) uses.
    ///
    /// # Errors
    /// [`Error::ResponseBody`], also if the body is larger than the limit, and
    /// [`Error::Protocol`] if it has a content coding.
    pub async fn text(self) -> Result<String, Error> {
        let (parts, body) = self.response.into_parts();
        match body.collect(self.limit).await {
            Ok(bytes) => read::text(&parts.headers, bytes.into(), None, self.limit).await,
            Err(error) => Err(Error::ResponseBody(error)),
        }
    }

    /// Reads the body as JSON.
    ///
    /// # Errors
    /// [`Error::ResponseBody`] as [`ClientResponse::bytes`], and [`Error::Decode`].
    #[cfg(feature = "json")]
    pub async fn json<T: serde::de::DeserializeOwned>(self) -> Result<T, Error> {
        let bytes = self.bytes().await?;
        serde_json::from_slice(&bytes).map_err(|error| Error::Decode(error.into()))
    }

    /// The body, which streams and has no limit of size.
    #[must_use]
    pub fn into_body(self) -> Body {
        self.response.into_body()
    }

    /// The response as the `http` crate has it.
    #[must_use]
    pub fn into_http(self) -> Response<Body> {
        self.response
    }
}
