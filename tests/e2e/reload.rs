//! The reload: what it exchanges, what goes on, and what a wrong file does.

use std::process::Output;

use dunlin_testkit::{Browser, Origin, eventually, raw};

use crate::service::{Service, dunlin};

/// Writes another configuration, with the same addresses.
pub(crate) fn rewrite(service: &Service, tables: &str) {
    let path = service.folder().path().join("dunlin.toml");
    let before = std::fs::read_to_string(&path).unwrap();
    let end = before.find("[admin]").map(|at| at + before[at..].find("\n[").unwrap_or(before.len() - at)).unwrap();
    // `[admin] listen` is the last line that stays.
    std::fs::write(&path, format!("{}\n{tables}", before[..end].trim_end())).unwrap();
}

pub(crate) fn reload(service: &Service) -> Output {
    dunlin(&["reload"], service.folder())
}

/// Takes another configuration.
#[track_caller]
pub(crate) fn take(service: &Service, tables: &str) -> String {
    rewrite(service, tables);
    let out = reload(service);
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(String::from_utf8_lossy(&out.stdout), "reloaded dunlin.toml\n");
    String::from_utf8(out.stderr).unwrap()
}

/// GET on a connection that stays open.
#[track_caller]
pub(crate) fn ask(connection: &mut raw::Connection, path: &str) -> raw::Response {
    connection.send_request("GET", path, &[("Host", "localhost")], b"");
    connection.read("GET").unwrap()
}

pub(crate) fn ok(text: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()).into_bytes()
}

pub(crate) fn text(path: &str, text: &str) -> String {
    format!("[[route]]\npath = \"{path}\"\ntext = \"{text}\"\n")
}

pub(crate) fn status(service: &Service) -> serde_json::Value {
    serde_json::from_slice(&raw::get(service.admin, "/status.json").body).unwrap()
}

#[test]
fn routes_come_go_and_change() {
    let service = Service::start(&[text("/stays", "one"), text("/goes", "gone"), text("/changes", "old")].concat());
    let mut kept = raw::Connection::open(service.addr);
    assert_eq!(ask(&mut kept, "/changes").text(), "old");
    take(&service, &[text("/changes", "new"), text("/comes", "here"), text("/stays", "one")].concat());
    for (path, expect) in [("/stays", "one"), ("/changes", "new"), ("/comes", "here")] {
        assert_eq!(ask(&mut kept, path).text(), expect, "on the connection that was there");
        assert_eq!(service.get(path).text(), expect);
    }
    assert_eq!((ask(&mut kept, "/goes").status, service.get("/goes").status), (404, 404));
    let totals = status(&service);
    let count = |path: &str| {
        let row = totals["routes"].as_array().unwrap().iter().find(|row| row["path"] == path);
        row.map(|row| row["answers"].as_u64().unwrap())
    };
    assert_eq!((count("/changes"), count("/goes")), (Some(3), None), "the counts of a route go on");
    assert_eq!(totals["reload"]["succeeded"], 1);
    assert_eq!(totals["reload"]["last"]["result"], "success");
}

#[test]
fn a_wrong_file_leaves_all_as_it_was_and_says_why() {
    let service = Service::start(&text("/", "good"));
    let wrong = [
        ("[[route]]\npath = \"/\"\ntxt = \"x\"\n", "\"text\""),
        ("[[route]]\npath = \"/{*p}\"\nfiles = \"no such folder\"\n", "no such folder"),
        ("[[route\n", "dunlin.toml:"),
        ("", "there is no route"),
        ("[log]\nfile = \"/proc/no/such\"\n[[route]]\npath = \"/\"\ntext = \"x\"\n", "/proc/no"),
    ];
    for (number, (tables, reason)) in wrong.into_iter().enumerate() {
        rewrite(&service, tables);
        let out = reload(&service);
        let message = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(2), "{message}");
        assert!(message.contains(reason) && message.contains("not reloaded"), "{reason}: {message}");
        assert_eq!(service.get("/").text(), "good");
        let status = status(&service);
        assert_eq!(status["reload"]["failed"], number + 1);
        assert!(status["reload"]["last"]["error"].as_str().unwrap().contains(reason), "{status}");
        eventually("it is in the log", || service.log().contains(&reason.replace('"', "\\\"")));
    }
    let metrics = raw::get(service.admin, "/metrics").text();
    assert!(metrics.contains("dunlin_reloads_total{result=\"failure\"} 5\n"), "{metrics}");
    assert!(metrics.contains("dunlin_reloads_total{result=\"success\"} 0\n"));
    take(&service, &text("/", "better"));
    assert_eq!(service.get("/").text(), "better");
    assert_eq!(status(&service)["reload"]["succeeded"], 1);
}

