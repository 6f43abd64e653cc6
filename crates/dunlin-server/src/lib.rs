#![doc = include_str!("../README.md")]

#[cfg(not(unix))]
compile_error!("dunlin-server works on Unix only: a restart passes its sockets on as descriptors");

mod accept;
mod addr;
mod balance;
mod clients;
mod config;
mod conn;
mod context;
mod event_loop;
mod framing;
mod ledger;
mod listen;
mod log_limit;
mod proxy_protocol;
mod reaper;
mod replacement;
mod router;
mod running;
mod serve;
mod server;
mod stats;
mod tls;
mod tunnels;

pub use addr::{Addr, ParseAddrError};
pub use config::{Config, EventLoop, Http2};
pub use conn::{Connect, Connection, Exchange, TunnelEnd};
pub use listen::{Listen, Listener};
pub use replacement::Replacement;
pub use router::{Json, Match, Respond, RouteError, RouteService, Router, Routes, json};
pub use running::{Handle, Outcome, Running};
pub use serve::{serve, serve_with};
pub use server::{BindError, LoopInfo, Server, StartError};
pub use stats::LoopStats;
pub use tls::{CertificateError, CertificateStore, ClientCertificates, Pair, PemPair, Tls, TlsVersion};
