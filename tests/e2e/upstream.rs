//! `[upstream.NAME]`: several servers behind one name.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use dunlin_testkit::origin::Request;
use dunlin_testkit::{Origin, eventually, raw};

use crate::service::{Folder, Service, dunlin, free_addr, problem, refused};

const ROUTE: &str = "[[route]]\npath = \"/{*rest}\"\nproxy = \"http://app/\"\n";

/// A script that answers with a name.
fn name(name: &'static str) -> impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static {
    move |_| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len()).into_bytes()
}

/// A service with an upstream of these servers.
fn start(servers: &[String], keys: &str) -> Service {
    Service::start(&config(servers, keys))
}

fn config(servers: &[String], keys: &str) -> String {
    format!("[upstream.app]\nservers = {servers:?}\n{keys}\n{ROUTE}")
}

/// The number of log lines with both texts.
fn lines(service: &Service, one: &str, other: &str) -> usize {
    let is_meant = |line: &&str| line.contains(one) && line.contains(other) && !line.contains("\"access\"");
    service.log().lines().filter(is_meant).count()
}

fn metric(service: &Service, name: &str, label: &str) -> f64 {
    let page = raw::get(service.admin, "/metrics").text();
    let series = page.lines().filter(|line| line.starts_with(&format!("{name}{{")) && line.contains(label));
    series.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

#[test]
fn requests_are_spread_and_paths_are_joined() {
    let (a, b) = (Origin::start(name("a")), Origin::start(name("b")));
    let service = start(&[a.url(), b.url()], "balance = \"round-robin\"");
    for number in 0..10 {
        assert_eq!(service.get(&format!("/{number}")).status, 200);
    }
    assert_eq!((a.count(), b.count()), (5, 5));

    let echo = Origin::start(|request| {
        let text = format!("{} {}", request.target, request.header("host").unwrap_or_default());
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()).into_bytes()
    });
    let service = Service::start(&format!(
        "[upstream.app]\nservers = \"{}\"\n[[route]]\npath = \"/api/{{*rest}}\"\nproxy = \"http://app/base/\"\n",
        echo.url()
    ));
    assert_eq!(service.get("/api/x?y=1").text(), format!("/base/x?y=1 {}", echo.addr()));
}

#[test]
fn no_request_fails_while_a_server_is_away() {
    let (a, b) = (Origin::start(name("a")), Origin::start(name("b")));
    let service = start(&[a.url(), b.url()], "eject = { failures = 3, for = \"500ms\" }");
    let over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (addr, over) = (service.addr, over.clone());
            thread::spawn(move || {
                let mut seen = BTreeSet::new();
                while !over.load(Ordering::Relaxed) {
                    let response = raw::get(addr, "/");
                    assert_eq!(response.status, 200, "{}", response.text());
                    seen.insert(response.text());
                }
                seen
            })
        })
        .collect();
    eventually("both answer", || a.count() > 20 && b.count() > 20);
    let (addr, url) = (b.addr(), b.url());
    drop(b);
    let up = || metric(&service, "dunlin_upstream_server_up", &url);
    eventually("it is ejected", || up() < 1.0 && metric(&service, "dunlin_upstream_server_ejected", &url) > 0.0);
    let count = a.count();
    eventually("the other goes on", || a.count() > count + 50);
    let b = Origin::start_at(addr, name("b"));
    eventually("it is back", || b.count() > 20 && up() > 0.0);
    over.store(true, Ordering::Relaxed);
    for client in clients {
        assert_eq!(client.join().expect("every answer is 200"), ["a", "b"].map(str::to_owned).into());
    }
    eventually("it is logged", || lines(&service, &url, "is back") == 1);
    assert_eq!(lines(&service, &url, "ejected"), 1, "{}", service.log());
    assert_eq!(lines(&service, "upstream", &url), 2, "{}", service.log());
}

#[test]
fn requests_wait_while_no_server_is_up() {
    let addr = free_addr();
    let service = start(&[format!("http://{addr}")], "wait = \"30s\"");
    let (front, count) = (service.addr, 10);
    let waiting: Vec<_> =
        (0..count).map(|_| thread::spawn(move || raw::request(front, "POST", "/", &[], b"abc"))).collect();
    eventually("they wait", || metric(&service, "dunlin_upstream_waiting", "app") >= f64::from(count));
    assert!(metric(&service, "dunlin_upstream_server_up", "app") < 1.0);
    let origin = Origin::start_at(addr, name("back"));
    for response in waiting {
        let response = response.join().expect("a response");
        assert_eq!((response.status, response.text().as_str()), (200, "back"));
    }
    assert_eq!(origin.count(), count as usize);
    assert!(metric(&service, "dunlin_upstream_server_up", "app") > 0.0);
    eventually("it is logged", || lines(&service, "upstream app", "a server is up again") == 1);
    assert_eq!(lines(&service, "upstream app", "no server is up"), 1, "{}", service.log());

    drop(origin);
    let service = start(&[format!("http://{addr}")], "wait = \"200ms\"");
    let begun = Instant::now();
    let response = service.get("/");
    problem(&response, 503);
    assert!(response.header("retry-after").is_some());
    assert!(begun.elapsed() >= Duration::from_millis(200), "{:?}", begun.elapsed());
}

