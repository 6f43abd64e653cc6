//! HTTP/1.1 on a connection: one request after the other.

mod close;
mod connection;
mod incoming;
mod interim;
mod io;
mod output;
mod response;
mod transaction;
mod upgrade;
mod upgrade_service;

use std::future::poll_fn;
use std::sync::Arc;

use bytes::BytesMut;
use dunlin_http::{BoxError, Handler};

use super::{Connection, Exchange, Transport};
use crate::context::Loop;
use crate::framing::Framer;
use crate::reaper::Registered;
use close::{TIMED_OUT, end};
pub(super) use close::{close, linger, reject, until};
use connection::{Exit, Http1};
pub(crate) use interim::{InterimQueue, MAX_BYTES as MAX_INTERIM_BYTES, MAX_COUNT as MAX_INTERIM_COUNT};
pub(crate) use response::may_have_content;

/// Serves HTTP/1.1 on `transport`, from which `held` was read already.
pub(super) async fn run<H>(
    mut transport: Transport,
    mut held: BytesMut,
    handler: H,
    connection: Arc<Connection>,
    registered: &Registered,
    owner: &Loop,
) where
    H: Handler<Exchange, Error: Into<BoxError>> + Clone,
{
    let ledger = &connection.ledger;
    loop {
        let framer = Framer::new(held, owner.head_limits());
        let mut http1 = Http1::new(transport, framer, handler.clone(), &connection, registered, owner);
        let exit = poll_fn(|cx| http1.poll(cx)).await;
        let (socket, framer) = http1.into_parts();
        match exit {
            Exit::Cut => return,
            Exit::Done if framer.is_empty() && !framer.in_body() => return close(socket).await,
            // Rare futures are boxed, so that the task of an idle connection stays small.
            Exit::Done => return Box::pin(end(socket, ledger)).await,
            Exit::Reject(reason) => {
                if reason == TIMED_OUT {
                    owner.stats.timed_out();
                }
                let end = reject(socket, reason, framer.rejected_head(), connection.remote(), ledger, owner);
                return Box::pin(end).await;
            }
            Exit::Upgrade(head) => {
                let upgrade = upgrade::run(socket, head, framer.into_held(), handler.clone(), &connection, owner);
                let Some(declined) = Box::pin(upgrade).await else { return };
                (transport, held) = (declined.transport, declined.held);
            }
        }
    }
}
