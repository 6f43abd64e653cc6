//! `files` routes.

use dunlin_testkit::raw::{self, Connection};

use crate::service::{Folder, Service, problem};

const ROUTE: &str = "[[route]]\npath = \"/static/{*path}\"\nfiles = \"public\"\ncache = \"1h\"\n";

fn prepare(folder: &Folder) {
    folder.write("secret.txt", "secret");
    folder.write("public/a.css", "a { color: red }");
    folder.write("public/digits.txt", "0123456789");
    folder.write("public/folder/index.html", "<p>index</p>");
    folder.write("public/.hidden", "hidden");
    std::os::unix::fs::symlink("../secret.txt", folder.path().join("public/link")).unwrap();
}

fn service() -> Service {
    Service::with("", ROUTE, prepare)
}

#[test]
fn a_file_has_type_validators_and_lifetime() {
    let service = service();
    let response = service.get("/static/a.css");
    assert_eq!((response.status, &*response.text()), (200, "a { color: red }"));
    assert!(response.header("content-type").unwrap().starts_with("text/css"));
    assert_eq!(response.header("accept-ranges"), Some("bytes"));
    assert!(response.header("cache-control").unwrap().contains("max-age=3600"));
    assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
    let etag = response.header("etag").unwrap();
    let modified = response.header("last-modified").unwrap();
    for fields in [[("If-None-Match", etag)], [("If-Modified-Since", modified)]] {
        let response = service.get_with("/static/a.css", &fields);
        assert_eq!((response.status, response.header("etag")), (304, Some(etag)));
    }
    assert_eq!(service.get_with("/static/a.css", &[("If-Match", "\"other\"")]).status, 412);
    let head = raw::request(service.addr, "HEAD", "/static/a.css", &[], b"");
    assert_eq!((head.status, head.header("content-length")), (200, Some("16")));
}

#[test]
fn ranges() {
    let service = service();
    let range = |range: &str| service.get_with("/static/digits.txt", &[("Range", range)]);
    let response = range("bytes=2-4");
    assert_eq!((response.status, &*response.text()), (206, "234"));
    assert_eq!(response.header("content-range"), Some("bytes 2-4/10"));
    assert_eq!(range("bytes=-3").text(), "789");
    assert_eq!(range("bytes=7-").text(), "789");
    let beyond = range("bytes=10-");
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some("bytes */10")));
    assert_eq!(range("lines=1-2").status, 200);
    assert_eq!(range("bytes=4-2").status, 200);
}

#[test]
fn folders_have_an_index_behind_a_slash() {
    let service = service();
    let response = service.get("/static/folder");
    assert!(matches!(response.status, 301 | 308), "{}", response.status);
    // RFC 9110 §10.2.2: relative to the request's own URL.
    assert_eq!(response.header("location"), Some("./folder/"));
    let response = service.get("/static/folder/");
    assert_eq!((response.status, &*response.text()), (200, "<p>index</p>"));
    problem(&service.get("/static/"), 404);
}

#[test]
fn there_is_no_way_out() {
    let service = service();
    for path in [
        "../secret.txt",
        "%2e%2e/secret.txt",
        "..%2fsecret.txt",
        "%2e%2e%2fsecret.txt",
        "%252e%252e/secret.txt",
        "folder/../../secret.txt",
        "..%5csecret.txt",
        "%c0%ae%c0%ae/secret.txt",
        "a.css%00.txt",
        "link",
        ".hidden",
        "/etc/passwd",
        "missing",
    ] {
        let response = service.get(&format!("/static/{path}"));
        assert_eq!(response.status, 404, "{path}: {}", response.text());
        assert!(!response.text().contains("secret") || path.contains("secret"), "{path}");
    }
}

#[test]
fn a_change_on_disk_is_seen() {
    let service = service();
    let old = service.get("/static/a.css");
    service.folder().write("public/a.css", "a { color: green }");
    dunlin_testkit::eventually("the change is seen", || service.get("/static/a.css").text() == "a { color: green }");
    assert_ne!(service.get("/static/a.css").header("etag"), old.header("etag"));
}

/// 640 MiB are on their way at once, and none of them waits in memory for its client.
#[cfg(target_os = "linux")]
#[test]
fn sixty_four_clients_of_a_large_file_take_little_memory() {
    const LEN: usize = 10 << 20;
    // One client after the other takes its answer; none is to be cut off for it.
    let patient = "write_timeout = \"10m\"\nmin_rate = 0";
    let service = Service::with(patient, ROUTE, |folder| folder.write("public/big.bin", vec![7; LEN]));
    service.get("/static/none");
    let idle = service.memory("VmRSS");
    let mut clients: Vec<_> = (0..64).map(|_| Connection::open(service.addr)).collect();
    for client in &mut clients {
        client.send_request("GET", "/static/big.bin", &[], b"");
    }
    for client in &mut clients {
        assert_eq!(client.read_head().unwrap().status, 200);
        client.read_exact(64 << 10).unwrap();
    }
    let rest = vec![7; LEN - (64 << 10)];
    for client in &mut clients {
        assert!(client.read_exact(rest.len()).unwrap() == rest);
    }
    let peak = service.memory("VmHWM");
    assert!(peak <= idle + (64 << 20), "{} MiB at most, {} MiB idle", peak >> 20, idle >> 20);
}