#[test]
fn the_service_is_found_by_a_file_that_is_wrong_elsewhere_or_not_at_all() {
    let service = Service::start(&text("/", "good"));
    let path = service.folder().path().join("dunlin.toml");
    let good = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{good}\n[[route]]\npath = 7\n")).unwrap();
    assert_eq!(reload(&service).status.code(), Some(2));
    for (tables, expect) in [
        (text("/", "x"), "has no [admin]"),
        (format!("[admin]\nlisten = \"127.0.0.1:1\"\n{}", text("/", "x")), "no service answers at"),
    ] {
        std::fs::write(&path, tables).unwrap();
        let out = reload(&service);
        let message = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(1), "{message}");
        assert!(message.contains(expect), "{message}");
    }
}

#[test]
fn a_signal_reloads_and_its_repeat_counts_once() {
    let service = Service::start(&text("/", "old"));
    rewrite(&service, &text("/", "new"));
    let begun = std::time::Instant::now();
    service.signal(libc::SIGHUP);
    eventually("it is counted", || status(&service)["reload"]["succeeded"] == 1);
    assert_eq!(service.get("/").text(), "new");
    service.signal(libc::SIGHUP);
    if begun.elapsed() > std::time::Duration::from_millis(900) {
        // The machine is too busy for a repeat within a second.
        return;
    }
    // A reload that is requested now would come after that of a second signal.
    assert_eq!(reload(&service).status.code(), Some(0));
    assert_eq!(status(&service)["reload"]["succeeded"], 2);
}

#[test]
fn reloads_that_are_requested_during_one_are_one() {
    let service = Service::start(&text("/", "x"));
    std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| assert_eq!(raw::request(service.admin, "POST", "/reload", &[], b"").status, 200));
        }
    });
    let reload = status(&service)["reload"]["succeeded"].as_u64().unwrap();
    assert!((1..=12).contains(&reload), "{reload}");
    assert_eq!(service.get("/").text(), "x");
}

#[test]
fn what_needs_a_restart_is_said() {
    let service = Service::start(&text("/", "x"));
    let path = service.folder().path().join("dunlin.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, config.replace("workers = 2", "workers = 3\nkeep_alive = \"9s\"\nmax_body = \"3MB\""))
        .unwrap();
    let out = reload(&service);
    let message = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(0), "{message}");
    for key in ["workers", "keep_alive"] {
        let warning = format!("warning: [server] {key} has changed, which takes effect at a restart");
        assert!(message.contains(&warning), "{message}");
        eventually("it is in the log", || service.log().contains(&format!("[server] {key} has changed")));
    }
    assert!(!message.contains("max_body"), "{message}");
    // It is still so at the next reload.
    assert!(String::from_utf8_lossy(&reload(&service).stderr).contains("[server] workers has changed"));
    // The default limit is 1 MiB.
    let large = vec![b'x'; 2 << 20];
    assert_eq!(raw::request(service.addr, "POST", "/", &[], &large).status, 405);
}

#[test]
fn a_change_of_the_files_is_a_reload_if_they_are_watched() {
    let service = Service::with("watch = true", &text("/", "one"), |_| ());
    let path = service.folder().path().join("dunlin.toml");
    // Files that are included count, even if they come later.
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("include = \"sites/*.toml\"\n{config}")).unwrap();
    eventually("it is taken", || status(&service)["reload"]["succeeded"] == 1);
    service.folder().write("sites/a.toml", text("/a", "included"));
    eventually("the new file is taken", || service.get("/a").text() == "included");
    service.folder().write("sites/a.toml", "[[route]]\npath = 7\n");
    eventually("a wrong file is not", || status(&service)["reload"]["failed"] == 1);
    assert_eq!(service.get("/a").text(), "included");
    std::fs::write(&path, config.replace("watch = true", "").replace("\"one\"", "\"two\"")).unwrap();
    eventually("the last change is taken", || service.get("/").text() == "two");
    let counts = status(&service)["reload"].clone();
    assert_eq!((counts["succeeded"].as_u64(), counts["failed"].as_u64()), (Some(3), Some(1)), "each once");
}

#[test]
fn the_status_page_shows_the_last_reload() {
    let service = Service::start(&text("/", "x"));
    let browser = Browser::start();
    let page = browser.open(&format!("http://{}/", service.admin));
    page.wait("document.getElementById('state').textContent === 'ready'");
    assert!(!page.text().contains("eloaded"), "{}", page.text());
    rewrite(&service, "[[route]]\npath = 7\n");
    assert_eq!(reload(&service).status.code(), Some(2));
    page.wait("document.getElementById('reload').className === 'bad'");
    let shown = page.text();
    assert!(shown.contains("The configuration was not reloaded") && shown.contains("dunlin.toml:"), "{shown}");
    take(&service, &text("/", "y"));
    page.wait("document.getElementById('reload').className === ''");
    assert!(page.text().contains("Reloaded "), "{}", page.text());
}

