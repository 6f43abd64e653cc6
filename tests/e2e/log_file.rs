//! `[log] file`: made, moved away, opened again; its formats; what it leaves out.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use dunlin_testkit::{Origin, eventually, raw};

use crate::service::{Folder, Service, dunlin, refused};

const ROUTE: &str = "[[route]]\npath = \"/{*rest}\"\ntext = \"hello\"\n";

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[track_caller]
fn wait_for(path: &Path, text: &str) {
    eventually("the line is in the file", || read(path).contains(text));
}

#[test]
fn a_file_is_opened_again_by_usr1() {
    let service = Service::with("", &format!("[log]\nfile = \"logs/log.json\"\n{ROUTE}"), |folder| {
        folder.write("logs/log.json", "before\n");
    });
    let folder = service.folder().path().join("logs");
    let (file, moved) = (folder.join("log.json"), folder.join("log.json.1"));
    service.get("/one");
    wait_for(&file, "\"url.path\":\"/one\"");
    assert!(read(&file).starts_with("before\n{"), "it is appended to");
    assert_eq!(service.log(), "", "nothing is on standard error");

    std::fs::rename(&file, &moved).unwrap();
    service.get("/two");
    wait_for(&moved, "\"url.path\":\"/two\"");
    service.signal(libc::SIGUSR1);
    wait_for(&file, "opened again");
    service.get("/three");
    wait_for(&file, "\"url.path\":\"/three\"");
    assert!(!read(&moved).contains("/three"));
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640 & !umask(), "{mode:o}");
}

fn umask() -> u32 {
    // SAFETY: this changes the mask of the process only for a moment, to one that is stricter.
    let mask = unsafe { libc::umask(0o077) };
    // SAFETY: as above.
    unsafe { libc::umask(mask) };
    mask
}

#[test]
fn a_file_that_cannot_be_opened_again_stays_in_use() {
    let config = format!("[log]\nfile = \"logs/log.json\"\n{ROUTE}");
    let service = Service::with("", &config, |folder| folder.write("logs/log.json", ""));
    let logs = service.folder().path().join("logs");
    let moved = service.folder().path().join("moved");
    std::fs::rename(&logs, &moved).unwrap();
    service.signal(libc::SIGUSR1);
    let file = moved.join("log.json");
    wait_for(&file, "lines still go to the file that was opened before");
    service.get("/later");
    wait_for(&file, "\"url.path\":\"/later\"");
}

#[test]
fn a_file_that_cannot_be_opened_stops_the_start() {
    let folder = Folder::new(&format!("[log]\nfile = \"nowhere/log\"\n{ROUTE}"));
    let out = dunlin(&["serve"], &folder);
    refused(&out, &["dunlin.toml:2:", "there is no folder nowhere for the log"]);
    let folder = Folder::new(&format!("[log]\nfile = \"log\"\n{ROUTE}"));
    std::os::unix::fs::symlink("/proc/version/x", folder.path().join("log")).unwrap();
    let out = dunlin(&["serve"], &folder);
    let message = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{message}");
    assert!(message.contains("cannot open the log log: "), "{message}");
    let folder = Folder::new(&format!("[log]\nsample = 1.5\nfil = \"x\"\n{ROUTE}"));
    let out = dunlin(&["check"], &folder);
    refused(&out, &["dunlin.toml:2:", "a number from 0 to 1", "unknown key \"fil\"", "\"file\""]);
}

