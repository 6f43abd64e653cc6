//! How a connection ends.

use std::future::{Future, poll_fn};
use std::task::Poll;

use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::response::{self, Asked, Content};
use crate::conn::Transport;
use crate::conn::refusal::refuse;
use crate::context::Loop;
use crate::framing::{Framer, Reject};
use crate::ledger::{Ledger, Phase, Signal};

/// CloseReason a connection is over, where its client is to be told.
#[derive(Clone, Copy, Debug)]
pub(super) enum CloseReason {
    /// What came next was no request.
    Rejected(Reject),
    /// The head of a request did not come in time.
    TimedOut,
}

/// Ends a connection on which all is answered that can be.
pub(super) async fn run(
    mut transport: Transport,
    framer: &Framer,
    why: Option<CloseReason>,
    ledger: &Ledger,
    owner: &Loop,
) {
    if let Some(why) = why {
        let reject = match why {
            CloseReason::Rejected(reject) => reject,
            CloseReason::TimedOut => {
                owner.stats.timed_out();
                Reject::new(StatusCode::REQUEST_TIMEOUT, "the head of the request did not come in time")
            }
        };
        owner.stats.rejected();
        let answer = last_answer(reject, framer.rejected_head(), ledger.ticks().seconds());
        let sent = until(Signal::Cut, ledger, transport.write_all(&answer)).await;
        if !matches!(sent, Some(Ok(()))) {
            return;
        }
    }
    // RFC 9112 §9.6: closing with bytes unread resets the connection, and the client may lose the answer. So the
    // server closes its half and reads on for a while.
    ledger.set_phase(Phase::Linger);
    until(Signal::Cut, ledger, linger(&mut transport, usize::MAX)).await;
    close(transport).await;
}

/// Closes this half, and throws away what the client still sends until it closes the other, but hardly more than `most`
/// bytes.
pub(in crate::conn) async fn linger(transport: &mut Transport, most: usize) {
    if transport.shutdown().await.is_err() {
        return;
    }
    let (mut sink, mut read) = ([0; 2048], 0);
    while read < most {
        match transport.read(&mut sink).await {
            Ok(n) if n > 0 => read += n,
            _ => return,
        }
    }
}

/// The last answer on a connection whose next bytes are no request, as it goes onto the transport. One to HEAD has no
/// content (RFC 9110 §9.3.2).
fn last_answer(reject: Reject, to_head: bool, seconds: u64) -> Vec<u8> {
    let answer = refuse(reject.status, reject.detail);
    let asked = Asked { to_head, is_10: false, persists: false };
    let mut out = Vec::new();
    let written = response::write(&mut out, answer.status(), answer.headers(), answer.body().len(), asked, seconds);
    if written.content != Content::None {
        out.extend_from_slice(answer.body().as_bytes().unwrap_or_default());
    }
    out
}

/// TLS tells the peer that nothing more comes (RFC 8446 §6.1); a plain socket does so by closing.
pub(in crate::conn) async fn close(mut transport: Transport) {
    if matches!(transport, Transport::Tls(_)) {
        let _ = Box::pin(transport.shutdown()).await;
    }
}

/// Runs `future`, but not beyond being told `signal` or more.
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
