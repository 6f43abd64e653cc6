//! `host` and `[[site]]`.

use dunlin_testkit::raw;

use crate::service::{Folder, Service, dunlin, refused};

const SITES: &str = "
[defaults]
response_headers = { X-Who = \"file\", X-All = \"all\" }

[[site]]
host = [\"example.com\", \"*.example.com\"]
[site.defaults]
response_headers = { X-Who = \"site\" }
[[site.route]]
path = \"/{*rest}\"
redirect = \"/\"
method = \"PUT\"
[[site.route]]
path = \"/\"
text = \"site\"

[[route]]
host = \"api.example.com\"
path = \"/v1\"
text = \"api\"

[[route]]
host = \"b\u{fc}cher.example\"
path = \"/\"
text = \"books\"
";

fn text(service: &Service, host: &str, target: &str) -> (u16, String) {
    let response = raw::request(service.addr, "GET", target, &[("Host", host)], b"");
    let text = response.text();
    (response.status, if response.status == 200 { text } else { String::new() })
}

#[test]
fn the_host_decides_before_the_path() {
    let service = Service::start(&format!("{SITES}\n[[route]]\npath = \"/any\"\ntext = \"any\"\n"));
    let check = |host: &str, target: &str, status: u16, expect: &str| {
        assert_eq!(text(&service, host, target), (status, expect.to_owned()), "{host} {target}");
    };
    check("example.com", "/", 200, "site");
    check("EXAMPLE.com:8080", "/", 200, "site");
    check("example.com.", "/", 200, "site");
    check("www.example.com", "/", 200, "site");
    check("a.b.example.com", "/", 200, "site");
    check("api.example.com", "/v1", 200, "api");
    check("example.com", "/v1", 405, "");
    check("xn--bcher-kva.example", "/", 200, "books");
    check("other.example", "/", 404, "");
    // A route without a host is for every host.
    check("other.example", "/any", 200, "any");
    check("xn--bcher-kva.example", "/any", 200, "any");
    check("localhost", "http://example.com/", 200, "site");
    let fields = |host: &str| {
        let response = raw::request(service.addr, "GET", "/", &[("Host", host)], b"");
        ["x-who", "x-all"].map(|name| response.header(name).map(str::to_owned))
    };
    assert_eq!(fields("example.com"), [Some("site".to_owned()), Some("all".to_owned())]);
    assert_eq!(fields("xn--bcher-kva.example"), [Some("file".to_owned()), Some("all".to_owned())]);
    let metrics = raw::get(service.admin, "/metrics").text();
    assert!(metrics.contains("route=\"api.example.com/v1\""), "{metrics}");
}

#[test]
fn a_trusted_proxy_names_the_host() {
    let config = |trusted: &str| format!("trusted_proxies = [\"{trusted}\"]");
    let get = |service: &Service| {
        let fields = [("Host", "inner"), ("X-Forwarded-Host", "example.com"), ("X-Forwarded-For", "192.0.2.1")];
        raw::request(service.addr, "GET", "/", &fields, b"").status
    };
    assert_eq!(get(&Service::with(&config("127.0.0.0/8"), SITES, |_| ())), 200);
    assert_eq!(get(&Service::with(&config("10.0.0.0/8"), SITES, |_| ())), 404);
}

#[test]
fn wrong_hosts_are_found_before_the_start() {
    #[track_caller]
    fn check(config: &str, expect: &[&str]) {
        let out = dunlin(&["check"], &Folder::new(config));
        refused(&out, expect);
    }
    let route = |host: &str| format!("[[route]]\nhost = {host}\npath = \"/\"\ntext = \"x\"\n");
    check(&route("\"example.com:80\""), &["dunlin.toml:2:8", "did you mean \"example.com\""]);
    check(&route("\"https://example.com/\""), &["dunlin.toml:2:8", "did you mean \"example.com\""]);
    check(&route("\"*\""), &["dunlin.toml:2:8"]);
    check(&route("1"), &["dunlin.toml:2:8", "example.com"]);
    check(
        &(route("\"a.example\"") + &route("[\"b.example\", \"A.example\"]")),
        &["dunlin.toml:7:8", "clashes", "line 3"],
    );
    check(
        "[[site]]\n[[site.route]]\npath = \"/\"\ntext = \"x\"\n",
        &["dunlin.toml:1:1", "\"host\" is missing in this site"],
    );
    check("[[site]]\nhost = \"a\"\n", &["dunlin.toml:1:1", "[[site.route]]"]);
    check(
        "[[site]]\nhost = \"a\"\ncompress = true\n[[site.route]]\npath = \"/\"\ntext = \"\"\n",
        &["dunlin.toml:3:1", "[site.defaults]"],
    );
    check("[site]\nhost = \"a\"\n", &["dunlin.toml:1:1", "[[site]]"]);
    let (www, apex) = ("\"www.example.com\"", "\"example.com\"");
    let redirect = |host: &str, to: &str| {
        format!("[[route]]\nhost = {host}\npath = \"/{{*rest}}\"\nredirect = \"{to}/{{rest}}\"\n")
    };
    check(&(redirect(www, "http://example.com") + &redirect(apex, "http://www.example.com")), &["never ends"]);
    let good = redirect(www, "http://example.com") + "[[route]]\npath = \"/{*rest}\"\ntext = \"x\"\n";
    let out = dunlin(&["check"], &Folder::new(&good));
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}