#[test]
fn combined_lines_stand_alone_in_their_file() {
    let config = format!("[log]\nfile = \"access.log\"\nformat = \"combined\"\nredact = [\"email\"]\n{ROUTE}");
    let service = Service::start(&config);
    let file = service.folder().path().join("access.log");
    let fields = [("User-Agent", "curl/8 \"x\""), ("Referer", "http://b/?email=a&c=d")];
    assert_eq!(raw::request(service.addr, "GET", "/a?email=hush&x=1", &fields, b"").status, 200);
    wait_for(&file, "curl/8");
    let text = read(&file);
    let (before, after) = text.split_once(" [").unwrap();
    assert_eq!(before, "127.0.0.1 - -");
    let (time, after) = after.split_once("] ").unwrap();
    assert_eq!((time.len(), time.get(20..)), (26, Some(" +0000")), "{time}");
    assert_eq!(
        after,
        "\"GET /a?email=REDACTED&x=1 HTTP/1.1\" 200 5 \"http://b/?email=REDACTED&c=d\" \"curl/8 \\x22x\\x22\"\n"
    );
    assert!(service.log().contains("serving"), "other lines are on standard error: {}", service.log());
}

/// A tool that reads nginx's lines reads these.
#[test]
fn goaccess_reads_every_line() {
    let version = std::process::Command::new("goaccess").arg("--version").output();
    if !version.is_ok_and(|out| out.status.success()) {
        eprintln!("not tested: there is no goaccess");
        return;
    }
    let service = Service::start(&format!("[log]\nfile = \"access.log\"\nformat = \"combined\"\n{ROUTE}"));
    let file = service.folder().path().join("access.log");
    for (method, target) in [("GET", "/a%20b?x=%22y%22"), ("POST", "/"), ("GET", "/last")] {
        let _ = raw::request(service.addr, method, target, &[("User-Agent", "Mozilla/5.0 \"q\" \u{e9}")], b"");
    }
    wait_for(&file, "/last");
    let mut goaccess = std::process::Command::new("goaccess");
    goaccess.arg(&file).args(["--log-format=COMBINED", "--no-global-config", "-o", "json"]);
    let out = goaccess.stdin(std::process::Stdio::null()).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let lines = read(&file).lines().count();
    assert_eq!(report["general"]["valid_requests"], lines, "{}", read(&file));
    assert_eq!((lines, &report["general"]["failed_requests"]), (3, &0.into()), "{}", read(&file));
}

#[test]
fn successful_requests_are_sampled_and_errors_are_not() {
    let config = "[log]\nfile = \"log\"\nsample = 0\n[[route]]\npath = \"/ok\"\ntext = \"x\"\n";
    let service = Service::start(config);
    let file = service.folder().path().join("log");
    for _ in 0..20 {
        service.get("/ok");
    }
    service.get("/missing");
    wait_for(&file, "\"url.path\":\"/missing\"");
    assert!(!read(&file).contains("/ok\""), "{}", read(&file));
}

#[test]
fn a_line_names_the_upstream_and_the_part_of_the_cache() {
    let origin =
        Origin::start(|_| b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\r\nhi".to_vec());
    let config = format!(
        "[log]\nfile = \"log\"\n[[route]]\npath = \"/{{*rest}}\"\nproxy = \"{}\"\ncache = true\n",
        origin.url()
    );
    let service = Service::with("request_id = true", &config, |_| ());
    let file = service.folder().path().join("log");
    service.get_with("/x?token=hush", &[("User-Agent", "one")]);
    service.get_with("/x?token=hush", &[("User-Agent", "two")]);
    wait_for(&file, "\"user_agent.original\":\"two\"");
    let text = read(&file);
    assert!(!text.contains("hush"), "{text}");
    let line = |agent: &str| -> serde_json::Value {
        let line = text.lines().find(|line| line.contains(&format!("original\":\"{agent}\""))).expect("a line");
        serde_json::from_str(line).expect("JSON")
    };
    let (miss, hit) = (line("one"), line("two"));
    assert_eq!((&miss["dunlin.cache.result"], &hit["dunlin.cache.result"]), (&"miss".into(), &"hit".into()), "{text}");
    assert_eq!(miss["dunlin.cache.reason"], "uri-miss");
    assert_eq!(miss["dunlin.upstream"], origin.url());
    assert!(hit.get("dunlin.upstream").is_none(), "{hit}");
    assert_eq!(miss["dunlin.request_id"].as_str().map(str::len), Some(32));
    assert_eq!(miss["server.address"], "localhost");
}
