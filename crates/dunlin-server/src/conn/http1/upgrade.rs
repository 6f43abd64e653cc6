//! Requests for another protocol (RFC 9110 §7.8), and tunnels.
//!
//! Services of axum and of hyper use `hyper::upgrade`, which only hyper itself can serve. So hyper
//! serves a request for another protocol, and returns the connection if the upgrade is declined.

use std::future::poll_fn;
use std::sync::{Arc, PoisonError};
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use dunlin_http::{BoxError, Handler};
use hyper::server::conn::http1::Builder;

use super::close::{close, linger, until};
use super::upgrade_service::{PermitSlot, UpgradeService};
use crate::conn::metered_io::{Handback, MeteredIo, Returned};
use crate::conn::{Connection, Exchange, Transport, TunnelEnd};
use crate::context::Loop;
use crate::ledger::{Ledger, Phase, Signal};

/// The bytes that a client may still send after the end of a tunnel.
const LINGER: usize = 1 << 20;

/// Serves the request with this `head`, behind which `held` came. Gives the connection back if it
/// goes on with HTTP.
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
    let (ledger, config) = (&connection.ledger, &owner.shared().config);
    ledger.set_phase(Phase::Upgrade);
    // The bytes behind the head belong to the tunnel, though they were counted already.
    let received_before = ledger.bytes().0 - held.len() as u64;
    let permit = PermitSlot::default();
    let (io, handback) = MeteredIo::upgrade(transport, head, held, ledger.clone());
    let service = UpgradeService::new(handler, connection.clone(), owner, permit.clone());
    let (before, mut is_stopping) = (ledger.requests(), false);
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
            // hyper drops unwritten bytes if it shuts down while idle. So it is stopped only after
            // everything is written.
            let is_answered = ledger.requests() > before && ledger.in_flight() == 0 && !ledger.waits_to_write();
            if is_stopping || !is_answered {
                return Poll::Pending;
            }
            is_stopping = true;
            hyper.as_mut().graceful_shutdown();
        }
    })
    .await;
    drop(hyper);
    if ledger.phase() == Phase::Tunnel {
        let permit = permit.lock().unwrap_or_else(PoisonError::into_inner).take();
        run_tunnel(&handback, connection, owner, received_before).await;
        drop(permit);
        return None;
    }
    let returned = handback.take()?;
    if !is_stopping {
        close(returned.transport).await;
        return None;
    }
    ledger.set_phase(Phase::Between);
    Some(returned)
}

/// Waits for the end of a tunnel, and closes its socket.
async fn run_tunnel(handback: &Handback, connection: &Connection, owner: &Loop, received_before: u64) {
    let ledger = &connection.ledger;
    owner.stats.tunnel_opened();
    let (begun, sent_before) = (ledger.ticks().now(), ledger.bytes().1);
    let returned = ended(handback, ledger).await;
    let (received, sent) = ledger.bytes();
    let unread = returned.as_ref().map_or(0, |returned| returned.held.len() as u64);
    let end = TunnelEnd {
        received: received - received_before - unread,
        sent: sent - sent_before,
        duration: Duration::from_millis(ledger.ticks().now().saturating_sub(begun).into()),
        cut: returned.is_none() || ledger.is_closing(),
    };
    connection.tunnel_ended(end);
    if let Some(Returned { mut transport, .. }) = returned {
        // RFC 9112 §9.6: closing with bytes unread resets the connection, and the client may lose
        // the last bytes of the tunnel.
        ledger.set_phase(Phase::Linger);
        let _ = until(Signal::Cut, ledger, linger(&mut transport, LINGER)).await;
    }
}

/// Waits until the tunnel's handler has dropped the socket. Returns `None` if the tunnel is cut
/// first.
async fn ended(handback: &Handback, ledger: &Ledger) -> Option<Returned> {
    poll_fn(|cx| {
        ledger.register(cx.waker());
        let signal = ledger.signalled();
        match handback.take() {
            Some(returned) => return Poll::Ready(Some(returned)),
            // The tasks of the tunnel see the signal when they are polled.
            None if signal >= Signal::Close => handback.wake(),
            None => {}
        }
        if signal == Signal::Cut { Poll::Ready(None) } else { Poll::Pending }
    })
    .await
}