#[test]
fn a_key_keeps_its_server() {
    let (a, b) = (Origin::start(name("a")), Origin::start(name("b")));
    let service = start(&[a.url(), b.url()], "balance = \"hash\"\nhash = \"cookie.session\"");
    let of = |session: usize| service.get_with("/", &[("Cookie", &format!("x=1; session={session}"))]).text();
    let first: Vec<String> = (0..20).map(of).collect();
    assert_eq!((0..20).map(of).collect::<Vec<_>>(), first);
    assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), 2, "{first:?}");
    drop(b);
    for (session, name) in first.iter().enumerate() {
        assert_eq!(of(session), "a", "{session} was on {name}");
    }

    let c = Origin::start(name("c"));
    let service = start(&[a.url(), c.url()], "balance = \"hash\"\nhash = \"client\"");
    let names: BTreeSet<String> = (0..10).map(|_| service.get("/").text()).collect();
    assert_eq!(names.len(), 1, "{names:?}");
}

#[test]
fn unhealthy_servers_get_no_requests() {
    let is_ill = Arc::new(AtomicBool::new(false));
    let state = is_ill.clone();
    let a = Origin::start(name("a"));
    let b = Origin::start(move |request| match request.target.as_str() {
        "/healthz" if state.load(Ordering::Relaxed) => {
            b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".to_vec()
        }
        _ => b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb".to_vec(),
    });
    let health = "health = { path = \"/healthz\", interval = \"20ms\", timeout = \"5s\", healthy = 2, unhealthy = 2 }";
    let mut service = start(&[a.url(), b.url()], &format!("balance = \"round-robin\"\n{health}"));
    let names = || (0..6).map(|_| service.get("/").text()).collect::<String>();
    let up = || metric(&service, "dunlin_upstream_server_up", &b.url());
    assert!(names().contains('b'));
    is_ill.store(true, Ordering::Relaxed);
    eventually("it is unhealthy", || up() < 1.0);
    assert_eq!(names(), "aaaaaa");
    is_ill.store(false, Ordering::Relaxed);
    eventually("it is healthy again", || up() > 0.0);
    assert!(names().contains('b'));
    eventually("it is logged", || lines(&service, &b.url(), "is back") == 1);
    assert_eq!(lines(&service, &b.url(), "is unhealthy: status 503"), 1, "{}", service.log());
    // One checker for the process: far fewer checks than two loops would make.
    let (checks, begun) = (a.count(), Instant::now());
    thread::sleep(Duration::from_millis(400));
    let (made, limit) = (a.count() - checks, begun.elapsed().as_millis() / 20 + 2);
    assert!(made as u128 <= limit, "{made} checks in the time of {limit}");
    service.signal(libc::SIGTERM);
    assert_eq!(service.exit_code(), Some(0));
}

#[test]
fn errors_have_places_and_the_nearest_name() {
    #[track_caller]
    fn check(keys: &str, expect: &[&str]) {
        let folder = Folder::new(&format!("[upstream.app]\n{keys}\n{ROUTE}"));
        let out = dunlin(&["check"], &folder);
        refused(&out, expect);
    }
    let with = |keys: &str| format!("servers = \"http://127.0.0.1:1\"\n{keys}");
    check("", &["dunlin.toml:1:", "\"servers\" is missing"]);
    check("servers = []", &["dunlin.toml:2:11", "from 1 to 128"]);
    check("servers = [\"127.0.0.1:1\"]", &["dunlin.toml:2:12", "http://127.0.0.1:1"]);
    check("servers = [\"http://127.0.0.1:1/base\"]", &["dunlin.toml:2:12", "\"proxy\"", "http://127.0.0.1:1"]);
    check("servers = [\"http://a\", \"http://a:80\"]", &["dunlin.toml:2:11", "twice"]);
    check(&with("balence = \"hash\""), &["dunlin.toml:3:1", "balance"]);
    check(&with("balance = \"least_pending\""), &["dunlin.toml:3:11", "least-pending"]);
    check(&with("hash = \"path\""), &["dunlin.toml:3:8", "balance = \"hash\""]);
    check(&with("balance = \"hash\"\nhash = \"cookie\""), &["dunlin.toml:4:8", "cookie.NAME"]);
    check(&with("health = { interval = \"5s\" }"), &["dunlin.toml:3:10", "path"]);
    check(&with("health = { path = \"healthz\" }"), &["dunlin.toml:3:19", "/healthz"]);
    check(&with("health = { path = \"/\", timeot = \"5s\" }"), &["dunlin.toml:3:", "timeout"]);
    check(&with("eject = { failures = 0 }"), &["dunlin.toml:3:22", "one or more"]);
    check(&with("eject = true"), &["dunlin.toml:3:9", "false"]);
    check(&with("wait = 5"), &["dunlin.toml:3:8", "5s"]);
    check(&with("protocol = \"http/2\""), &["dunlin.toml:3:12", "http/1.1", "h2"]);
    check(&with("max_connections = 0"), &["dunlin.toml:3:19", "one or more"]);
}

#[test]
fn names_that_may_be_mistakes_are_warnings() {
    let mut config = String::from("[upstream.application]\nservers = \"http://127.0.0.1:1\"\n");
    let _ = write!(config, "[[route]]\npath = \"/{{*rest}}\"\nproxy = \"http://aplication/\"\n");
    let out = dunlin(&["check"], &Folder::new(&config));
    let message = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(0), "{message}");
    for part in ["dunlin.toml:5:9", "http://application/", "no route uses [upstream.application]"] {
        assert!(message.contains(part), "{part:?} is not in:\n{message}");
    }
    let config = config.replace("http://aplication/", "https://application/");
    let out = dunlin(&["check"], &Folder::new(&config));
    let message = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.code() == Some(2) && message.contains("http://application/"), "{message}");
}
