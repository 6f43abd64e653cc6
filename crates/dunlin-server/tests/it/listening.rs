//! Addresses to listen on, and limits of connections.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dunlin_http::{Body, FromTower};
use dunlin_server::{Addr, BindError, Config, Connect, Connection, Listen, RouteService, Routes, Server};
use http::Request;

use crate::support::{Client, Fixture, config, release, routes, stopped, until};

#[test]
fn several_addresses_and_unix_sockets() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.sock");
    let listen: Vec<Listen> =
        vec![Addr::Unix(path.clone()).into(), "127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()];
    for _ in 0..2 {
        // The second time, the socket of the first is stale.
        let server = Server::bind(Config { listen: listen.clone(), workers: 2, ..config() }).unwrap();
        let running = server.start(|_| async { Ok(routes().build()?) }).unwrap();
        let mut socket = UnixStream::connect(&path).unwrap();
        socket.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("Hello, World!"));
        for addr in &running.local_addrs()[1..] {
            let mut client = Client::connect(addr.as_tcp().unwrap());
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(client.answer().unwrap().status, 200);
        }
        running.abort();
        stopped(running);
    }
}

#[test]
fn a_socket_file_has_its_mode_and_its_group() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.sock");
    let own = std::fs::metadata(dir.path()).unwrap();
    let unix = || Listen::from(Addr::Unix(path.clone()));
    for mode in [0o600, 0o660, 0o777] {
        // The second time, the socket file is there already, with another mode.
        let listen = Listen { mode: Some(mode), group: Some(own.gid().to_string()), ..unix() };
        let running = Server::bind(Config { listen: vec![listen], ..config() }).unwrap();
        let running = running.start(|_| async { Ok(routes().build()?) }).unwrap();
        let file = std::fs::metadata(&path).unwrap();
        assert_eq!((file.permissions().mode() & 0o7777, file.gid()), (mode, own.gid()));
        let mut socket = UnixStream::connect(&path).unwrap();
        socket.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("Hello, World!"));
        running.abort();
        stopped(running);
    }
    let refused = |listen: Listen| Server::bind(Config { listen: vec![listen], ..config() }).unwrap_err().to_string();
    let line = refused(Listen { group: Some("no such group".into()), ..unix() });
    assert!(line.contains("there is no group \"no such group\""), "{line}");
    let line = refused(Listen { mode: Some(0o1777), ..unix() });
    assert!(line.contains("between 0 and 0777"), "{line}");
    let line = refused(Listen { mode: Some(0o600), ..Addr::Tcp(([127, 0, 0, 1], 0).into()).into() });
    assert!(line.contains("unix:"), "{line}");
    // Root may give a file away.
    if own.uid() == 0 {
        let listen = Listen { user: Some("4711".into()), group: Some("4712".into()), ..unix() };
        let _server = Server::bind(Config { listen: vec![listen], ..config() }).unwrap();
        let file = std::fs::metadata(&path).unwrap();
        assert_eq!((file.uid(), file.gid()), (4711, 4712));
    }
}

#[test]
fn the_error_of_an_address_in_use_is_one_line() {
    let server = Fixture::with(Config { workers: 2, ..config() });
    let taken = Addr::Tcp(server.addr);
    let error = Server::bind(Config { listen: vec![taken.clone().into()], ..config() }).unwrap_err();
    assert!(matches!(&error, BindError::Listen { addr, .. } if *addr == taken));
    let line = error.to_string();
    assert!(line.contains(&taken.to_string()) && line.contains("in use") && !line.contains('\n'), "{line}");
    let shared = Config { listen: vec![taken.into()], reuse_port: true, ..config() };
    assert!(Server::bind(shared).is_ok());

    let dir = tempfile::tempdir().unwrap();
    let unix = Config { listen: vec![Addr::Unix(dir.path().join("a.sock")).into()], ..config() };
    let _first = Server::bind(unix.clone()).unwrap();
    assert!(Server::bind(unix).unwrap_err().to_string().contains("in use"));
    let named = Config { listen: vec!["systemd:web".parse().unwrap()], ..config() };
    assert!(Server::bind(named).unwrap_err().to_string().contains("LISTEN_FDS"));
}

#[test]
fn a_factory_that_fails_stops_the_server() {
    let server = Server::bind(Config { workers: 2, ..config() }).unwrap();
    let addr = server.local_addrs()[0].as_tcp().unwrap();
    let error =
        server.start(async |of| if of.index == 1 { Err("no pool".into()) } else { Ok(routes().build()?) }).unwrap_err();
    assert_eq!(error.to_string(), "cannot make the service: no pool");
    until("the address refuses connections", || std::net::TcpStream::connect(addr).is_err());
}

