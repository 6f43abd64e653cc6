//! [`BoundQuery`]: a declared query with the parameters of one request.

use std::fmt;
use std::sync::Arc;

use dunlin_http::Context;
use http::request::Parts;

use super::arguments::{self, Params};
use super::{Inner, QueryService, content};
use crate::error::Error;
use crate::json::Format;
use crate::pool::{Answer, key};

/// A declared query with the parameters of one request, which can run many times. Clones share
/// them.
#[derive(Clone)]
pub struct BoundQuery(Arc<Bound>);

struct Bound {
    inner: Arc<Inner>,
    params: Params,
}

// === impl QueryService ===

impl QueryService {
    /// Reads the parameters of a request that has no body.
    ///
    /// # Errors
    /// A parameter that is missing, or that has no text.
    pub fn bind(&self, request: &Parts, context: &Context) -> Result<BoundQuery, Error> {
        let inner = self.0.clone();
        let identity = context.identity.as_ref().filter(|_| inner.reads_claims).cloned();
        let facts = arguments::Facts { identity, ip: context.client.ip };
        let given = arguments::Parts {
            uri: &request.uri,
            path: &context.params,
            headers: &request.headers,
            facts: &facts,
            body: &content::Body::absent(),
        };
        let params = arguments::of(&inner.query, &given, false)?;
        Ok(BoundQuery(Arc::new(Bound { inner, params })))
    }
}

// === impl BoundQuery ===

impl BoundQuery {
    /// The parameters and the settings, to the byte. Two requests with one key get the same rows,
    /// as long as the database does not change.
    #[must_use]
    pub fn key(&self) -> Vec<u8> {
        key(&self.0.params, Format::Json)
    }

    /// Runs the query. The answer is JSON.
    ///
    /// # Errors
    /// As [`Pool::run`](crate::Pool::run).
    pub async fn run(&self) -> Result<Answer, Error> {
        let Bound { inner, params } = &*self.0;
        inner.pool.run(&inner.query, params, Format::Json).await
    }
}

impl fmt::Debug for BoundQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundQuery").field("query", &self.0.inner.query).finish_non_exhaustive()
    }
}
