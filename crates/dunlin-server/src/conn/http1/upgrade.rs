//! Requests that ask for another protocol (RFC 9110 §7.8).
//!
//! What makes a tunnel of a connection, `hyper::upgrade`, is hyper's, and what services of axum and of hyper know. So
//! hyper serves such a request, and hands the connection back if the upgrade is declined.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use dunlin_http::{BoxError, Handler};
use hyper::server::conn::http1::Builder;

use super::end::close;
use super::front::Front;
use crate::conn::gate::{Gate, Returned};
use crate::conn::state::{Phase, Signal, State};
use crate::conn::{Connection, Exchange, Wire};
use crate::event_loop::Loop;

/// Serves the request of this `head`, behind which `held` came. Gives the connection back if HTTP goes on.
pub(super) async fn run<H>(
    wire: Wire,
    head: Bytes,
    held: BytesMut,
    handler: H,
    connection: &Arc<Connection>,
    owner: &Loop,
) -> Option<Returned>
where
    H: Handler<Exchange, Error: Into<BoxError>>,
{
    let state = &connection.state;
    let config = &owner.shared().config;
    state.set_phase(Phase::Opaque);
    let gate = Gate::undecided(wire, head, held, state.clone());
    let front = Front::new(handler, connection.clone(), config.max_body);
    let (before, mut told) = (state.called(), false);
    let is_last = config.keep_alive.is_zero() || before + 1 >= config.max_requests_per_connection;
    let mut builder = Builder::new();
    builder.max_buf_size((config.max_head + 8192).max(64 << 10)).max_headers(config.max_fields);
    builder.keep_alive(!is_last && state.signalled() < Signal::Drain);
    let mut hyper = Box::pin(builder.serve_connection(gate, front).with_upgrades());
    poll_fn(|cx| {
        state.register(cx.waker());
        state.turn.begin();
        loop {
            if state.signalled() == Signal::Cut || hyper.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            // hyper drops what it has not written yet when it is told to stop while idle; so not before it has.
            let is_answered = state.called() > before && state.under_way() == 0 && !state.wants_write.load(Relaxed);
            if told || !is_answered {
                return Poll::Pending;
            }
            told = true;
            hyper.as_mut().graceful_shutdown();
        }
    })
    .await;
    drop(hyper);
    let returned = given_back(state).await?;
    if state.tunnel.load(Relaxed) || !told {
        close(returned.wire).await;
        return None;
    }
    state.set_phase(Phase::Between);
    Some(returned)
}

/// The socket, once hyper has let it go. After an upgrade that is when the tunnel ends.
async fn given_back(state: &Arc<State>) -> Option<Returned> {
    poll_fn(|cx| {
        state.register(cx.waker());
        match state.take_back() {
            Some(returned) => Poll::Ready(Some(returned)),
            None if state.signalled() == Signal::Cut || !state.tunnel.load(Relaxed) => Poll::Ready(None),
            None => Poll::Pending,
        }
    })
    .await
}
