//! Proxies in front of several servers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dunlin_fetch::{
    Balance, Config, Ejection, HashKey, HealthCheck, Proxy, ProxyConfig, ServerState, Upstream, UpstreamConfig,
};
use http::{HeaderName, Uri};

use crate::support::{Origin, RawConnection, client, content, exchange, get, serve};

/// An origin that responds with `name`.
async fn named(name: &'static str) -> Origin {
    Origin::responding(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{name}", name.len())).await
}

/// An address that nothing listens on.
async fn nowhere() -> Uri {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap()).parse().unwrap()
}

fn upstream(servers: Vec<Uri>, change: impl FnOnce(&mut UpstreamConfig)) -> Arc<Upstream> {
    let mut config = UpstreamConfig::new(servers);
    change(&mut config);
    Upstream::new("app", config).unwrap()
}

async fn front(upstream: &Arc<Upstream>) -> std::net::SocketAddr {
    let client = client(Config::default());
    serve(Proxy::with_upstream(client, upstream.clone(), "/", ProxyConfig::default()).unwrap()).await
}

/// The value of a metric, summed over its series that have this label value.
fn metric(upstream: &Upstream, name: &str, label: &str) -> f64 {
    let metrics = upstream.metrics();
    let series = metrics.iter().filter(|metric| metric.name == name);
    series.filter(|metric| metric.labels.iter().any(|(_, value)| value == label)).map(|metric| metric.value).sum()
}

fn post(path: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: front\r\ncontent-length: 3\r\nconnection: close\r\n\r\nabc")
}

#[tokio::test]
async fn servers_take_turns() {
    let (a, b) = (named("a").await, named("b").await);
    let upstream = upstream(vec![a.uri(""), b.uri("")], |config| config.balance = Balance::RoundRobin);
    let front = front(&upstream).await;
    let mut names = Vec::new();
    for _ in 0..4 {
        names.push(content(&get(front, "/").await).to_owned());
    }
    assert_eq!(names, ["a", "b", "a", "b"]);
    assert_eq!(metric(&upstream, "dunlin_upstream_server_requests_total", "app"), 4.0);
    assert_eq!(metric(&upstream, "dunlin_upstream_server_pending", "app"), 0.0);
}

#[tokio::test]
async fn each_server_gets_its_own_host() {
    let echo = crate::support::echo().await;
    let upstream = upstream(vec![echo.uri("")], |_| ());
    let response = get(front(&upstream).await, "/x?y").await;
    assert!(response.contains("GET /x?y HTTP/1.1\r\n"), "{response}");
    assert!(response.contains(&format!("\r\nhost: {}\r\n", echo.address)), "{response}");
}

#[tokio::test]
async fn no_request_fails_while_one_server_is_away() {
    let (a, away) = (named("a").await, nowhere().await);
    let server = away.to_string().trim_end_matches('/').to_owned();
    let upstream = upstream(vec![a.uri(""), away], |config| config.balance = Balance::RoundRobin);
    let front = front(&upstream).await;
    for number in 0..20 {
        // Nothing was sent, so a POST is tried elsewhere, too.
        let response = if number % 2 == 0 { get(front, "/").await } else { exchange(front, &post("/")).await };
        assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    }
    assert_eq!(metric(&upstream, "dunlin_upstream_server_failures_total", "connect"), 5.0);
    assert_eq!(metric(&upstream, "dunlin_upstream_server_up", &server), 0.0);
    assert_eq!(metric(&upstream, "dunlin_upstream_server_ejected", &server), 1.0);
    assert_eq!(metric(&upstream, "dunlin_upstream_retries_total", "app"), 5.0);
}

#[tokio::test]
async fn an_ejected_server_comes_back() {
    let refusals = Arc::new(AtomicUsize::new(2));
    let left = refusals.clone();
    let flaky = Origin::scripted(move |_, mut connection| {
        let left = left.clone();
        async move {
            while connection.head().await.is_some() {
                if left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
                    return;
                }
                connection.send("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nb").await;
            }
        }
    })
    .await;
    let a = named("a").await;
    let upstream = upstream(vec![a.uri(""), flaky.uri("")], |config| {
        config.balance = Balance::RoundRobin;
        config.eject = Some(Ejection { failures: 2, percent: 100, duration: Duration::from_millis(200) });
    });
    let front = front(&upstream).await;
    for _ in 0..6 {
        assert_eq!(content(&get(front, "/").await), "a");
    }
    assert_eq!(metric(&upstream, "dunlin_upstream_server_failures_total", "closed"), 2.0);
    tokio::time::sleep(Duration::from_millis(250)).await;
    let mut names = Vec::new();
    for _ in 0..4 {
        names.push(content(&get(front, "/").await).to_owned());
    }
    names.sort_unstable();
    assert_eq!(names, ["a", "a", "b", "b"]);
}