#[test]
fn a_request_and_a_tunnel_that_are_under_way_go_on() {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let origin = Origin::start(move |request| match &*request.target {
        "/slow" => {
            released.lock().unwrap().recv().unwrap();
            ok("late")
        }
        "/tunnel" => b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n".to_vec(),
        _ => ok("through the tunnel"),
    });
    let route = format!("[[route]]\npath = \"/{{*path}}\"\nproxy = \"http://{}/\"\n", origin.addr());
    let service = Service::start(&route);
    let mut tunnel = raw::Connection::open(service.addr);
    let fields = [("Connection", "upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")];
    tunnel.send_request("GET", "/tunnel", &fields, b"");
    assert_eq!(tunnel.read_head().unwrap().status, 101);
    let mut slow = raw::Connection::open(service.addr);
    slow.send_request("GET", "/slow", &[], b"");
    eventually("the request is at the origin", || origin.count() == 2);
    take(&service, &text("/other", "other"));
    assert_eq!(service.get("/slow").status, 404, "the route is gone");
    release.send(()).unwrap();
    let late = slow.read("GET").unwrap();
    assert_eq!((late.status, late.text()), (200, "late".to_owned()));
    assert_eq!(ask(&mut slow, "/other").text(), "other", "the connection goes on with the new routes");
    assert_eq!(ask(&mut tunnel, "/x").text(), "through the tunnel");
}

/// The configuration with other addresses to listen on.
pub(crate) fn listening(service: &Service, listen: &str) {
    let path = service.folder().path().join("dunlin.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    let line = config.lines().find(|line| line.starts_with("listen = ")).unwrap();
    std::fs::write(&path, config.replacen(line, &format!("listen = {listen}"), 1)).unwrap();
}

#[test]
fn listeners_come_and_go() {
    // Restrictions of the start do not know of the socket.
    let service = Service::with("restrict = false", &text("/", "here"), |_| ());
    let (other, socket) = (crate::service::free_addr(), service.folder().path().join("app.sock"));
    let mut kept = raw::Connection::open(service.addr);
    assert_eq!(ask(&mut kept, "/").status, 200);
    listening(
        &service,
        &format!("[\"{}\", \"{other}\", {{ address = \"unix:app.sock\", mode = \"0660\" }}]", service.addr),
    );
    let out = reload(&service);
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(raw::get(other, "/").text(), "here");
    assert!(std::os::unix::net::UnixStream::connect(&socket).is_ok());
    assert_eq!(ask(&mut kept, "/").text(), "here");
    assert_eq!(status(&service)["listen"].as_array().unwrap().len(), 3);

    // The first one goes. Its connections end with their next response, and idle ones at once.
    let mut busy = raw::Connection::open(service.addr);
    let mut idle = raw::Connection::open(service.addr);
    let mut elsewhere = raw::Connection::open(other);
    assert_eq!((ask(&mut idle, "/").status, ask(&mut elsewhere, "/").status), (200, 200));
    busy.send("GET / HTTP/1.1\r\nHost: ");
    listening(&service, &format!("\"{other}\""));
    assert_eq!(reload(&service).status.code(), Some(0));
    assert!(idle.closed() && kept.closed());
    eventually("nothing listens there", || std::net::TcpStream::connect(service.addr).is_err());
    busy.send("localhost\r\n\r\n");
    let last = busy.read("GET").unwrap();
    assert_eq!((last.status, last.header("connection")), (200, Some("close")));
    assert!(busy.closed());
    assert!(!socket.exists());
    let still = ask(&mut elsewhere, "/");
    assert_eq!((still.status, still.header("connection")), (200, None));
}

#[test]
fn an_address_that_cannot_be_bound_leaves_all_as_it_was() {
    let service = Service::start(&text("/", "old"));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (free, taken) = (crate::service::free_addr(), taken.local_addr().map(|addr| (taken, addr)).unwrap());
    rewrite(&service, &text("/", "new"));
    listening(&service, &format!("[\"{free}\", \"{}\"]", taken.1));
    let out = reload(&service);
    let message = String::from_utf8_lossy(&out.stderr);
    assert!(message.contains(&format!("cannot listen on {}", taken.1)), "{message}");
    assert_eq!(out.status.code(), Some(2));
    assert_eq!(service.get("/").text(), "old");
    assert!(std::net::TcpStream::connect(free).is_err(), "what was bound for it is closed");
    drop(taken);
    assert_eq!(reload(&service).status.code(), Some(0));
    assert_eq!(raw::get(free, "/").text(), "new");
}
