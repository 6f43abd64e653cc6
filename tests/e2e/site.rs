//! The example of a whole site, `apps/dunlin/examples/site`.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use dunlin_testkit::{Origin, eventually, raw};

use crate::service::{executable, free_addr, problem};

/// The running example.
struct Site {
    child: Child,
    addr: std::net::SocketAddr,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../apps/dunlin/examples/site")
}

impl Site {
    fn start(app: &Origin) -> Self {
        let addr = free_addr();
        let mut command = Command::new(executable());
        command.arg("serve").current_dir(folder()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.env_remove("DATABASE_URL").env("LISTEN", addr.to_string()).env("APP", app.url());
        let mut site = Self { child: command.spawn().expect("dunlin starts"), addr };
        eventually("the site answers", || {
            assert!(site.child.try_wait().expect("ask").is_none(), "it ended");
            std::net::TcpStream::connect(addr).is_ok()
        });
        site
    }

    fn send(&self, method: &str, url: &str, fields: &[(&str, &str)]) -> raw::Response {
        let (host, path) = url.split_at(url.find('/').unwrap());
        raw::request(self.addr, method, path, &[&[("Host", host)], fields].concat(), b"")
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_example_of_a_site_does_its_job() {
    let app = Origin::start(|request| {
        let user = request.headers.iter().find(|(name, _)| name == "x-user").map_or("", |(_, value)| value);
        let body = format!("{} {} {user}", request.method, request.target);
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    });
    let site = Site::start(&app);
    let www = site.send("GET", "www.example.com/a?b=c", &[]);
    assert_eq!((www.status, www.header("location")), (308, Some("https://example.com/a?b=c")));
    let page = site.send("GET", "example.com/deep/link", &[("Accept", "text/html")]);
    assert_eq!((page.status, page.header("x-frame-options")), (200, Some("DENY")));
    assert!(page.text().contains("<h1>Example</h1>"));
    let asset = site.send("GET", "example.com/assets/app.3f9c2a.js", &[]);
    assert!(asset.header("cache-control").unwrap().contains("max-age=31536000"));
    let missing = site.send("GET", "example.com/assets/no.js", &[("Accept", "text/html")]);
    assert_eq!((missing.status, missing.header("content-type")), (404, Some("text/html; charset=utf-8")));
    assert!(missing.text().contains("does not exist"));

    let login = || site.send("POST", "example.com/login", &[]);
    assert_eq!((0..5).map(|_| login().status).collect::<Vec<_>>(), [200; 5]);
    let refused = login();
    problem(&refused, 429);
    assert!(refused.header("retry-after").is_some());

    problem(&site.send("GET", "example.com/admin/users", &[]), 401);
    // admin:example
    let admin = site.send("GET", "example.com/admin/users", &[("Authorization", "Basic YWRtaW46ZXhhbXBsZQ==")]);
    assert_eq!(admin.text(), "GET /admin/users admin");

    let cross = [("Origin", "https://example.com"), ("Access-Control-Request-Method", "PUT")];
    let preflight = site.send("OPTIONS", "api.example.com/items/1", &cross);
    assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (204, Some("https://example.com")));
    let item = site.send("PUT", "api.example.com/items/1", &cross[..1]);
    assert_eq!(
        (item.text().as_str(), item.header("access-control-allow-credentials")),
        ("PUT /api/items/1 ", Some("true"))
    );
    assert!(item.header("x-request-id").is_some());
    assert_eq!(site.send("GET", "other.example/", &[]).status, 404);
}

#[test]
fn the_example_is_short_and_in_the_readme() {
    let config = std::fs::read_to_string(folder().join("dunlin.toml")).unwrap();
    assert!(config.lines().count() <= 70);
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let (_, section) = readme.split_once("## In place of nginx").expect("the section");
    for line in config.lines().filter(|line| line.contains(" = ") && !line.starts_with('#')) {
        let line = line.split(" #").next().unwrap_or_default().trim();
        assert!(section.contains(line), "the README lacks {line:?}");
    }
}
