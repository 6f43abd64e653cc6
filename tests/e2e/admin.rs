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
