//! A reload keeps what has the same settings, and nothing else.

use std::path::Path;

use dunlin_testkit::{Origin, eventually};

use crate::reload::{ok, reload, rewrite, take, text};
use crate::service::{Service, database_at};

/// The SHA-256 of `first`, `second` and `third`.
const FIRST: &str = "a7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e";
const SECOND: &str = "16367aacb67a4a017c8da8ab95682ccb390863780f7114dda0a0e0c55644c7c4";
const THIRD: &str = "b1e99324505bd32da0e1f85dcf5e19a09db0481e8a15f62c41eb320304a8e927";

#[track_caller]
fn assert_hit(service: &Service, path: &str) {
    let response = service.get(path);
    let status = response.header("cache-status").unwrap_or_default();
    assert!(status.contains("hit"), "{path}: {status}");
}

#[test]
fn a_stored_response_of_an_unchanged_route_is_kept_and_others_are_not() {
    let origin = Origin::start(|_| ok("from the origin"));
    let route = |path: &str, age: &str| {
        format!("[[route]]\npath = \"{path}\"\nproxy = \"http://{}\"\ncache = \"{age}\"\n", origin.addr())
    };
    let service = Service::start(&[route("/kept", "1h"), route("/other", "1h")].concat());
    for path in ["/kept", "/other"] {
        service.get(path);
        assert_hit(&service, path);
    }
    let calls = origin.count();
    take(&service, &[text("/more", "more"), route("/other", "2h"), route("/kept", "1h")].concat());
    assert_hit(&service, "/kept");
    assert_eq!(origin.count(), calls);
    service.get("/other");
    assert_eq!(origin.count(), calls + 1, "its settings have changed");
    assert_hit(&service, "/other");
}

#[test]
fn a_connection_of_an_unchanged_database_is_kept() {
    let database = database_at(&crate::database().url());
    let query = |path: &str, sql: &str| format!("[[route]]\npath = \"{path}\"\nquery = \"{sql}\"\nrows = \"one\"\n");
    let backend = query("/backend", "SELECT pg_backend_pid() AS pid");
    let service = Service::with("event_loop = \"shared\"", &format!("{database}shared = 1\n{backend}"), |_| ());
    let pid = |service: &Service| service.json("/backend")["pid"].as_i64().unwrap();
    let before = pid(&service);
    let more = query("/more", "SELECT 42 AS answer");
    take(&service, &format!("{database}shared = 1\n{more}{backend}"));
    assert_eq!(pid(&service), before);
    assert_eq!(service.json("/more")["answer"], 42, "a new statement runs on the connections that are there");
    take(&service, &format!("{database}shared = 1\napplication_name = \"other\"\n{backend}"));
    assert_ne!(pid(&service), before, "the settings of the database have changed");
    // A query that the database refuses is not taken.
    rewrite(&service, &format!("{database}shared = 1\n{}", query("/backend", "SELECT nothing FROM nowhere")));
    let out = reload(&service);
    assert_eq!(out.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&out.stderr).contains("nowhere"));
    pid(&service);
}

#[test]
fn users_and_limits_change() {
    let auth = |file: &str| format!("[auth.staff]\nkind = \"key\"\nkeys = \"{file}\"\n");
    let route = "[[route]]\npath = \"/\"\ntext = \"in\"\nauth = \"staff\"\n";
    let limited = |requests: u32| {
        format!("[[route]]\npath = \"/l\"\ntext = \"l\"\nrate_limit = {{ requests = {requests}, per = \"1h\" }}\n")
    };
    let service = Service::with("", &format!("{}{route}{}", auth("one"), limited(2)), |folder| {
        folder.write("one", format!("a:{}\n", FIRST));
        folder.write("two", format!("b:{}\n", SECOND));
    });
    let status = |key: &str| service.get_with("/", &[("X-Api-Key", key)]).status;
    assert_eq!((status("first"), status("second")), (200, 401));
    assert_eq!((service.get("/l").status, service.get("/l").status, service.get("/l").status), (200, 200, 429));
    take(&service, &format!("{}{route}{}", auth("two"), limited(2)));
    assert_eq!((status("first"), status("second")), (401, 200));
    assert_eq!(service.get("/l").status, 429, "the counts of an unchanged limit go on");
    service.folder().write("two", format!("b:{}\nc:{}\n", SECOND, THIRD));
    take(&service, &format!("{}{route}{}", auth("two"), limited(3)));
    assert_eq!(status("third"), 200, "a changed file is read at once");
    assert_eq!(service.get("/l").status, 200, "another limit begins anew");
}

#[test]
fn servers_of_an_upstream_change() {
    let [one, two] = ["one", "two"].map(|name| Origin::start(move |_| ok(name)));
    let config = |origin: &Origin| {
        let health = "health = { path = \"/health\", interval = \"20ms\" }\n";
        let upstream = format!("[upstream.app]\nservers = [\"http://{}\"]\n{health}", origin.addr());
        format!("{upstream}[[route]]\npath = \"/\"\nproxy = \"http://app/\"\n")
    };
    let service = Service::start(&config(&one));
    assert_eq!(service.get("/").text(), "one");
    take(&service, &config(&two));
    assert_eq!(service.get("/").text(), "two");
    let checked = two.count();
    eventually("the new server is checked", || two.count() > checked + 3);
    let ended = one.count();
    let checked = two.count();
    eventually("the new server is checked on", || two.count() > checked + 10);
    assert!(one.count() <= ended + 1, "the checks of the earlier one have ended");
}

#[test]
fn the_log_moves_to_another_file() {
    let log = |name: &str| format!("[log]\nfile = \"{name}\"\nformat = \"json\"\n{}", text("/{*rest}", "x"));
    let service = Service::start(&log("one.log"));
    let read = |name: &str| std::fs::read_to_string(service.folder().path().join(Path::new(name))).unwrap_or_default();
    service.get("/first");
    eventually("a line", || read("one.log").contains("/first"));
    take(&service, &log("two.log"));
    service.get("/second");
    eventually("a line in the other file", || read("two.log").contains("/second"));
    assert!(!read("one.log").contains("/second"));
}
