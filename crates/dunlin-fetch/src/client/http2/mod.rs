//! HTTP/2 to an origin (RFC 9113).
//!
//! [`Http2Pool`] has the connections of an origin, each with many streams. `connection` opens and
//! drives one. `attempt` sends one request, with its retries; `exchange` is one stream from the
//! request to the head of the response; `sending` is the body of the request, `body` that of the
//! response. `websocket` and `tunnel` are for WebSocket (RFC 8441).

mod attempt;
mod body;
mod connection;
mod exchange;
mod head;
mod pool;
mod sending;
mod tunnel;
mod websocket;

pub(super) use connection::Opened;
pub(super) use pool::Http2Pool;
pub(super) use tunnel::Http2Tunnel;
