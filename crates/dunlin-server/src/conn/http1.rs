//! HTTP/1.1 on a connection: hyper while there is something to do, a bare socket while there is not.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use bytes::BytesMut;
use hyper::server::conn::http1::{Builder, UpgradeableConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::gate::{End, Gate, Returned};
use super::refusal::last_answer;
use super::service::Front;
use super::state::{Phase, Signal, State};
use super::{Connect, Wire};
use crate::event_loop::Loop;
use crate::framing::{Framer, Reject};
use crate::reaper::Registered;

type Hyper<C> = UpgradeableConnection<Gate, Front<<C as Connect>::Service>>;

/// Why hyper was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// The connection has been idle: only its buffers are let go.
    Parked,
    /// It is over.
    Done,
    /// It is to be over, whatever is under way.
    Cut,
}

/// Serves HTTP/1.1 on `wire`, from which `held` was read already.
pub(super) async fn run<C: Connect>(
    mut wire: Wire,
    mut held: BytesMut,
    service: C::Service,
    state: &Arc<State>,
    registered: &Registered,
    owner: &Loop,
) {
    loop {
        let framer = Framer::new(owner.head_limits(), state.heads());
        let gate = Gate::new(wire, held, framer, state.clone());
        let front = Front::new(service.clone(), state.clone(), &owner.shared().config);
        let hyper = Box::pin(builder(owner).serve_connection(gate, front).with_upgrades());
        let left = drive::<C>(hyper, state).await;
        let Some(returned) = given_back(state).await else { return };
        match left {
            Left::Parked if returned.held.is_empty() && returned.end == End::Open => {
                wire = returned.wire;
                held = BytesMut::new();
                if !wait_for_bytes(&wire, state, registered).await {
                    return close(wire).await;
                }
            }
            Left::Cut => return,
            // What is rare is boxed, so that the task of an idle connection stays small.
            Left::Parked | Left::Done if !needs_end(&returned, state) => return close(returned.wire).await,
            Left::Parked | Left::Done => return Box::pin(end(returned, state, owner)).await,
        }
    }
}

fn builder(owner: &Loop) -> Builder {
    let config = &owner.shared().config;
    let mut builder = Builder::new();
    builder.max_buf_size((config.max_head + 8192).max(64 << 10)).keep_alive(!config.keep_alive.is_zero());
    if config.max_fields > 100 {
        builder.max_headers(config.max_fields);
    }
    builder
}

/// Polls hyper, and tells it to stop when something else wants it to.
async fn drive<C: Connect>(mut hyper: Pin<Box<Hyper<C>>>, state: &Arc<State>) -> Left {
    let mut told = None;
    poll_fn(|cx: &mut Context<'_>| {
        state.register(cx.waker());
        state.outgoing.begin_turn();
        loop {
            if state.signalled() == Signal::Cut {
                return Poll::Ready(Left::Cut);
            }
            if hyper.as_mut().poll(cx).is_ready() {
                return Poll::Ready(told.take().unwrap_or(Left::Done));
            }
            // hyper does not read again by itself when what was held back may go on.
            if state.takes_up_held() {
                continue;
            }
            // hyper drops what it has not written yet when it is told to stop while idle; so not before it has.
            if told.is_some() || state.wants_write.load(Relaxed) {
                return Poll::Pending;
            }
            told = match state.signalled() {
                Signal::Park if state.is_idle() => Some(Left::Parked),
                Signal::Close | Signal::HeadTimeout if state.under_way() == 0 => Some(Left::Done),
                // Every request before the one that is none has reached the service: hyper may end with its answer.
                _ if state.rejected.load(Relaxed) && state.called() >= state.heads() => Some(Left::Done),
                _ => return Poll::Pending,
            };
            hyper.as_mut().graceful_shutdown();
        }
    })
    .await
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

/// Waits without any buffer until the client sends something; `false` if the connection is to close instead.
async fn wait_for_bytes(wire: &Wire, state: &State, registered: &Registered) -> bool {
    state.park();
    let go_on = poll_fn(|cx| {
        state.register(cx.waker());
        if state.signalled() >= Signal::Close {
            return Poll::Ready(false);
        }
        wire.poll_readable(cx).map(|readable| readable.is_ok())
    })
    .await;
    state.unpark();
    registered.watch();
    go_on
}

/// Whether there is more to do than to close.
fn needs_end(returned: &Returned, state: &State) -> bool {
    returned.in_body
        || !returned.held.is_empty()
        || matches!(returned.end, End::Rejected(_))
        || state.signalled() == Signal::HeadTimeout
}

/// Ends a connection that hyper is done with.
async fn end(returned: Returned, state: &Arc<State>, owner: &Loop) {
    let Returned { mut wire, held, end, in_body, .. } = returned;
    let all_answered = state.called() >= state.heads();
    let timed_out = state.signalled() == Signal::HeadTimeout && state.phase() == Phase::Head;
    let reject = match end {
        // A body that broke off was answered by the handler, and so was what hyper itself refused.
        End::Rejected(reject) if all_answered && !in_body => Some(reject),
        End::Open if timed_out && all_answered => {
            owner.stats.timed_out();
            Some(Reject::new(http::StatusCode::REQUEST_TIMEOUT, "the head of the request did not come in time"))
        }
        _ => None,
    };
    if let Some(reject) = reject {
        owner.stats.rejected();
        let answer = last_answer(reject, held.starts_with(b"HEAD "));
        let sent = until(Signal::Cut, state, wire.write_all(&answer)).await;
        if !matches!(sent, Some(Ok(()))) {
            return;
        }
    }
    // RFC 9112 §9.6: closing with bytes unread resets the connection, and the client may lose the answer. So the
    // server closes its half and reads on for a while.
    if reject.is_some() || in_body || !held.is_empty() {
        state.set_phase(Phase::Linger);
        until(Signal::Cut, state, linger(&mut wire)).await;
    }
    close(wire).await;
}

async fn linger(wire: &mut Wire) {
    if wire.shutdown().await.is_err() {
        return;
    }
    let mut sink = [0; 2048];
    while wire.read(&mut sink).await.is_ok_and(|n| n > 0) {}
}

/// TLS tells the peer that nothing more comes (RFC 8446 §6.1); a plain socket does so by closing.
pub(super) async fn close(mut wire: Wire) {
    if matches!(wire, Wire::Tls(_)) {
        let _ = Box::pin(wire.shutdown()).await;
    }
}

/// Runs `future`, but not beyond being told `signal` or more.
pub(super) async fn until<F: Future>(signal: Signal, state: &State, future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    poll_fn(|cx| {
        state.register(cx.waker());
        if state.signalled() >= signal {
            return Poll::Ready(None);
        }
        future.as_mut().poll(cx).map(Some)
    })
    .await
}