/// Responds with the facts about the connection.
#[derive(Clone)]
struct WhoAmI(Arc<AtomicU64>);

impl Connect for WhoAmI {
    type Handler = FromTower<RouteService>;

    fn connect(&self, connection: &Arc<Connection>) -> FromTower<RouteService> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let connection = connection.clone();
        let handler = move |_: Request<Body>| {
            let remote = connection.remote().map(|remote| remote.to_string()).unwrap_or_default();
            let text = format!("{} {} {}", remote, connection.scheme(), connection.local());
            async move { text }
        };
        FromTower(Routes::new().get("/", handler).build().unwrap())
    }
}

#[test]
fn a_listed_proxy_names_its_client() {
    let made = Arc::new(AtomicU64::new(0));
    for (network, listed) in [("127.0.0.0/8", true), ("10.0.0.0/8", false)] {
        let proxy_protocol_from = vec![network.parse().unwrap()];
        let server = Server::bind(Config { proxy_protocol_from, ..config() }).unwrap();
        let made = made.clone();
        let running = server.start(move |_| std::future::ready(Ok(WhoAmI(made.clone())))).unwrap();
        let addr = running.local_addrs()[0].as_tcp().unwrap();
        let mut client = Client::connect(addr);
        client.send("PROXY TCP4 192.0.2.7 192.0.2.8 4711 80\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let answer = client.answer().unwrap();
        if listed {
            assert_eq!(answer.text(), format!("192.0.2.7:4711 http {addr}"));
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(client.answer().unwrap().status, 200);
            let mut bare = Client::connect(addr);
            bare.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            assert!(bare.is_closed());
        } else {
            assert_eq!(answer.status, 400);
        }
    }
    // `connect` is called for each connection, not for each request.
    assert_eq!(made.load(Ordering::Relaxed), 2);
}

/// The row of an accepted connection in `/proc/net/tcp`, and in it the kind of its timer and the
/// time to it. Kind 2 is the keep-alive timer.
#[cfg(target_os = "linux")]
fn timer(server: std::net::SocketAddr, client: std::net::SocketAddr) -> Option<(u8, u64)> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let (local, remote) = (format!(":{:04X}", server.port()), format!(":{:04X}", client.port()));
    let columns = table.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    let row = columns.skip(1).find(|row| row[1].ends_with(&local) && row[2].ends_with(&remote))?;
    let (kind, when) = row[5].split_once(':').unwrap();
    Some((u8::from_str_radix(kind, 16).unwrap(), u64::from_str_radix(when, 16).unwrap()))
}

