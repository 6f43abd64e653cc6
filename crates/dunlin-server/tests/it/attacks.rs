//! Attacks of many connections at once, and an honest client among them.

use std::net::SocketAddr;

use dunlin_server::Config;

use crate::support::{Fixture, config};

const ATTACKERS: usize = 2_000;

/// Opens many connections that send `opening`, and then `trickle` now and then. Meanwhile an honest
/// client sends requests.
fn attack(opening: &str, trickle: &str) {
    // The server raises the limit of descriptors for its whole process, so for these clients too.
    let server = Fixture::with(Config { max_connections: 0, max_connections_per_client: 2 * ATTACKERS, ..config() });
    let mut attackers: Vec<_> = (0..ATTACKERS).map_while(|_| connect(server.addr).ok()).collect();
    assert!(attackers.len() > 400, "{} descriptors are too few", attackers.len());
    for attacker in &mut attackers {
        let _ = attacker.send(opening.as_bytes());
    }
    for round in attackers.chunks_mut(40) {
        for attacker in round {
            let _ = attacker.send(trickle.as_bytes());
        }
        let answer = server.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert_eq!(answer.text(), "Hello, World!");
    }
}

/// A connection with a small window, so that unread data stays with the server and not with the
/// kernel.
fn connect(addr: SocketAddr) -> std::io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(addr), socket2::Type::STREAM, None)?;
    socket.set_recv_buffer_size(4096)?;
    socket.connect(&addr.into())?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[test]
fn slow_heads() {
    attack("GET / HTTP/1.1\r\nHost: a\r\n", "X: y\r\n");
}

#[test]
fn slow_bodies() {
    attack("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n", "x");
}

#[test]
fn slow_readers() {
    attack("GET /big/1000000 HTTP/1.1\r\nHost: a\r\n\r\n", "");
}
