//! Event loops, listeners, connections and their deadlines and limits, TLS, shutdown; the router.
//!
//! A [`Server`] is bound by a [`Config`], and started with a factory that makes a service for each of its loops. The
//! service is any [`tower_service::Service`] of requests, an axum `Router` as well as [`Routes`]. For those who own a
//! runtime there is [`serve`]. Every deadline and limit of [`Config`] is on by default, and what RFC 9110 and RFC 9112
//! call wrong is answered before a service sees it. A service that panics is answered 500 for, and its connection closed;
//! all others go on (where the program unwinds).
//!
//! ```
//! use dunlin_server::{Addr, Config, Routes, Server};
//! use std::io::{Read, Write};
//!
//! let config = Config { listen: vec!["127.0.0.1:0".parse().unwrap()], workers: 1, ..Config::default() };
//! let server = Server::bind(config).unwrap();
//! let running = server.start(|_loop| async { Ok(Routes::new().get("/", async |_| "Hello, World!").build()?) }).unwrap();
//!
//! let mut client = std::net::TcpStream::connect(running.local_addrs()[0].as_tcp().unwrap()).unwrap();
//! client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
//! let mut answer = String::new();
//! client.read_to_string(&mut answer).unwrap();
//! assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("Hello, World!"));
//!
//! running.shutdown();
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! assert!(running.stopped().await.drained);
//! # });
//! ```

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
mod router;
mod running;
mod serve;
mod server;
mod stats;
mod tls;
mod tunnels;

pub use addr::{Addr, ParseAddrError};
pub use config::{Config, EventLoop, Http2, Tls};
pub use conn::{Connect, Connection, Exchange, TunnelEnd};
pub use listen::Listener;
pub use router::{Json, Match, Respond, RouteError, RouteService, Router, Routes, json};
pub use running::{Handle, Outcome, Running};
pub use serve::{serve, serve_with};
pub use server::{BindError, LoopInfo, Server, StartError};
pub use stats::LoopStats;
