//! Requests that are built step by step.

use std::time::Duration;

use dunlin_fetch::{Config, Error};
use serde_json::{Value, json};

use crate::support::{Origin, client, content, echo};

/// An origin that responds with the whole request, whose body has `len` bytes.
async fn echo_with_body(len: usize) -> Origin {
    Origin::scripted(move |_, mut connection| async move {
        while let Some(head) = connection.head().await {
            let body = String::from_utf8(connection.exactly(len).await).unwrap();
            let whole = head + &body;
            connection.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{whole}", whole.len())).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_request_has_a_query_fields_and_credentials() {
    let origin = echo().await;
    let client = client(Config::default());
    let request = client.get(origin.uri("/a?b=1")).query([("c d", "ä&="), ("e", "")]).header("x-one", "1");
    let response = request.basic("user", "pass").send().await.unwrap().error_for_status().unwrap();
    assert_eq!(response.url().query(), Some("b=1&c+d=%C3%A4%26%3D&e="));
    let head = response.text().await.unwrap();
    assert!(head.starts_with("GET /a?b=1&c+d=%C3%A4%26%3D&e= HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("x-one: 1\r\n") && head.contains("authorization: Basic dXNlcjpwYXNz\r\n"), "{head}");
    let head = client.delete(origin.uri("/")).bearer("t").send().await.unwrap().text().await.unwrap();
    assert!(head.starts_with("DELETE / ") && head.contains("authorization: Bearer t\r\n"), "{head}");
}

#[tokio::test]
async fn bodies_are_forms_json_and_bytes() {
    let client = client(Config::default());
    let origin = echo_with_body(7).await;
    let form = client.post(origin.uri("/")).form([("a", "1"), ("b", " ")]);
    let json = client.put(origin.uri("/")).json(&json!({ "a": 1 }));
    let bytes = client.patch(origin.uri("/")).body("1234567");
    for (request, content_type, body) in [
        (form, "content-type: application/x-www-form-urlencoded\r\n", "a=1&b=+"),
        (json, "content-type: application/json\r\n", "{\"a\":1}"),
        (bytes, "", "1234567"),
    ] {
        let whole = request.send().await.unwrap().text().await.unwrap();
        assert!(whole.contains(content_type) && whole.contains("content-length: 7\r\n"), "{whole}");
        assert_eq!(content(&whole), body);
    }
}

#[tokio::test]
async fn responses_are_json_up_to_a_limit() {
    let origin = Origin::responding("HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n{\"a\":1}").await;
    let client = client(Config::default());
    let value: Value = client.get(origin.uri("/")).send().await.unwrap().json().await.unwrap();
    assert_eq!(value, json!({ "a": 1 }));
    let error = client.get(origin.uri("/")).send().await.unwrap().json::<Vec<u8>>().await.unwrap_err();
    assert!(matches!(error, Error::Decode(_)), "{error}");
    assert_eq!(client.get(origin.uri("/")).limit(7).send().await.unwrap().bytes().await.unwrap().len(), 7);
    let error = client.get(origin.uri("/")).limit(6).send().await.unwrap().bytes().await.unwrap_err();
    assert!(error.is_too_large(), "{error}");
}

#[tokio::test]
async fn the_timeout_covers_the_head_and_the_body() {
    let client = client(Config::default());
    let silent = Origin::responding("").await;
    let error = client.get(silent.uri("/")).timeout(Duration::from_millis(50)).send().await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    let partial = Origin::responding("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx").await;
    let response = client.get(partial.uri("/")).timeout(Duration::from_millis(200)).send().await.unwrap();
    let error = response.bytes().await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
}

#[tokio::test]
async fn errors_are_of_a_kind_and_name_no_secrets() {
    let client = client(Config::default());
    let missing = Origin::responding("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
    let error = client.get(missing.uri("/")).send().await.unwrap().error_for_status().unwrap_err();
    assert!(error.is_status(), "{error}");
    for request in [
        client.get("http://user:secret@ho st/"),
        client.get("ftp://user:secret@host/"),
        client.get("http://host/").bearer("sec\nret"),
        client.get("http://host/").basic("us:er", "secret"),
    ] {
        let error = request.send().await.unwrap_err();
        assert!(error.is_request() && !error.to_string().contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn redirects_keep_credentials_and_bodies_to_themselves() {
    let other = echo().await;
    let to = other.uri("/end").to_string();
    let origin = Origin::scripted(move |_, mut connection| {
        let to = to.clone();
        async move {
            while let Some(head) = connection.head().await {
                let (status, location) = match head.split(' ').nth(1).unwrap() {
                    "/303" => (303, "/end"),
                    "/307" => (307, "/end"),
                    "/loop" => (302, "/loop"),
                    "/unix" => (302, "http://unix:/run/secret.sock"),
                    "/other" => (302, to.as_str()),
                    _ => (200, ""),
                };
                let body = if head.contains("content-length: 3\r\n") { connection.exactly(3).await } else { vec![] };
                let echoed = if status == 200 { head + &String::from_utf8(body).unwrap() } else { String::new() };
                let fields = format!("location: {location}\r\ncontent-length: {}", echoed.len());
                connection.send(format!("HTTP/1.1 {status} X\r\n{fields}\r\n\r\n{echoed}")).await;
            }
        }
    })
    .await;
    let client = client(Config::default());
    let post =
        |path| client.post(origin.uri(path)).form([("a", "1")]).bearer("secret").header("cookie", "c").redirects(3);
    let same = post("/303").send().await.unwrap();
    assert_eq!(same.url().path(), "/end");
    let same = same.text().await.unwrap();
    assert!(
        same.starts_with("GET /end ") && same.contains("Bearer secret") && !same.contains("content-type"),
        "{same}"
    );
    let kept = post("/307").send().await.unwrap().text().await.unwrap();
    assert!(kept.starts_with("POST /end ") && kept.ends_with("\r\n\r\na=1"), "{kept}");
    let foreign = post("/other").send().await.unwrap().text().await.unwrap();
    assert!(
        foreign.starts_with("GET /end ") && !foreign.contains("secret") && !foreign.contains("cookie"),
        "{foreign}"
    );
    for path in ["/loop", "/unix"] {
        assert!(matches!(post(path).send().await, Err(Error::Redirect(_))), "{path}");
    }
    assert_eq!(client.get(origin.uri("/loop")).send().await.unwrap().status(), 302);
}
