//! [`Connect`]: the source of a connection's handler.

use std::sync::Arc;

use dunlin_http::{Body, BoxError, FromTower, Handler, Reply};
use http::Request;
use tower_service::Service;

use super::{Connection, Exchange};

/// Makes the handler of each connection, so that a handler can know its connection without a cost
/// for each request.
///
/// Every cloneable [`Service`] of requests implements it: it is cloned for each request. The
/// service answers with a [`Response`](http::Response) of any body, or with a [`Reply`]. Its
/// errors, those of its readiness included, end the connection, or reset the stream.
pub trait Connect: Clone + Send + 'static {
    /// The handler of one connection. Each stream of HTTP/2 has a clone.
    type Handler: Handler<Exchange, Error: Into<BoxError>> + Clone + Send + 'static;

    /// Makes the handler of a connection.
    fn connect(&self, connection: &Arc<Connection>) -> Self::Handler;
}

impl<S> Connect for S
where
    S: Service<Request<Body>> + Clone + Send + 'static,
    S::Response: Into<Reply>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    type Handler = FromTower<S>;

    fn connect(&self, _: &Arc<Connection>) -> FromTower<S> {
        FromTower(self.clone())
    }
}
