//! [`Source`]: the origin of a parameter's value.

use std::sync::Arc;

use crate::param::Param;

/// The origin of a parameter's value: a part of the request, and a default.
#[derive(Clone, Debug)]
pub struct Source {
    place: Place,
    name: Arc<str>,
    default: Option<Param>,
}

/// A part of a request that holds parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// A parameter of the path, or else of the query string.
    Url,
    /// A field of the body, or all of it.
    Body,
    /// A field of the head.
    Header,
    /// A cookie.
    Cookie,
    /// A claim of the client's verified identity.
    Claim,
    /// The address of the client.
    ClientIp,
    /// The identifier of the request.
    RequestId,
}

// === impl Source ===

impl Source {
    /// Makes a source of this name:
    ///
    /// - `"name"`: a path parameter, or else a query parameter. Several of that name are an array.
    /// - `"body.a.b"`: a field of a JSON object, a form or a multipart body, at any depth. The
    ///   parts of a file are `body.a`, `body.a.filename` and `body.a.content_type`.
    /// - `"body"`: the whole body. A `bytea` gets its bytes, a text the text, and other types the
    ///   value that its JSON stands for.
    /// - `"header.name"`: a field of the head. Several lines are one text with commas.
    /// - `"cookie.name"`: a cookie.
    /// - `"claim.name"`: a claim of the verified [`Identity`](dunlin_http::Identity). A request
    ///   without it is 403.
    /// - `"client_ip"`: the address of the client.
    /// - `"request_id"`: the field `X-Request-Id`. A client can choose it, unless the server sets
    ///   it.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let place = match name.split_once('.') {
            Some(("body", _)) => Place::Body,
            Some(("header", _)) => Place::Header,
            Some(("cookie", _)) => Place::Cookie,
            Some(("claim", _)) => Place::Claim,
            None if name == "body" => Place::Body,
            None if name == "client_ip" => Place::ClientIp,
            None if name == "request_id" => Place::RequestId,
            _ => Place::Url,
        };
        Self { place, name: name.into(), default: None }
    }

    /// Makes a source of this name in the path or the query string, for names that
    /// [`Source::named`] takes for another part.
    #[must_use]
    pub fn of_url(name: &str) -> Self {
        Self { place: Place::Url, name: name.into(), default: None }
    }

    /// Sets the value for requests that do not have one. Without a default they are 400.
    #[must_use]
    pub fn or(mut self, default: Param) -> Self {
        self.default = Some(default);
        self
    }

    /// The name as declared.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name within its place: `email` for `body.email`, and nothing for the whole body.
    #[must_use]
    pub fn key(&self) -> &str {
        match self.place {
            Place::Url => &self.name,
            _ => self.name.split_once('.').map_or("", |(_, key)| key),
        }
    }

    /// The part of the request.
    #[must_use]
    pub const fn place(&self) -> Place {
        self.place
    }

    /// The value for requests that do not have one.
    #[must_use]
    pub const fn default(&self) -> Option<&Param> {
        self.default.as_ref()
    }

    pub(crate) const fn shared_name(&self) -> &Arc<str> {
        &self.name
    }
}
