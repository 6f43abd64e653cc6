//! HTTP/2 on a connection: h2 handles the frames, within limits; the streams are tasks of ours.

mod inbound;
mod interim;
mod received;
mod sender;
mod stream;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use dunlin_http::{BoxError, Handler};
use h2::server::{Builder, Handshake};
use tokio::io::AsyncWriteExt;

use super::http1::{close, linger, until};
use super::metered_io::{MeteredIo, Returned};
use super::report::{Incident, report};
use super::{Connection, Exchange, Transport};
use crate::Config;
use crate::context::Loop;
use crate::framing::{Fault, FrameMeter};
use crate::ledger::{Ledger, Phase, Signal};
pub(super) use interim::InterimSender;
use stream::{Incoming, Stream};

/// GOAWAY without the last byte of its code (RFC 9113 §6.8). Any stream may have been processed.
const GOAWAY: &[u8] = b"\0\0\x08\x07\0\0\0\0\0\x7f\xff\xff\xff\0\0\0";

/// The flow-control window of a stream and of a connection, in bytes.
const WINDOW: u32 = 1 << 20;

/// The state of h2 on a connection.
struct Session {
    state: State,
    is_ending: bool,
}

enum State {
    Opening(Handshake<MeteredIo, Bytes>),
    Open(h2::server::Connection<MeteredIo, Bytes>),
}

/// Serves HTTP/2 on `transport`, from which `held` was read already.
pub(super) async fn run<H>(
    transport: Transport,
    held: BytesMut,
    handler: H,
    connection: Arc<Connection>,
    owner: &Arc<Loop>,
) where
    H: Handler<Exchange, Error: Into<BoxError>> + Clone + Send + 'static,
{
    let connection = &connection;
    let (ledger, config) = (&connection.ledger, &owner.shared().config);
    let streams = ledger.begin_streams();
    let meter = FrameMeter::new(config.http2.max_control_rate);
    let (io, handback) = MeteredIo::http2(transport, held, meter, ledger.clone());
    let mut session = Session::new(io, config);
    poll_fn(move |cx| {
        ledger.register(cx.waker());
        ledger.budget().reset();
        let signal = ledger.signalled();
        if signal == Signal::Cut {
            return Poll::Ready(());
        }
        loop {
            let ends = signal >= Signal::Drain || ledger.requests() >= config.max_requests_per_connection;
            let (request, respond) = match ready!(session.poll_request(ends, cx)) {
                Some(Ok(incoming)) => incoming,
                Some(Err(error)) => {
                    // A client that closes the connection is not an incident.
                    if !error.is_io() && !error.is_remote() {
                        owner.stats.rejected();
                        report(owner, connection.remote(), Incident::Http2(&error));
                    }
                    return Poll::Ready(());
                }
                None => return Poll::Ready(()),
            };
            let stream = Stream {
                handler: handler.clone(),
                connection: connection.clone(),
                ledger: streams.clone(),
                owner: owner.clone(),
                in_flight: ledger.begin_request(),
            };
            tokio::spawn(stream.run(request, respond));
        }
    })
    .await;
    let Some(Returned { mut transport, fault, .. }) = handback.take() else { return };
    if let Some(fault) = fault {
        owner.stats.rejected();
        report(owner, connection.remote(), Incident::Frame(fault));
        go_away(&mut transport, fault, ledger).await;
    }
    close(transport).await;
}

/// Sends GOAWAY, and discards what the client still sends.
async fn go_away(transport: &mut Transport, fault: Fault, ledger: &Ledger) {
    // Behind an incomplete frame, the client would read GOAWAY as its rest.
    if ledger.waits_to_write() {
        return;
    }
    ledger.set_phase(Phase::Linger);
    let _ = until(Signal::Cut, ledger, async {
        if transport.write_all(&[GOAWAY, &[fault as u8]].concat()).await.is_ok() {
            linger(transport, 64 << 10).await;
        }
    })
    .await;
}

// === impl Session ===

impl Session {
    fn new(io: MeteredIo, config: &Config) -> Self {
        let mut builder = Builder::new();
        builder
            .initial_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_concurrent_streams(config.http2.max_streams)
            .max_pending_accept_reset_streams(config.http2.max_pending_resets)
            .max_local_error_reset_streams(Some(config.http2.max_local_resets))
            .max_header_list_size(u32::try_from(config.max_head).unwrap_or(u32::MAX))
            .max_send_buffer_size(64 << 10);
        Self { state: State::Opening(builder.handshake(io)), is_ending: false }
    }

    /// Polls the next request. Returns `None` once the session is over. A session that `ends`
    /// accepts only requests that the client has sent by now, and is over after the last of them.
    fn poll_request(&mut self, ends: bool, cx: &mut Context<'_>) -> Poll<Option<Result<Incoming, h2::Error>>> {
        if let State::Opening(handshake) = &mut self.state {
            match ready!(Pin::new(handshake).poll(cx)) {
                Ok(connection) => self.state = State::Open(connection),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
        let State::Open(connection) = &mut self.state else { return Poll::Ready(None) };
        // RFC 9113 §6.8: GOAWAY names the last stream that will be answered.
        if ends && !std::mem::replace(&mut self.is_ending, true) {
            connection.graceful_shutdown();
        }
        connection.poll_accept(cx)
    }
}
