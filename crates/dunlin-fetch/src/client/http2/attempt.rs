//! One request over HTTP/2, with its retries.

use std::sync::Arc;

use bytes::Bytes;
use dunlin_http::Body;
use http::header::UPGRADE;
use http::uri::Scheme;
use http::{Request, Version};

use super::exchange::{StreamFailure, exchange};
use super::pool::Http2Pool;
use super::{head, websocket};
use crate::Error;
use crate::client::framing;
use crate::client::options::{OnInterim, RequestOptions};
use crate::client::origin::Origin;
use crate::client::pending::Pending;
use crate::client::send::{Failed, Fate, Rebuild, Received};
use crate::client::stats::Stats;

/// The limit of attempts on connections that turn out to be closed, or that refuse the request.
const ATTEMPTS: u32 = 4;

// === impl Origin ===

impl Origin {
    /// As [`Origin::attempt`], over HTTP/2 if the origin has chosen it.
    pub(in crate::client) async fn attempt_http2(
        self: &Arc<Self>,
        pool: &Arc<Http2Pool>,
        mut request: Request<Body>,
        options: RequestOptions,
        rebuild: Option<Rebuild<'_>>,
        on_interim: Option<&OnInterim>,
        mut pending: Option<Pending>,
    ) -> Result<Received, Failed> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let mut slot = match pool.take().await {
                Ok(Some(slot)) => slot,
                Ok(None) => return pool.http1.attempt(request, options, rebuild, on_interim, pending).await,
                Err(error) => return Err(Failed { error, fate: Fate::Unsent(Box::new(request)) }),
            };
            if request.headers().contains_key(UPGRADE) {
                if !websocket::is_possible(&slot, &request) {
                    drop(slot);
                    return pool.http1.attempt(request, options, rebuild, on_interim, pending).await;
                }
                slot.release_permit();
                return websocket::open(slot, request, self.scheme(), options, pending).await;
            }
            framing::set_framing(&mut request);
            let Some(head) = head::of(&request, self.scheme()) else {
                return Err(Failed::sent(Error::Protocol("the Host of the request is no authority".into())));
            };
            let (again, original) = copy(request);
            let reused = slot.reused;
            let connection = slot.connection.clone();
            let failure = match exchange(slot, head, original, options, on_interim, pending.take()).await {
                Ok(mut response) => {
                    *response.version_mut() = Version::HTTP_2;
                    return Ok(Received { response, upgraded: None });
                }
                Err(failure) => failure,
            };
            let is_replayable = |again: &Request<Body>| {
                options.retry && reused && again.method().is_idempotent() && again.body().is_empty()
            };
            request = match (failure, again) {
                (StreamFailure::Unsent(request), _) if attempts < ATTEMPTS => *request,
                (StreamFailure::Unsent(request), _) => {
                    let error = Error::Protocol("closed before the request".into());
                    return Err(Failed { error, fate: Fate::Unsent(request) });
                }
                (StreamFailure::Refused(error), Some(again)) => {
                    if error.is_go_away() {
                        connection.retire();
                    }
                    if attempts == ATTEMPTS || !options.retry {
                        let error = Error::Protocol(error.into());
                        return Err(Failed { error, fate: Fate::Unsent(Box::new(again)) });
                    }
                    again
                }
                (StreamFailure::Unanswered(_), Some(again)) if attempts == 1 && is_replayable(&again) => {
                    Stats::count(&self.shared.stats.retries);
                    again
                }
                (StreamFailure::Unanswered(error) | StreamFailure::Refused(error), _) => {
                    return Err(Failed { error: Error::Protocol(error.into()), fate: Fate::Unanswered });
                }
                (StreamFailure::Failed(error), _) => return Err(Failed::sent(error)),
            };
        }
    }

    fn scheme(&self) -> Scheme {
        if self.address.is_https() { Scheme::HTTPS } else { Scheme::HTTP }
    }
}

/// A copy of a request whose body is in memory, and the request.
fn copy(request: Request<Body>) -> (Option<Request<Body>>, Request<Body>) {
    let (parts, body) = request.into_parts();
    let copied = |bytes: &Bytes| {
        let mut copy = Request::new(Body::from(bytes.clone()));
        *copy.method_mut() = parts.method.clone();
        *copy.uri_mut() = parts.uri.clone();
        *copy.headers_mut() = parts.headers.clone();
        copy
    };
    match body.try_into_bytes() {
        Ok(bytes) => (Some(copied(&bytes)), Request::from_parts(parts, Body::from(bytes))),
        Err(body) => (None, Request::from_parts(parts, body)),
    }
}