#[tokio::test]
async fn a_request_without_a_response_is_repeated_if_it_is_idempotent() {
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = requests.clone();
    let closing = Origin::scripted(move |_, mut connection| {
        let counter = counter.clone();
        async move {
            connection.head().await;
            counter.fetch_add(1, Ordering::SeqCst);
        }
    })
    .await;
    let upstream = upstream(vec![closing.uri("")], |_| ());
    let front = front(&upstream).await;
    let response = exchange(front, &post("/")).await;
    assert!(response.starts_with("HTTP/1.1 502 "), "{response}");
    assert_eq!(requests.load(Ordering::SeqCst), 1);
    // Once, because the request may be the reason.
    let response = get(front, "/").await;
    assert!(response.starts_with("HTTP/1.1 502 "), "{response}");
    assert_eq!(requests.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn requests_wait_for_a_server_that_restarts() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let upstream = upstream(vec![format!("http://{address}").parse().unwrap()], |_| ());
    let front = front(&upstream).await;
    let waiting: Vec<_> = (0..20).map(|_| tokio::spawn(async move { exchange(front, &post("/")).await })).collect();
    while metric(&upstream, "dunlin_upstream_waiting", "app") < 20.0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut connection = RawConnection::new(stream);
                while connection.head().await.is_some() {
                    assert_eq!(connection.exactly(3).await, b"abc");
                    connection.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nback").await;
                }
            });
        }
    });
    for response in waiting {
        let response = response.await.unwrap();
        assert!(response.ends_with("\r\n\r\nback"), "{response}");
    }
    assert_eq!(metric(&upstream, "dunlin_upstream_waiting", "app"), 0.0);
}

#[tokio::test]
async fn the_wait_has_an_end_and_a_limit() {
    let away = nowhere().await;
    let wait = Duration::from_millis(300);
    let upstream = upstream(vec![away], |config| {
        config.wait = wait;
        config.max_waiting = 1;
    });
    let front = front(&upstream).await;
    let start = Instant::now();
    let responses =
        [tokio::spawn(async move { get(front, "/").await }), tokio::spawn(async move { get(front, "/").await })];
    for response in responses {
        let response = response.await.unwrap();
        assert!(response.starts_with("HTTP/1.1 503 "), "{response}");
        assert!(response.contains("\r\nretry-after: "), "{response}");
    }
    assert!(start.elapsed() >= wait, "{:?}", start.elapsed());
    assert_eq!(metric(&upstream, "dunlin_upstream_unavailable_total", "app"), 2.0);
}

#[tokio::test]
async fn a_key_keeps_its_server() {
    let (a, b) = (named("a").await, named("b").await);
    let key = HashKey::Header(HeaderName::from_static("x-key"));
    let upstream = upstream(vec![a.uri(""), b.uri("")], |config| config.balance = Balance::Hash(key));
    let front = front(&upstream).await;
    let mut names = Vec::new();
    for key in 0..20 {
        let request = format!("GET / HTTP/1.1\r\nhost: front\r\nx-key: {key}\r\nconnection: close\r\n\r\n");
        let name = content(&exchange(front, &request).await).to_owned();
        for _ in 0..3 {
            assert_eq!(content(&exchange(front, &request).await), name);
        }
        names.push(name);
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names, ["a", "b"]);
}

