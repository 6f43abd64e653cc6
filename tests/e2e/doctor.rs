//! `dunlin doctor`, on a dunlin and on servers that do less.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::service::{Folder, Service, dunlin};

/// The findings of `dunlin doctor URL --json`.
fn findings(args: &[&str]) -> (Value, Vec<(String, String)>) {
    let folder = Folder::new("");
    let out = dunlin(&[&["doctor", "--json"], args].concat(), &folder);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let report: Value = serde_json::from_slice(&out.stdout).unwrap();
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let grades = report["findings"].as_array().unwrap().iter();
    let grades = grades.map(|finding| (text(finding, "tip"), text(finding, "grade"))).collect();
    (report, grades)
}

#[track_caller]
fn expect(grades: &[(String, String)], expected: &[(&str, &str)], report: &Value) {
    for (tip, grade) in expected {
        let found = grades.iter().find(|(known, _)| known == tip).map(|(_, grade)| &**grade);
        assert_eq!(found, Some(*grade), "{tip}: {report:#}");
    }
}

#[test]
fn a_dunlin_follows_the_tips() {
    let page = "<html><link rel=stylesheet href=\"assets/app.3f2a.css\"><p>Hello, World!</p></html>".repeat(60);
    let style = "a { color: red; margin: 0 }\n".repeat(200);
    let mut pem = String::new();
    let config = "[server.tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n\
        [[route]]\npath = \"/{*path}\"\nfiles = \"public\"\nimmutable = [\"assets\"]\n";
    let service = Service::with("", config, |folder: &Folder| {
        let pair = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        pem = pair.cert.pem();
        std::fs::write(folder.path().join("cert.pem"), &pem).unwrap();
        std::fs::write(folder.path().join("key.pem"), pair.signing_key.serialize_pem()).unwrap();
        std::fs::create_dir_all(folder.path().join("public/assets")).unwrap();
        std::fs::write(folder.path().join("public/index.html"), &page).unwrap();
        std::fs::write(folder.path().join("public/assets/app.3f2a.css"), &style).unwrap();
    });
    let trusted = service.folder().path().join("cert.pem");
    let url = format!("https://localhost:{}/", service.addr.port());
    let (report, grades) = findings(&[&url, "--ca-file", trusted.to_str().unwrap()]);
    let good = [
        "redirects",
        "http version",
        "keep-alive",
        "tls version",
        "tls resumption",
        "first byte",
        "compression",
        "codings",
        "vary",
        "files encoded",
        "validators",
        "page lifetime",
        "files lifetime",
    ];
    expect(&grades, &good.map(|tip| (tip, "good")), &report);
    assert!(report["requests"].as_u64().unwrap() <= 40);
    assert!(!service.log().contains("ERROR"));
}

#[test]
fn a_server_that_follows_no_tip_gets_remedies() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (sender, agents) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let lines = BufReader::new(socket.try_clone().unwrap()).lines().map_while(Result::ok);
            let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let _ = sender.send(head.iter().find(|line| line.starts_with("user-agent")).cloned());
            let page = "<p>Hello, World!</p>".repeat(500);
            let _ = write!(
                socket,
                "HTTP/1.0 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{page}",
                page.len()
            );
        }
    });
    let (report, grades) = findings(&[&url]);
    let poor = ["http version", "keep-alive", "compression", "validators", "page lifetime"];
    expect(&grades, &poor.map(|tip| (tip, "improve")), &report);
    let named = agents.try_iter().flatten().next().unwrap();
    assert!(named.starts_with("user-agent: dunlin-doctor/"), "{named}");
    let out = dunlin(&["doctor", &url], &Folder::new(""));
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(text.contains("With dunlin: ") && text.lines().all(|line| line.chars().count() <= 100), "{text}");
}

#[test]
fn an_nginx_is_examined() {
    let Some(nginx) =
        ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/bin/nginx"].into_iter().find(|path| Path::new(path).exists())
    else {
        eprintln!("nginx is not installed, so this test is left out: apt-get install nginx");
        return;
    };
    let folder = Folder::new("");
    let root = folder.path();
    let port = dunlin_testkit::free_port();
    std::fs::create_dir(root.join("html")).unwrap();
    std::fs::write(root.join("html/index.html"), "<p>Hello, World!</p>".repeat(500)).unwrap();
    let config = format!(
        "daemon off; master_process off; pid {0}/pid; error_log {0}/error; events {{}}\n\
         http {{ access_log off; client_body_temp_path {0}/t; proxy_temp_path {0}/t; fastcgi_temp_path {0}/t;\n\
         uwsgi_temp_path {0}/t; scgi_temp_path {0}/t; types {{ text/html html; }} gzip on;\n\
         server {{ listen 127.0.0.1:{port}; root {0}/html; }} }}\n",
        root.display()
    );
    std::fs::write(root.join("nginx.conf"), config).unwrap();
    let mut child = Command::new(nginx).arg("-c").arg(root.join("nginx.conf")).spawn().unwrap();
    dunlin_testkit::eventually("nginx listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    let (report, grades) = findings(&[&format!("http://127.0.0.1:{port}/")]);
    child.kill().unwrap();
    child.wait().unwrap();
    let expected =
        [("keep-alive", "good"), ("validators", "good"), ("codings", "improve"), ("page lifetime", "improve")];
    expect(&grades, &expected, &report);
}

#[test]
fn a_site_that_is_not_there_is_one_line() {
    let port = dunlin_testkit::free_port();
    for (url, says) in [(format!("http://127.0.0.1:{port}/"), "cannot connect"), ("ftp://a/".into(), "not an http")] {
        let out = dunlin(&["doctor", &url], &Folder::new(""));
        let message = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(1));
        assert!(message.contains(says) && message.trim().lines().count() == 1, "{message}");
    }
}
