//! HTTP/2 on a connection: hyper's, with limits.

mod inbound;
mod service;
mod streams;

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;

use bytes::BytesMut;
use hyper::server::conn::http2::Builder;
use tokio::io::AsyncWriteExt;

use super::gate::{Gate, Returned};
use super::http1::{close, linger, until};
use super::state::{Phase, Signal, State};
use super::{Connect, Wire};
use crate::event_loop::Loop;
use crate::framing::FrameMeter;
pub(super) use service::Front;
use streams::Stream;
pub(crate) use streams::Streams;

/// GOAWAY but for the last byte of its code (RFC 9113 §6.8): any stream may have been worked at.
const GOAWAY: &[u8] = b"\0\0\x08\x07\0\0\0\0\0\x7f\xff\xff\xff\0\0\0";

/// Runs hyper's streams as tasks of the loop.
#[derive(Clone, Copy, Debug)]
struct Spawn;

/// Serves HTTP/2 on `wire`, from which `held` was read already.
pub(super) async fn run<C: Connect>(wire: Wire, held: BytesMut, service: C::Service, state: &Arc<State>, owner: &Loop) {
    let config = &owner.shared().config;
    state.set_phase(Phase::Opaque);
    let gate = Gate::http2(wire, held, FrameMeter::new(config.http2.max_control_rate), state.clone());
    let front = Front::new(service, state.clone(), config.max_body);
    let fields = u32::try_from(config.max_head).unwrap_or(u32::MAX);
    let mut hyper = Box::pin(
        Builder::new(Spawn)
            .max_concurrent_streams(config.http2.max_streams)
            .max_pending_accept_reset_streams(config.http2.max_pending_resets)
            .max_local_error_reset_streams(config.http2.max_local_resets)
            .max_header_list_size(fields)
            .max_send_buf_size(64 << 10)
            .serve_connection(gate, front),
    );
    let mut told = false;
    poll_fn(|cx| {
        state.register(cx.waker());
        state.turn.begin();
        let signal = state.signalled();
        if signal == Signal::Cut {
            return Poll::Ready(());
        }
        // RFC 9113 §6.8: GOAWAY tells which streams will still be answered. One that is idle long is told the same.
        if !told && (signal >= Signal::Drain || state.is_worn_out(config.max_requests_per_connection)) {
            told = true;
            hyper.as_mut().graceful_shutdown();
        }
        hyper.as_mut().poll(cx).map(drop)
    })
    .await;
    drop(hyper);
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

// === impl Spawn ===

impl<F> hyper::rt::Executor<F> for Spawn
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        tokio::spawn(Stream::new(future));
    }
}
