//! The response cache.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use dunlin_testkit::{Origin, eventually, raw};

use crate::database;
use crate::service::{Service, database_at};

fn ok(fields: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len()).into()
}

#[test]
fn a_fresh_response_is_stored_as_its_origin_allows() {
    let origin = Origin::start(|request| match &*request.target {
        "/private" => ok("Cache-Control: private, max-age=60\r\n", "private"),
        "/cookie" => ok("Cache-Control: max-age=60\r\nSet-Cookie: a=b\r\n", "cookie"),
        _ => ok("Cache-Control: max-age=60\r\nContent-Type: text/plain\r\n", "kept"),
    });
    let service =
        Service::start(&format!("[[route]]\npath = \"/{{*rest}}\"\nproxy = \"{}\"\ncache = true\n", origin.url()));
    let first = service.get("/a");
    assert!(first.header("cache-status").unwrap().contains("fwd="), "{first:?}");
    let second = service.get("/a");
    assert_eq!((second.status, &*second.text(), origin.count()), (200, "kept", 1));
    assert!(second.header("age").is_some());
    assert!(second.header("cache-status").unwrap().contains("hit"), "{second:?}");
    // The client may bypass it.
    assert_eq!(service.get_with("/a", &[("Cache-Control", "no-cache")]).status, 200);
    assert_eq!(origin.count(), 2);
    for path in ["/private", "/cookie"] {
        let before = origin.count();
        service.get(path);
        service.get(path);
        assert_eq!(origin.count(), before + 2, "{path} is of one client alone");
    }
    let before = origin.count();
    service.get_with("/auth", &[("Authorization", "Basic x")]);
    service.get_with("/auth", &[("Authorization", "Basic x")]);
    assert_eq!(origin.count(), before + 2);
}

#[test]
fn what_comes_after_the_body_is_kept_with_it() {
    let origin = Origin::start(|_| {
        let fields = "Cache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\nTrailer: Digest\r\n";
        format!("HTTP/1.1 200 OK\r\n{fields}\r\n4\r\nkept\r\n0\r\nDigest: x\r\n\r\n").into()
    });
    let service = Service::start(&format!("[[route]]\npath = \"/\"\nproxy = \"{}\"\ncache = true\n", origin.url()));
    for hit in [false, true] {
        let mut client = TcpStream::connect(service.addr).unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE, close\r\n\r\n").unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer.contains("dunlin; hit"), hit, "{answer}");
        assert!(answer.ends_with("4\r\nkept\r\n0\r\ndigest: x\r\n\r\n"), "{answer}");
    }
    assert_eq!(origin.count(), 1);
}

#[test]
fn answers_that_vary_are_kept_apart() {
    let origin = Origin::start(|request| {
        ok(
            "Cache-Control: max-age=60\r\nVary: Accept-Language\r\n",
            request.header("accept-language").unwrap_or("none"),
        )
    });
    let service = Service::start(&format!("[[route]]\npath = \"/\"\nproxy = \"{}\"\ncache = true\n", origin.url()));
    for _ in 0..2 {
        for language in ["de", "en"] {
            assert_eq!(service.get_with("/", &[("Accept-Language", language)]).text(), language);
        }
    }
    assert_eq!(origin.count(), 2);
}

#[test]
fn a_thousand_at_once_are_one_request_upstream() {
    let origin = Origin::start(|_| {
        thread::sleep(Duration::from_millis(300));
        ok("Cache-Control: max-age=60\r\n", "once")
    });
    let service = Service::start(&format!("[[route]]\npath = \"/\"\nproxy = \"{}\"\ncache = true\n", origin.url()));
    let right = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..50)
        .map(|_| {
            let (addr, right) = (service.addr, Arc::clone(&right));
            thread::spawn(move || {
                let mut connections: Vec<_> = (0..20).map(|_| raw::Connection::open(addr)).collect();
                connections.iter_mut().for_each(|connection| connection.send_request("GET", "/", &[], b""));
                let good = connections.iter_mut().filter_map(|connection| connection.read("GET").ok());
                right.fetch_add(good.filter(|response| response.text() == "once").count(), Ordering::Relaxed);
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    assert_eq!((right.load(Ordering::Relaxed), origin.count()), (1000, 1));
}

#[test]
fn a_query_kept_for_an_hour_is_never_stale() {
    database().psql(
        "CREATE TABLE c_users (id bigint PRIMARY KEY, name text); INSERT INTO c_users VALUES (1, 'Ada');
         CREATE FUNCTION c_notify() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_notify('dunlin_c', 'c_users'); RETURN NULL; END $$;
         CREATE TRIGGER c_notify AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON c_users EXECUTE FUNCTION c_notify()",
    );
    let service = Service::start(&format!(
        r#"{}
[cache]
notify = "dunlin_c"
[[route]]
path = "/users/{{id}}"
query = "SELECT * FROM c_users WHERE id = $1"
params = ["id"]
rows = "one"
cache = {{ age = "1h", groups = ["c_users"] }}
[[route]]
path = "/users/{{id}}"
method = "PUT"
query = "UPDATE c_users SET name = $2 WHERE id = $1 RETURNING *"
params = ["id", "body.name"]
rows = "one"
invalidates = ["c_users"]
"#,
        database_at(&database().url())
    ));
    assert_eq!(service.json("/users/1")["name"], "Ada");
    let hit = |response: &raw::Response| response.header("cache-status").is_some_and(|status| status.contains("hit"));
    eventually("notices arrive, so that it is stored", || hit(&service.get("/users/1")));
    let hit_too = service.get("/users/1?utm_source=x");
    assert!(hit(&hit_too), "only declared parameters are in the key: {hit_too:?}");
    let hit = hit_too;
    // Browsers keep it only to ask again.
    assert!(hit.header("cache-control").unwrap().contains("max-age=0"), "{hit:?}");
    let etag = hit.header("etag").expect("an ETag");
    assert_eq!(service.get_with("/users/1", &[("If-None-Match", etag)]).status, 304);
    // Changed through the service: the next answer is new.
    assert_eq!(service.send("PUT", "/users/1", r#"{"name": "Grace"}"#).status, 200);
    assert_eq!(service.json("/users/1")["name"], "Grace");
    // Changed behind its back: as soon as the notice has come.
    database().psql("UPDATE c_users SET name = 'Edsger'");
    eventually("the notice comes", || service.json("/users/1")["name"] == "Edsger");
}

#[test]
fn what_is_purged_is_gone() {
    let origin = Origin::start(|_| ok("Cache-Control: max-age=60\r\n", "kept"));
    let service =
        Service::start(&format!("[[route]]\npath = \"/{{*rest}}\"\nproxy = \"{}\"\ncache = true\n", origin.url()));
    service.get("/a");
    service.get("/a");
    assert_eq!(origin.count(), 1);
    let purged = raw::request(service.admin, "POST", "/purge?all=true", &[], b"");
    assert!(purged.status < 300, "{} {}", purged.status, purged.text());
    service.get("/a");
    assert_eq!(origin.count(), 2);
}
