//! The pool: connections that are reused, closed and limited.

use std::time::Duration;

use dunlin_fetch::{Config, Error, ProxyConfig};

use crate::support::{Origin, client, get, proxy, proxy_with};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let origin = Origin::responding(OK).await;
    let client = client(Config::default());
    for _ in 0..10 {
        assert_eq!(client.get_text(&origin.uri("/"), None).await.unwrap().text, "ok");
    }
    assert_eq!(origin.connections(), 1);
    let stats = client.stats();
    assert_eq!((stats.requests, stats.opened, stats.idle, stats.retries), (10, 1, 1, 0));
}

#[tokio::test]
async fn one_task_closes_the_idle_connections_of_a_client() {
    let origin = Origin::responding(OK).await;
    let client = client(Config::default());
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    client.get_text(&origin.uri("/"), None).await.unwrap();
    let before = tasks();
    for _ in 0..20 {
        client.get_text(&origin.uri("/"), None).await.unwrap();
    }
    assert_eq!((client.stats().opened, tasks()), (1, before));
}

#[tokio::test]
async fn a_proxy_reuses_connections() {
    let origin = Origin::responding(OK).await;
    let front = proxy(&origin).await;
    for _ in 0..5 {
        assert!(get(front, "/").await.ends_with("\r\n\r\nok"));
    }
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn connection_close_is_obeyed() {
    for close in ["HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok", "HTTP/1.0 200 OK\r\n\r\nok"] {
        let origin = Origin::scripted(move |_, mut connection| async move {
            connection.head().await;
            connection.send(close).await;
        })
        .await;
        let client = client(Config::default());
        for _ in 0..2 {
            assert_eq!(client.get_text(&origin.uri("/"), None).await.unwrap().text, "ok");
        }
        assert_eq!((origin.connections(), client.stats().idle), (2, 0), "{close}");
    }
}

#[tokio::test]
async fn a_refused_connection_is_502() {
    // Bound, so that the port is taken, but not listening.
    let bound = tokio::net::TcpSocket::new_v4().unwrap();
    bound.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let closed = bound.local_addr().unwrap();
    let upstream = format!("http://{closed}/").parse().unwrap();
    let client = client(Config::default());
    let front = proxy_with(client.clone(), &upstream, ProxyConfig::default()).await;
    let response = get(front, "/").await;
    assert!(response.starts_with("HTTP/1.1 502 "), "{response}");
    assert!(
        response.contains("application/problem+json") && !response.contains(&closed.port().to_string()),
        "{response}"
    );
    let error = client.get_text(&upstream, None).await.unwrap_err();
    assert!(matches!(error, Error::Connect(_)), "{error}");
}

#[tokio::test]
async fn connections_and_the_wait_for_them_are_limited() {
    let origin = Origin::scripted(|_, mut connection| async move {
        connection.head().await;
        connection.head().await;
    })
    .await;
    let (max_connections, acquire_timeout) = (1, Duration::from_millis(20));
    let client = client(Config { max_connections, acquire_timeout, ..Config::default() });
    let uri = origin.uri("/");
    let stuck = tokio::spawn({
        let (client, uri) = (client.clone(), uri.clone());
        async move { client.get_text(&uri, None).await }
    });
    while origin.connections() == 0 {
        tokio::task::yield_now().await;
    }
    assert!(matches!(client.get_text(&uri, None).await, Err(Error::Busy)));
    stuck.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_wake_up_between_threads_is_lost() {
    // Responses in pieces, so that tasks wait several times, on connections that change tasks.
    let origin = Origin::scripted(|_, mut connection| async move {
        while connection.head().await.is_some() {
            for piece in ["HTTP/1.1 200 OK\r\ntransfer-", "encoding: chunked\r\n\r\n2\r\no", "k\r\n", "0\r\n\r\n"] {
                connection.send(piece).await;
                tokio::task::yield_now().await;
            }
        }
    })
    .await;
    let client = client(Config { max_connections: 8, ..Config::default() });
    let tasks: Vec<_> = (0..32)
        .map(|_| {
            let (client, uri) = (client.clone(), origin.uri("/"));
            tokio::spawn(async move {
                for _ in 0..50 {
                    assert_eq!(client.get_text(&uri, None).await.unwrap().text, "ok");
                }
            })
        })
        .collect();
    for task in tasks {
        tokio::time::timeout(Duration::from_secs(120), task).await.unwrap().unwrap();
    }
    assert!(origin.connections() <= 8, "{}", origin.connections());
}