#[cfg(target_os = "linux")]
#[test]
fn accepted_connections_have_the_configured_keep_alive_probes() {
    const TICKS_PER_SECOND: u64 = 100;
    assert_eq!(Config::default().tcp_keepalive, Some(Duration::from_secs(60)));
    for (tcp_keepalive, seconds) in [(Some(3000), Some(3000)), (Some(100_000), Some(32_767)), (None, None)] {
        let server = Fixture::with(Config { tcp_keepalive: tcp_keepalive.map(Duration::from_secs), ..config() });
        let mut client = server.connect();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.answer().unwrap().status, 200);
        let row = || timer(server.addr, client.0.local_addr().unwrap()).unwrap();
        // Kind 1 retransmits the response, until its acknowledgement has come.
        until("the response is acknowledged", || row().0 != 1);
        match (row(), seconds) {
            ((2, left), Some(seconds)) => {
                assert!(left <= seconds * TICKS_PER_SECOND, "{left}");
                assert!(left > (seconds - 100) * TICKS_PER_SECOND, "{left}");
            }
            ((0, _), None) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn connections_of_a_client_are_limited() {
    let server = Fixture::with(Config { max_connections_per_client: 2, ..config() });
    let mut kept: Vec<_> = (0..2).map(|_| server.connect()).collect();
    for client in &mut kept {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.answer().unwrap().status, 200);
    }
    assert!(server.connect().is_closed());
    assert_eq!(server.running.stats()[0].refused, 1);
}

#[test]
fn a_full_server_closes_the_connection_that_is_idle_for_longest() {
    let server = Fixture::with(Config { max_connections: 2, max_connections_per_client: 10, ..config() });
    let mut first = server.connect();
    first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(first.answer().unwrap().status, 200);
    let mut busy = server.connect();
    busy.send("GET /held/full HTTP/1.1\r\nHost: a\r\n\r\n");
    until("the request arrives", || server.running.stats()[0].requests == 2);
    assert_eq!(server.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").text(), "Hello, World!");
    assert!(first.is_closed());
    release("full");
    assert_eq!(busy.answer().unwrap().text(), "released");
    assert!(server.running.stats()[0].full > 0);
}

#[test]
fn connections_are_spread_evenly() {
    let server = Fixture::with(Config { workers: 2, pin: true, ..config() });
    let clients: Vec<_> = (0..200)
        .map(|_| {
            let mut client = server.connect();
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(client.answer().unwrap().status, 200);
            client
        })
        .collect();
    let counts: Vec<_> = server.running.stats().iter().map(|stats| stats.connections).collect();
    assert_eq!(counts.iter().sum::<usize>(), clients.len());
    assert!(counts.iter().all(|count| *count >= 60), "{counts:?}");
}

#[test]
fn listeners_are_replaced() {
    for server in [Fixture::new(), Fixture::shared()] {
        let handle = server.running.handle();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let [first, second] = ["127.0.0.1:0".to_owned(), free.to_string()].map(|addr| addr.parse::<Listen>().unwrap());
        let get = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
        let mut kept = server.connect();
        kept.send(get);
        assert!(kept.answer().is_some());
        // One that is dropped changes nothing.
        drop(handle.replacement(std::slice::from_ref(&second), None).unwrap());
        assert_eq!(handle.local_addrs(), [Addr::Tcp(server.addr)]);
        handle.replacement(&[first.clone(), second.clone()], None).unwrap().apply();
        assert_eq!(handle.local_addrs(), [Addr::Tcp(server.addr), Addr::Tcp(free)]);
        let mut other = Client::connect(free);
        other.send(get);
        assert!(other.answer().is_some());
        handle.replacement(&[second], None).unwrap().apply();
        assert!(kept.is_closed());
        until("the first one is closed", || std::net::TcpStream::connect(server.addr).is_err());
        other.send(get);
        assert!(other.answer().is_some());
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let refused = handle.replacement(&[first, Addr::Tcp(taken.local_addr().unwrap()).into()], None);
        assert!(matches!(refused, Err(BindError::Listen { .. })));
        assert_eq!(handle.local_addrs(), [Addr::Tcp(free)]);
        assert!(server.stop().drained);
    }
}

#[test]
fn serve_runs_on_the_runtime_of_its_caller() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let outcome = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let client = std::thread::spawn(move || {
            let mut client = Client::connect(addr);
            client.send("GET /greet HTTP/1.1\r\nHost: a\r\n\r\n");
            let answer = client.answer().unwrap();
            stop.send(()).unwrap();
            answer.text().to_owned()
        });
        let router = axum::Router::new().route("/greet", axum::routing::get(async || "Hello from axum"));
        let outcome = dunlin_server::serve(listener, router, async { stopped.await.unwrap() }).await;
        assert_eq!(client.join().unwrap(), "Hello from axum");
        outcome
    });
    assert!(outcome.drained);
}

/// The process of [`under_systemd`]. It does nothing if it runs as a test.
#[test]
fn served_under_systemd() {
    if std::env::var_os("DUNLIN_UNDER_SYSTEMD").is_none() {
        return;
    }
    let max_connections = std::env::var("DUNLIN_MAX_CONNECTIONS").map_or(0, |max| max.parse().unwrap());
    let listen = vec!["systemd:web".parse().unwrap()];
    let mut config = Config { listen, max_connections, h2c: true, ..config() };
    if let Ok(ms) = std::env::var("DUNLIN_DEADLINES") {
        let deadline = Duration::from_millis(ms.parse().unwrap());
        (config.header_timeout, config.first_byte_timeout, config.body_timeout) = (deadline, deadline, deadline);
    }
    let server = Server::bind(config).unwrap();
    // Made first, because many clients may leave no descriptor for it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let running = server.start(|_| async { Ok(routes().build()?) }).unwrap();
    // The parent closes its end when it has seen enough.
    let _ = std::io::stdin().read(&mut [0]);
    running.abort();
    runtime.block_on(running.stopped());
}

/// Starts the test above as systemd would, with `listener` as descriptor 3. The shell runs `before`
/// first.
pub fn under_systemd(listener: std::os::fd::OwnedFd, before: &str) -> std::process::Child {
    let serve = r#"exec 3<&1 1>/dev/null; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web exec "$0" --nocapture --exact listening::served_under_systemd"#;
    std::process::Command::new("sh")
        .args(["-c", &format!("{before}{serve}")])
        .arg(std::env::current_exe().unwrap())
        .env("DUNLIN_UNDER_SYSTEMD", "1")
        .stdin(std::process::Stdio::piped())
        .stdout(listener)
        .spawn()
        .unwrap()
}

pub fn end(mut child: std::process::Child) {
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn sockets_of_the_service_manager_are_served() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let child = under_systemd(listener.into(), "");
    let mut client = Client::connect(addr);
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(client.answer().unwrap().text(), "Hello, World!");
    end(child);
}
