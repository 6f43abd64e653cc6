//! `allow`, `deny`, `rate_limit`, `cors`, `request_headers` and `request_id`.

use dunlin_testkit::{Origin, raw};

use crate::service::{Folder, Service, dunlin, problem, refused};

/// A proxy that may name clients.
const TRUSTED: &str = "trusted_proxies = [\"127.0.0.1\"]";

fn from(client: &str) -> [(&str, &str); 1] {
    [("X-Forwarded-For", client)]
}

#[test]
fn networks_decide_who_is_admitted() {
    let config = "[defaults]\ndeny = [\"203.0.113.0/24\"]\n\
        [[route]]\npath = \"/\"\ntext = \"x\"\n\
        [[route]]\npath = \"/office\"\ntext = \"x\"\nallow = [\"192.0.2.0/24\", \"2001:db8::/32\"]\n";
    let service = Service::with(TRUSTED, config, |_| ());
    for (target, client, status) in [
        ("/", "198.51.100.1", 200),
        ("/", "203.0.113.9", 403),
        ("/office", "192.0.2.7", 200),
        ("/office", "2001:db8::1", 200),
        ("/office", "198.51.100.1", 403),
    ] {
        let response = service.get_with(target, &from(client));
        assert_eq!(response.status, status, "{target} {client}");
        if status == 403 {
            problem(&response, 403);
        }
    }
}

#[test]
fn a_client_over_its_limit_waits() {
    let config = "[[route]]\npath = \"/login\"\ntext = \"x\"\nrate_limit = { requests = 1, per = \"1h\", burst = 2 }\n\
        [[route]]\npath = \"/key\"\ntext = \"x\"\n\
        rate_limit = { requests = 1, per = \"1h\", key = \"header.X-Key\" }\n\
        [[route]]\npath = \"/dry\"\ntext = \"x\"\nrate_limit = { requests = 1, per = \"1h\", dry_run = true }\n";
    let service = Service::with(TRUSTED, config, |_| ());
    let statuses = |target: &str, fields: &[(&str, &str)]| -> Vec<u16> {
        (0..3).map(|_| service.get_with(target, fields).status).collect()
    };
    // Both event loops count together.
    assert_eq!(statuses("/login", &from("192.0.2.1")), [200, 200, 429]);
    assert_eq!(statuses("/login", &from("192.0.2.2")), [200, 200, 429]);
    assert_eq!(statuses("/login", &from("2001:db8::1")), [200, 200, 429]);
    // One client has all of its /64 network.
    assert_eq!(statuses("/login", &from("2001:db8::2")), [429, 429, 429]);
    let refused = service.get_with("/login", &from("192.0.2.1"));
    problem(&refused, 429);
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((3500..=3600).contains(&wait), "{wait}");
    assert_eq!(statuses("/key", &[("X-Key", "a")]), [200, 429, 429]);
    assert_eq!(statuses("/key", &[("X-Key", "b")]), [200, 429, 429]);
    assert_eq!(statuses("/dry", &[]), [200, 200, 200]);
    let metrics = raw::get(service.admin, "/metrics").text();
    for (route, count) in [("/login", 7), ("/key", 4), ("/dry", 2)] {
        let line = format!("\ndunlin_rate_limit_refused_total{{route=\"{route}\",method=\"GET\"}} {count}\n");
        assert!(metrics.contains(&line), "{line} is not in\n{metrics}");
    }
}

#[test]
fn cross_origin_requests() {
    let origin = Origin::start(|request| {
        assert_ne!(request.method, "OPTIONS");
        b"HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: https://upstream\r\nAccess-Control-Max-Age: 5\r\nVary: Accept\r\nCache-Control: max-age=60\r\n\
          Content-Length: 2\r\n\r\nup"
            .to_vec()
    });
    let config = format!(
        "[[route]]\npath = \"/any\"\ntext = \"x\"\ncors = true\n\
         [[route]]\npath = \"/app\"\nmethod = [\"GET\", \"DELETE\"]\nproxy = \"{}\"\ncache = true\n\
         cors = {{ origins = [\"https://a.example\", \"https://b.example\"], methods = [\"GET\", \"DELETE\"], \
         headers = [\"X-One\"], expose = [\"X-Two\"], credentials = true, max_age = \"10m\" }}\n\
         [[route]]\npath = \"/none\"\ntext = \"x\"\n",
        origin.url()
    );
    let service = Service::start(&config);
    let preflight = |target: &str, from: &str| {
        let fields =
            [("Origin", from), ("Access-Control-Request-Method", "GET"), ("Access-Control-Request-Headers", "x-one")];
        raw::request(service.addr, "OPTIONS", target, &fields, b"")
    };
    let any = preflight("/any", "https://x.example");
    assert_eq!((any.status, any.header("access-control-allow-origin")), (204, Some("*")));
    assert_eq!(any.header("access-control-allow-methods"), Some("GET"));
    assert_eq!(any.header("access-control-allow-headers"), Some("x-one"));
    assert_eq!(any.header("access-control-allow-credentials"), None);
    let app = preflight("/app", "https://b.example");
    assert_eq!((app.status, app.header("access-control-allow-origin")), (204, Some("https://b.example")));
    assert_eq!(app.header("access-control-allow-methods"), Some("GET, DELETE"));
    assert_eq!(app.header("access-control-allow-headers"), Some("x-one"));
    assert_eq!(app.header("access-control-allow-credentials"), Some("true"));
    assert_eq!(app.header("access-control-max-age"), Some("600"));
    assert!(app.header("vary").unwrap().contains("origin"));
    let foreign = preflight("/app", "https://evil.example");
    assert_eq!((foreign.status, foreign.header("access-control-allow-origin")), (204, None));
    assert_eq!(foreign.header("access-control-allow-methods"), None);
    let none = preflight("/none", "https://a.example");
    assert_eq!((none.status, none.header("access-control-allow-origin")), (204, None));
    assert_eq!(none.header("allow"), Some("GET, HEAD, OPTIONS"), "this is a usual OPTIONS request");
    // A stored response serves each origin with its own fields.
    for from in ["https://a.example", "https://b.example", "https://evil.example"] {
        let response = service.get_with("/app", &[("Origin", from)]);
        let allowed = response.header("access-control-allow-origin");
        assert_eq!(allowed, Some(from).filter(|from| !from.contains("evil")));
        let vary: Vec<&str> = response.headers.iter().filter(|(name, _)| name == "vary").map(|(_, v)| &**v).collect();
        let vary = vary.join(",").to_lowercase();
        assert!(vary.contains("origin") && vary.contains("accept"), "{vary}");
        assert_eq!(response.header("access-control-expose-headers"), allowed.map(|_| "x-two"));
    }
    assert_eq!(origin.count(), 1, "the cache answered");
    assert_eq!(service.get("/any").header("access-control-allow-origin"), Some("*"));
}