#[tokio::test]
async fn pending_requests_count_until_their_bodies_end() {
    let slow = Origin::scripted(|_, mut connection| async move {
        connection.head().await;
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\na").await;
        // The client closes its end before the second byte.
        connection.head().await;
    })
    .await;
    let upstream = upstream(vec![slow.uri("")], |_| ());
    let front = front(&upstream).await;
    let mut connection = RawConnection::connect(front).await;
    connection.send("GET / HTTP/1.1\r\nhost: front\r\n\r\n").await;
    connection.head().await.unwrap();
    assert_eq!(metric(&upstream, "dunlin_upstream_server_pending", "app"), 1.0);
    drop(connection);
    while metric(&upstream, "dunlin_upstream_server_pending", "app") > 0.0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn unhealthy_servers_get_no_requests() {
    let is_healthy = Arc::new(AtomicUsize::new(0));
    let state = is_healthy.clone();
    let sick = Origin::scripted(move |_, mut connection| {
        let state = state.clone();
        async move {
            while let Some(head) = connection.head().await {
                let is_check = head.starts_with("GET /healthz ");
                let status = if is_check && state.load(Ordering::SeqCst) == 0 { "503 No" } else { "200 OK" };
                connection.send(format!("HTTP/1.1 {status}\r\ncontent-length: 1\r\n\r\nb")).await;
            }
        }
    })
    .await;
    let a = named("a").await;
    let server = sick.uri("").to_string().trim_end_matches('/').to_owned();
    let upstream = upstream(vec![a.uri(""), sick.uri("")], |config| {
        config.balance = Balance::RoundRobin;
        config.health = Some(HealthCheck {
            path: "/healthz".to_owned(),
            interval: Duration::from_millis(10),
            healthy: 2,
            unhealthy: 2,
            ..HealthCheck::default()
        });
    });
    let checks = tokio::spawn(upstream.clone().run_checks(Config::default()));
    let front = front(&upstream).await;
    while metric(&upstream, "dunlin_upstream_server_up", &server) > 0.0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for _ in 0..6 {
        assert_eq!(content(&get(front, "/").await), "a");
    }
    assert_eq!(metric(&upstream, "dunlin_upstream_server_unhealthy", &server), 1.0);
    is_healthy.store(1, Ordering::SeqCst);
    while metric(&upstream, "dunlin_upstream_server_up", &server) < 1.0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let names = [get(front, "/").await, get(front, "/").await];
    assert!(names.iter().any(|response| content(response) == "b"), "{names:?}");
    checks.abort();
}

#[test]
fn servers_that_cannot_be_used() {
    let check = |servers: &[&str], expect: &str| {
        let servers = servers.iter().map(|server| server.parse().unwrap()).collect();
        let error = Upstream::new("app", UpstreamConfig::new(servers)).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    };
    check(&[], "from 1 to 128");
    check(&["http://a/path"], "no path");
    check(&["http://a/?query=secret"], "no query");
    check(&["http://a", "http://a:80/"], "twice");
    check(&["ftp://a"], "http");
}

#[tokio::test]
async fn a_server_with_enough_requests_gets_no_more() {
    let held = Origin::scripted(|_, mut connection| async move {
        while connection.head().await.is_some() {
            std::future::pending::<()>().await;
        }
    })
    .await;
    let free = named("free").await;
    let upstream = upstream(vec![held.uri(""), free.uri("")], |config| {
        config.balance = Balance::RoundRobin;
        config.max_pending = Some(1);
    });
    let front = front(&upstream).await;
    let waiting = tokio::spawn(async move { get(front, "/").await });
    while metric(&upstream, "dunlin_upstream_server_pending", "app") == 0.0 {
        tokio::task::yield_now().await;
    }
    for _ in 0..6 {
        assert_eq!(content(&get(front, "/").await), "free");
    }
    let statuses = upstream.status();
    assert_eq!(statuses.iter().map(|status| status.pending).collect::<Vec<_>>(), [1, 0]);
    assert_eq!((statuses[1].head_times.count(), statuses[1].state), (6, ServerState::Up));
    assert!(statuses[1].connect_times.count() >= 1);
    waiting.abort();

    let alone = self::upstream(vec![held.uri("")], |config| config.max_pending = Some(1));
    let front = self::front(&alone).await;
    let waiting = tokio::spawn(async move { get(front, "/").await });
    while metric(&alone, "dunlin_upstream_server_pending", "app") == 0.0 {
        tokio::task::yield_now().await;
    }
    let refused = get(front, "/").await;
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("retry-after: 1\r\n"), "{refused}");
    assert_eq!(metric(&alone, "dunlin_upstream_overloaded_total", "app"), 1.0);
    waiting.abort();
}

#[tokio::test]
async fn a_server_that_fails_half_of_its_requests_is_ejected() {
    // Never two failures in a row. Each request has a connection of its own, so that it counts.
    let flaky = Origin::scripted(|number, mut connection| async move {
        connection.head().await;
        if number % 2 == 0 {
            connection.send("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nflaky").await;
        }
    })
    .await;
    let others = [named("a").await, named("b").await, named("c").await];
    let servers = others.iter().map(|other| other.uri("")).chain([flaky.uri("")]).collect();
    let upstream = upstream(servers, |config| config.balance = Balance::RoundRobin);
    let front = front(&upstream).await;
    for _ in 0..200 {
        let response = get(front, "/").await;
        assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    }
    let flaky = &upstream.status()[3];
    assert_eq!(flaky.state, ServerState::Ejected);
    assert!(flaky.requests < 30, "{flaky:?}");
    assert!(flaky.reason.is_some());
}
