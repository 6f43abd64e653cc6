//! The end of a connection.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::task::Poll;

use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::response::{self, Content, RequestFacts};
use crate::conn::Transport;
use crate::conn::refusal::refuse;
use crate::conn::report::{Incident, report};
use crate::context::Loop;
use crate::framing::Reject;
use crate::ledger::{Ledger, Phase, Signal};

/// The rejection of a request whose head did not come in time.
pub(super) const TIMED_OUT: Reject =
    Reject::new(StatusCode::REQUEST_TIMEOUT, "the head of the request did not come in time");

/// Ends a connection whose next bytes are not a request. The response `to_head` has no content (RFC
/// 9110 §9.3.2).
pub(in crate::conn) async fn reject(
    mut transport: Transport,
    reject: Reject,
    to_head: bool,
    remote: Option<SocketAddr>,
    ledger: &Ledger,
    owner: &Loop,
) {
    owner.stats.rejected();
    report(owner, remote, Incident::Rejected { status: reject.status, reason: reject.detail });
    let response = last_response(reject, to_head, ledger.ticks().seconds());
    let sent = until(Signal::Cut, ledger, transport.write_all(&response)).await;
    if matches!(sent, Some(Ok(()))) {
        end(transport, ledger).await;
    }
}

/// Ends a connection on which every request is answered.
pub(super) async fn end(mut transport: Transport, ledger: &Ledger) {
    // RFC 9112 §9.6: closing with bytes unread resets the connection, and the client may lose the
    // response. So the server closes its half and reads on for a while.
    ledger.set_phase(Phase::Linger);
    let _ = until(Signal::Cut, ledger, linger(&mut transport, usize::MAX)).await;
    close(transport).await;
}

/// Closes the server's half, and discards about `limit` bytes until the client closes the other.
pub(in crate::conn) async fn linger(transport: &mut Transport, limit: usize) {
    if transport.shutdown().await.is_err() {
        return;
    }
    let (mut sink, mut read) = ([0; 2048], 0);
    while read < limit {
        match transport.read(&mut sink).await {
            Ok(n) if n > 0 => read += n,
            _ => return,
        }
    }
}

/// The bytes of the last response on a connection.
fn last_response(reject: Reject, to_head: bool, seconds: u64) -> Vec<u8> {
    let response = refuse(reject.status, reject.detail);
    let facts = RequestFacts { to_head, is_10: false, persists: false };
    let mut out = Vec::new();
    let written =
        response::write(&mut out, response.status(), response.headers(), response.body().len(), facts, seconds);
    if written.content != Content::None {
        out.extend_from_slice(response.body().as_bytes().unwrap_or_default());
    }
    out
}

/// Closes a connection. Over TLS the client gets a close_notify first (RFC 8446 §6.1).
pub(in crate::conn) async fn close(mut transport: Transport) {
    if matches!(transport, Transport::Tls(_)) {
        let _ = Box::pin(transport.shutdown()).await;
    }
}

/// Runs `future`. Returns `None` if the connection gets `signal`, or a stronger one, before its
/// end.
pub(in crate::conn) async fn until<F: Future>(signal: Signal, ledger: &Ledger, future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    poll_fn(|cx| {
        ledger.register(cx.waker());
        if ledger.signalled() >= signal {
            return Poll::Ready(None);
        }
        future.as_mut().poll(cx).map(Some)
    })
    .await
}