#[test]
fn request_fields_and_identifiers() {
    let origin = Origin::start(|request| {
        let shown: Vec<String> = request.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        let body = shown.concat();
        format!("HTTP/1.1 200 OK\r\nX-Request-Id: upstream\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            .into_bytes()
    });
    let config = format!(
        "[[route]]\npath = \"/{{name}}\"\nproxy = \"{}\"\nrequest_headers = {{ X-Key = \"secret\", Cookie = false, \
         X-Facts = \"{{client_ip}} {{scheme}} {{host}} {{path.name}} {{request_id}}\" }}\n",
        origin.url()
    );
    let service = Service::with(&format!("request_id = true\n{TRUSTED}"), &config, |_| ());
    let fields = [("Cookie", "a=b"), ("X-Key", "forged"), ("X-Request-Id", "abc"), ("X-Forwarded-For", "192.0.2.1")];
    let response = service.get_with("/item", &fields);
    let seen = response.text();
    assert!(seen.contains("x-key: secret\n") && !seen.contains("forged") && !seen.contains("cookie"), "{seen}");
    assert!(seen.contains("x-facts: 192.0.2.1 http localhost item abc\n"), "{seen}");
    assert!(seen.contains("x-request-id: abc\n"), "{seen}");
    let ids: Vec<&str> =
        response.headers.iter().filter(|(name, _)| name == "x-request-id").map(|(_, v)| &**v).collect();
    assert_eq!(ids, ["abc"]);
    let made = service.get("/item").header("x-request-id").unwrap().to_owned();
    assert_eq!(made.len(), 32);
    dunlin_testkit::eventually("the access lines", || service.log().contains(&made) && service.log().contains("abc"));
}

#[test]
fn wrong_conditions_are_found_before_the_start() {
    #[track_caller]
    fn check(keys: &str, expect: &[&str]) {
        let out = dunlin(&["check"], &Folder::new(&format!("[[route]]\npath = \"/\"\ntext = \"x\"\n{keys}\n")));
        refused(&out, expect);
    }
    check("allow = \"10.0.0.0/33\"", &["dunlin.toml:4:9", "10.0.0.0/8"]);
    check("rate_limit = 5", &["dunlin.toml:4:14", "requests = 10"]);
    check("rate_limit = { requests = 0 }", &["dunlin.toml:4:14"]);
    check("rate_limit = { request = 1 }", &["dunlin.toml:4:16", "did you mean \"requests\""]);
    check("rate_limit = { requests = 1, key = \"ip\" }", &["dunlin.toml:4:36", "header.NAME"]);
    check("cors = 1", &["dunlin.toml:4:8", "an origin"]);
    check("cors = \"example.com\"", &["dunlin.toml:4:8", "https://app.example.com"]);
    check("cors = \"https://a.example/\"", &["dunlin.toml:4:8", "did you mean \"https://a.example\""]);
    check("cors = { credentials = true }", &["dunlin.toml:4:24", "any origin"]);
    check("cors = { origins = [\"*\"], credentials = true }", &["any origin"]);
    check("cors = { origin = \"*\" }", &["dunlin.toml:4:10", "did you mean \"origins\""]);
    check("request_headers = { Host = \"a\" }", &["dunlin.toml:4:21", "preserve_host"]);
    check("require = { role = \"admin\" }", &["dunlin.toml:4:11", "auth"]);
    check(
        "auth = \"stuff\"\n[auth.staff]\nkind = \"key\"\nkeys = \"dunlin.toml\"",
        &["dunlin.toml:4:8", "did you mean \"staff\""],
    );
}
