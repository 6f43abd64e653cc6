//! Requests that ask for another protocol (RFC 9110 §7.8).
//!
//! What makes a tunnel of a connection, `hyper::upgrade`, is hyper's, and what services of axum and of hyper know. So
//! hyper serves such a request, and hands the connection back if the upgrade is declined.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use dunlin_http::{BoxError, Handler};
use hyper::server::conn::http1::Builder;

use super::close::close;
use super::upgrade_service::UpgradeService;
use crate::conn::metered_io::{Handback, MeteredIo, Returned};
use crate::conn::{Connection, Exchange, Transport};
use crate::context::Loop;
use crate::ledger::{Ledger, Phase, Signal};

/// Serves the request of this `head`, behind which `held` came. Gives the connection back if HTTP goes on.
pub(super) async fn run<H>(
    transport: Transport,
    head: Bytes,
    held: BytesMut,
    handler: H,
    connection: &Arc<Connection>,
    owner: &Loop,
) -> Option<Returned>
where
    H: Handler<Exchange, Error: Into<BoxError>>,
{
    let ledger = &connection.ledger;
    let config = &owner.shared().config;
    ledger.set_phase(Phase::Upgrade);
    let (io, handback) = MeteredIo::upgrade(transport, head, held, ledger.clone());
    let service = UpgradeService::new(handler, connection.clone(), config.max_body);
    let (before, mut told) = (ledger.requests(), false);
    let is_last = config.keep_alive.is_zero() || before + 1 >= config.max_requests_per_connection;
    let mut builder = Builder::new();
    builder.max_buf_size((config.max_head + 8192).max(64 << 10)).max_headers(config.max_fields);
    builder.keep_alive(!is_last && ledger.signalled() < Signal::Drain);
    let mut hyper = Box::pin(builder.serve_connection(io, service).with_upgrades());
    poll_fn(|cx| {
        ledger.register(cx.waker());
        ledger.budget().reset();
        loop {
            if ledger.signalled() == Signal::Cut || hyper.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            // hyper drops what it has not written yet when it is told to stop while idle; so not before it has.
            let is_answered = ledger.requests() > before && ledger.in_flight() == 0 && !ledger.wants_write();
            if told || !is_answered {
                return Poll::Pending;
            }
            told = true;
            hyper.as_mut().graceful_shutdown();
        }
    })
    .await;
    drop(hyper);
    if ledger.phase() == Phase::Tunnel {
        if let Some(returned) = ended(&handback, ledger).await {
            close(returned.transport).await;
        }
        return None;
    }
    let returned = handback.take()?;
    if !told {
        close(returned.transport).await;
        return None;
    }
    ledger.set_phase(Phase::Between);
    Some(returned)
}

/// Waits for the end of a tunnel. Returns `None` if it is cut.
async fn ended(handback: &Handback, ledger: &Ledger) -> Option<Returned> {
    poll_fn(|cx| {
        ledger.register(cx.waker());
        let signal = ledger.signalled();
        if signal >= Signal::Close {
            handback.wake();
        }
        match handback.take() {
            Some(returned) => Poll::Ready(Some(returned)),
            None if signal == Signal::Cut => Poll::Ready(None),
            None => Poll::Pending,
        }
    })
    .await
}
