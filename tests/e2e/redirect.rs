//! `redirect` routes.

use dunlin_testkit::raw;

use crate::service::{Folder, Service, dunlin, refused};

#[track_caller]
fn check(service: &Service, method: &str, target: &str, status: u16, location: &str) {
    let response = raw::request(service.addr, method, target, &[], b"");
    assert_eq!((response.status, response.header("location")), (status, Some(location)), "{method} {target}");
    assert!(response.body.is_empty(), "{target}");
}

#[test]
fn paths_and_queries_are_kept() {
    let service = Service::start(
        "[[route]]\npath = \"/{*rest}\"\nredirect = \"https://example.com/{rest}\"\n\
         [[route]]\npath = \"/old/{id}\"\nredirect = \"/new/{id}?from=old\"\nstatus = 302\n\
         [[route]]\npath = \"/new/{id}\"\ntext = \"new\"\n\
         [[route]]\npath = \"/here/{*rest}\"\nredirect = \"/new/{rest}\"\nstatus = 307\nmethod = \"GET\"\n",
    );
    check(&service, "GET", "/a/b%2Fc?d=e&f", 308, "https://example.com/a/b%2Fc?d=e&f");
    check(&service, "GET", "/", 308, "https://example.com/");
    check(&service, "POST", "/form", 308, "https://example.com/form");
    check(&service, "HEAD", "/x", 308, "https://example.com/x");
    check(&service, "GET", "/old/7?x=1", 302, "/new/7?from=old");
    // What the client sends cannot end the line, or lead to a host of its choice.
    check(&service, "GET", "/a%0D%0AX-Evil:1", 308, "https://example.com/a%0D%0AX-Evil:1");
    check(&service, "GET", "/here/7?x=1", 307, "/new/7?x=1");
    assert_eq!(service.send("POST", "/here/7", "").status, 405);
}

#[test]
fn wrong_redirects_are_found_before_the_start() {
    #[track_caller]
    fn check(config: &str, expect: &[&str]) {
        let out = dunlin(&["check"], &Folder::new(config));
        refused(&out, expect);
    }
    let route = |path: &str, target: &str| format!("[[route]]\npath = \"{path}\"\nredirect = \"{target}\"\n");
    check(&(route("/a", "/b") + &route("/b", "/a")), &["dunlin.toml:3:12", "never ends"]);
    check(&route("/{*rest}", "/new/{rest}"), &["dunlin.toml:3:12", "never ends"]);
    check(&(route("/a/{x}", "/b/{x}") + &route("/b/{y}", "/c") + &route("/c", "/a/1")), &["never ends"]);
    check(&route("/{*rest}", "https://example.com{rest}"), &["dunlin.toml:3:12", "slash"]);
    check(&route("/a/{name}", "/b/{nam}"), &["dunlin.toml:3:12", "{name}"]);
    check(&route("/a", "example.com"), &["dunlin.toml:3:12", "https://example.com/"]);
    check(&(route("/a", "/b") + "status = 200\n"), &["dunlin.toml:4:10", "308"]);
    check(&(route("/a", "/b") + "take = 1\n"), &["dunlin.toml:4:1", "fetch route; this is a redirect route"]);
    let good = route("/a", "/b") + &route("/b", "/c") + "[[route]]\npath = \"/c\"\ntext = \"c\"\n";
    let out = dunlin(&["check"], &Folder::new(&good));
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}
