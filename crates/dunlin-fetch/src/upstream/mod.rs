//! A service with several servers.
//!
//! An [`Upstream`] is the state that all event loops share: who is pending where, and who is out. A
//! `Balancer` is the part of one loop, with the connections. `policy` and `budget` decide, without
//! clocks and sockets; `server` keeps the state of one server; `wait` is for the time in which no
//! server is up; `check` asks servers whether they are healthy.

mod balancer;
mod budget;
mod check;
mod config;
mod hash;
mod metrics;
mod policy;
mod rate;
mod server;
mod state;
mod status;
mod wait;

pub(crate) use balancer::{Balancer, Routing};
pub use config::{Balance, Ejection, HashKey, HealthCheck, UpstreamConfig};
pub(crate) use hash::KeySource;
pub use state::Upstream;
pub use status::{ServerState, ServerStatus};
