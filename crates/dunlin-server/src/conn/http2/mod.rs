//! HTTP/2 on a connection: the frames are h2's, with limits; the streams are ours.

mod interim;
mod received;
mod sender;
mod stream;
mod streams;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use dunlin_http::{BoxError, Handler};
use h2::server::{Builder, Handshake};
use tokio::io::AsyncWriteExt;

use super::gate::{Gate, Returned};
use super::http1::{close, linger, until};
use super::state::{Phase, Signal};
use super::{Connection, Exchange, Wire};
use crate::Config;
use crate::event_loop::Loop;
use crate::framing::FrameMeter;
pub(super) use interim::Voice;
pub(crate) use streams::{Awaited, Streams};

/// GOAWAY but for the last byte of its code (RFC 9113 §6.8): any stream may have been worked at.
const GOAWAY: &[u8] = b"\0\0\x08\x07\0\0\0\0\0\x7f\xff\xff\xff\0\0\0";

/// What a client may send ahead of being read, in bytes: on a stream, and on all of a connection.
const WINDOW: u32 = 1 << 20;

/// A connection of HTTP/2.
enum Session {
    Opening(Handshake<Gate, Bytes>),
    Open(h2::server::Connection<Gate, Bytes>),
}

/// Serves HTTP/2 on `wire`, from which `held` was read already.
pub(super) async fn run<H>(wire: Wire, held: BytesMut, handler: H, connection: Arc<Connection>, owner: &Loop)
where
    H: Handler<Exchange, Error: Into<BoxError>> + Clone + Send + 'static,
{
    let connection = &connection;
    let (state, config) = (&connection.state, &owner.shared().config);
    state.set_phase(Phase::Opaque);
    let gate = Gate::http2(wire, held, FrameMeter::new(config.http2.max_control_rate), state.clone());
    let mut session = Session::new(gate, config);
    let (streams, mut told) = (&mut session, false);
    poll_fn(move |cx| {
        state.register(cx.waker());
        state.turn.begin();
        let signal = state.signalled();
        if signal == Signal::Cut {
            return Poll::Ready(());
        }
        loop {
            let ends = signal >= Signal::Drain || state.is_worn_out(config.max_requests_per_connection);
            let Some((request, respond)) = ready!(streams.poll_request(ends, &mut told, cx)) else {
                return Poll::Ready(());
            };
            let under_way = state.begin_request();
            tokio::spawn(stream::run(
                request,
                respond,
                handler.clone(),
                connection.clone(),
                under_way,
                config.max_body,
            ));
        }
    })
    .await;
    drop(session);
    let Some(Returned { mut wire, fault, .. }) = state.take_back() else { return };
    // Behind a frame that is written in part it would be taken for the rest.
    if let Some(fault) = fault
        && !state.wants_write.load(Relaxed)
    {
        state.set_phase(Phase::Linger);
        until(Signal::Cut, state, async {
            if wire.write_all(&[GOAWAY, &[fault as u8]].concat()).await.is_ok() {
                linger(&mut wire, 64 << 10).await;
            }
        })
        .await;
    }
    close(wire).await;
}

// === impl Session ===

impl Session {
    fn new(gate: Gate, config: &Config) -> Self {
        let mut builder = Builder::new();
        builder
            .initial_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_concurrent_streams(config.http2.max_streams)
            .max_pending_accept_reset_streams(config.http2.max_pending_resets)
            .max_local_error_reset_streams(Some(config.http2.max_local_resets))
            .max_header_list_size(u32::try_from(config.max_head).unwrap_or(u32::MAX))
            .max_send_buffer_size(64 << 10);
        Self::Opening(builder.handshake(gate))
    }

    /// The next request; `None` once the connection is over. It is when the streams under way have ended, once it is
    /// known that it `ends`.
    fn poll_request(&mut self, ends: bool, told: &mut bool, cx: &mut Context<'_>) -> Poll<Option<stream::Asked>> {
        if let Self::Opening(handshake) = self {
            match ready!(Pin::new(handshake).poll(cx)) {
                Ok(connection) => *self = Self::Open(connection),
                Err(_) => return Poll::Ready(None),
            }
        }
        let Self::Open(connection) = self else { return Poll::Ready(None) };
        // RFC 9113 §6.8: GOAWAY tells which streams will still be answered. One that is idle long is told the same.
        if ends && !std::mem::replace(told, true) {
            connection.graceful_shutdown();
        }
        connection.poll_accept(cx).map(|accepted| accepted?.ok())
    }
}
