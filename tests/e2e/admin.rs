//! The admin listener.

use dunlin_testkit::{Postgres, eventually, raw};

use crate::service::Service;

#[test]
fn health_readiness_and_metrics() {
    let service = Service::start("[[route]]\npath = \"/\"\ntext = \"hello\"\n");
    assert_eq!(raw::get(service.admin, "/healthz").status, 200);
    assert_eq!(raw::get(service.admin, "/readyz").status, 200);
    for _ in 0..3 {
        service.get("/");
    }
    service.get("/nothing");
    let metrics = raw::get(service.admin, "/metrics");
    assert!(metrics.header("content-type").unwrap().starts_with("text/plain"));
    let text = metrics.text();
    assert!(text.lines().any(|line| line.starts_with("# TYPE")), "{text}");
    assert!(text.lines().any(|line| line.contains("route=\"/\"") && line.ends_with(" 3")), "{text}");
    let page = raw::get(service.admin, "/");
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    // It is never on the public listener.
    for path in ["/healthz", "/readyz", "/metrics", "/purge"] {
        assert_eq!(service.get(path).status, 404, "{path}");
    }
}

#[test]
fn readiness_says_why_not_and_heals() {
    let mut database = Postgres::start();
    database.stop();
    let service = Service::start(&format!(
        "[database]\nurl = \"{}\"\n[[route]]\npath = \"/one\"\nquery = \"SELECT 1 AS one\"\nrows = \"one\"\n[[route]]\npath = \"/\"\ntext = \"hello\"\n",
        database.url()
    ));
    let response = raw::get(service.admin, "/readyz");
    assert_eq!(response.status, 503);
    assert!(response.text().contains("database"), "{}", response.text());
    assert_eq!(raw::get(service.admin, "/healthz").status, 200);
    assert_eq!(service.get("/").status, 200);
    let response = service.get("/one");
    crate::service::problem(&response, 503);
    assert!(response.header("retry-after").is_some());
    database.restart();
    eventually("it heals", || service.get("/one").status == 200);
    eventually("it is ready", || raw::get(service.admin, "/readyz").status == 200);
}

#[test]
fn an_access_line_for_each_request() {
    let service = Service::start("[log]\nformat = \"json\"\n[[route]]\npath = \"/hello/{name}\"\ntext = \"hello\"\n");
    service.get("/hello/dunlin?a=b");
    eventually("the line is there", || service.log().contains("/hello/dunlin"));
    let log = service.log();
    let line = log.lines().find(|line| line.contains("/hello/dunlin")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
    let text = line.to_string();
    assert!(text.contains("\"GET\"") && text.contains("200"), "{text}");
}

#[test]
fn other_sites_and_other_names_are_refused() {
    let service = Service::with("", "[[route]]\npath = \"/\"\ntext = \"hello\"\n", |_| ());
    let host = service.admin.to_string();
    let own = format!("http://{host}");
    #[track_caller]
    fn check(service: &Service, request: &str, expect: u16) {
        let mut connection = raw::Connection::open(service.admin);
        connection.send(request);
        assert_eq!(connection.read("GET").unwrap().status, expect, "{request}");
    }
    let purge = |fields: &str| format!("POST /purge?all=true HTTP/1.1\r\nContent-Length: 0\r\n{fields}\r\n");
    check(&service, &purge(&format!("Host: {host}\r\n")), 200);
    check(&service, &purge("Host: localhost\r\n"), 200);
    check(&service, &purge("Host: [::1]:8081\r\n"), 200);
    check(&service, &purge(&format!("Host: {host}\r\nOrigin: {own}\r\nSec-Fetch-Site: same-origin\r\n")), 200);
    check(&service, &purge("Host: rebind.evil:8081\r\n"), 421);
    check(&service, &purge(&format!("Host: {host}\r\nOrigin: http://evil.example\r\n")), 403);
    check(&service, &purge(&format!("Host: {host}\r\nOrigin: null\r\n")), 403);
    check(&service, &purge(&format!("Host: {host}\r\nSec-Fetch-Site: none\r\nSec-Fetch-Site: cross-site\r\n")), 403);
    for page in ["/", "/metrics", "/status.json"] {
        check(&service, &format!("GET {page} HTTP/1.1\r\nHost: rebind.evil\r\n\r\n"), 421);
        check(&service, &format!("GET {page} HTTP/1.1\r\nHost: {host}\r\n\r\n"), 200);
        // Probes of load balancers have no Host.
        check(&service, &format!("GET {page} HTTP/1.0\r\n\r\n"), 200);
    }
    let page = raw::get(service.admin, "/");
    let policy = page.header("content-security-policy").unwrap();
    for part in ["frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
}

#[test]
fn an_admin_listener_needs_a_safe_address() {
    #[track_caller]
    fn check(config: &str, expect: Option<&[&str]>) {
        let route = "[[route]]\npath = \"/\"\ntext = \"x\"\n";
        let out = crate::service::dunlin(&["check"], &crate::service::Folder::new(&format!("{config}{route}")));
        let message = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.success(), expect.is_none(), "{config}: {message}");
        for part in expect.unwrap_or_default() {
            assert!(message.contains(part), "{part:?} is not in:\n{message}");
        }
    }
    let reachable = Some(&["dunlin.toml:2:10", "no authentication", "public = true"][..]);
    check("[admin]\nlisten = \"0.0.0.0:8081\"\n", reachable);
    check("[admin]\nlisten = \"[::]:8081\"\n", reachable);
    check("[admin]\nlisten = \"203.0.113.9:8081\"\n", reachable);
    check("[admin]\nlisten = \"0.0.0.0:8081\"\npublic = true\n", None);
    for private in ["127.0.0.1:8081", "[::1]:8081", "10.1.2.3:8081", "unix:admin.sock"] {
        check(&format!("[admin]\nlisten = \"{private}\"\n"), None);
    }
    let same = Some(&["dunlin.toml:4:10", "an address of [server], too"][..]);
    check("[server]\nlisten = \"127.0.0.1:9\"\n[admin]\nlisten = \"127.0.0.1:9\"\n", same);
    check("[server]\nlisten = \"0.0.0.0:9\"\n[admin]\nlisten = \"127.0.0.1:9\"\n", same);
    check("[server]\nlisten = \"unix:a\"\n[admin]\nlisten = \"unix:a\"\n", same);
    check("[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n", None);
}

#[test]
fn a_purge_says_how_much_it_removed() {
    let service = Service::start(
        "[[route]]\npath = \"/{name}\"\ntext = \"hello\"\ncache = { age = \"1h\", groups = [\"hellos\"] }\n\
         [[route]]\npath = \"/other/{name}\"\ntext = \"other\"\ncache = \"1h\"\n",
    );
    for target in ["/a", "/b", "/c?d", "/other/a", "/other/b"] {
        service.get(target);
    }
    let purge = |query: &str| {
        let response = raw::request(service.admin, "POST", &format!("/purge?{query}"), &[], b"");
        let document: serde_json::Value = serde_json::from_slice(&response.body).expect("JSON");
        (response.status, document["removed"].as_u64())
    };
    assert_eq!(purge("group=nothing"), (200, Some(0)));
    assert_eq!(purge("url=http://localhost/a"), (200, Some(1)));
    assert_eq!(purge("url=http://localhost/a"), (200, Some(0)));
    assert_eq!(purge("group=hellos"), (200, Some(2)));
    assert_eq!(purge("all=true"), (200, Some(2)));
    let page = raw::get(service.admin, "/").text();
    assert!(page.contains("confirm("), "purge-all asks first");
}
