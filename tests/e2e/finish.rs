//! `response_headers`, `error_pages` and `[defaults]`.

use dunlin_testkit::{Origin, free_port, raw};

use crate::service::{Folder, Service, dunlin, problem, refused};

const HTML: &[(&str, &str)] = &[("Accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")];

#[test]
fn fields_are_set_on_every_kind_of_response() {
    let origin =
        Origin::start(|_| b"HTTP/1.1 200 OK\r\nServer: origin\r\nX-Two: one\r\nContent-Length: 2\r\n\r\nup".to_vec());
    let config = format!(
        "[[route]]\npath = \"/text/{{name}}\"\ntext = \"hello\"\ncache = \"1h\"\n\
         response_headers = {{ X-Frame-Options = \"DENY\", X-Who = \"{{client_ip}} {{scheme}} {{host}} {{path.name}}\" }}\n\
         [[route]]\npath = \"/proxied\"\nproxy = \"{}\"\n\
         response_headers = {{ Server = false, X-Two = [\"a\", \"b\"], Report-To = '{{\"group\":\"x\"}}' }}\n\
         [[route]]\npath = \"/away\"\nproxy = \"http://127.0.0.1:{}\"\nresponse_headers = {{ X-Frame-Options = \"DENY\" }}\n",
        origin.url(),
        free_port(),
    );
    let service = Service::start(&config);
    for _ in 0..2 {
        let response = raw::request(service.addr, "GET", "/text/a%0D%0AX-Evil:1", &[], b"");
        assert_eq!(response.header("x-frame-options"), Some("DENY"));
        let expect = "127.0.0.1 http localhost a%0D%0AX-Evil:1";
        assert_eq!(response.header("x-who"), Some(expect));
        assert_eq!(response.header("x-evil"), None);
    }
    // What is stored has nothing of the client that came first.
    assert!(service.get("/text/b").header("x-who").unwrap().ends_with(" b"));
    let etag = service.get("/text/b").header("etag").unwrap().to_owned();
    let fresh = raw::request(service.addr, "GET", "/text/b", &[("If-None-Match", &etag)], b"");
    assert_eq!((fresh.status, fresh.header("x-frame-options")), (304, Some("DENY")));
    let proxied = service.get("/proxied");
    assert_eq!((proxied.header("server"), proxied.text().as_str()), (None, "up"));
    let lines = proxied.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("x-two"));
    assert_eq!(lines.map(|(_, value)| value.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(proxied.header("report-to"), Some("{\"group\":\"x\"}"));
    let away = service.get("/away");
    assert_eq!((away.status, away.header("x-frame-options")), (502, Some("DENY")));
}

#[test]
fn error_pages_are_for_clients_that_prefer_html() {
    let config = format!(
        "[defaults]\nerror_pages = {{ 404 = \"404.html\", \"5xx\" = \"sorry.html\" }}\n\
         [[route]]\npath = \"/away\"\nproxy = \"http://127.0.0.1:{port}\"\n\
         [[route]]\npath = \"/other\"\nproxy = \"http://127.0.0.1:{port}\"\nerror_pages = {{ 502 = \"own.html\" }}\n",
        port = free_port(),
    );
    let service = Service::with("", &config, |folder| {
        folder.write("404.html", "<p>not here</p>");
        folder.write("sorry.html", "<p>sorry</p>");
        folder.write("own.html", "<p>own</p>");
    });
    let page = |target: &str| raw::request(service.addr, "GET", target, HTML, b"");
    for (target, status, text) in [
        ("/away", 502, "<p>sorry</p>"),
        ("/other", 502, "<p>own</p>"),
        // No route answers this one.
        ("/nowhere", 404, "<p>not here</p>"),
    ] {
        let response = page(target);
        assert_eq!((response.status, response.text().as_str()), (status, text), "{target}");
        assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(response.header("vary"), Some("accept"));
        assert_eq!(response.header("cache-control"), Some("no-store"));
        let document = service.get(target);
        problem(&document, status);
        assert_eq!(document.header("vary"), Some("accept"), "a cache must know that there are two");
        let json = [("Accept", "application/json")];
        problem(&raw::request(service.addr, "GET", target, &json, b""), status);
    }
    let head = raw::request(service.addr, "HEAD", "/nowhere", HTML, b"");
    assert_eq!((head.status, head.header("content-length")), (404, Some("15")));
    // The fields of the error stay.
    let wrong = raw::request(service.addr, "DELETE", "/nowhere", HTML, b"");
    assert_eq!(wrong.status, 404);
}

#[test]
fn errors_of_upstreams_have_a_page_where_a_route_asks_for_it() {
    let origin = Origin::start(|_| b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nown".to_vec());
    let config = format!(
        "[defaults]\nerror_pages = {{ 404 = \"404.html\" }}\n\
         [[route]]\npath = \"/plain\"\nproxy = \"{url}\"\n\
         [[route]]\npath = \"/asked\"\nproxy = \"{url}\"\nerror_pages = {{ 404 = \"asked.html\" }}\n",
        url = origin.url(),
    );
    let service = Service::with("", &config, |folder| {
        folder.write("404.html", "default");
        folder.write("asked.html", "asked");
    });
    let text = |target: &str| raw::request(service.addr, "GET", target, HTML, b"").text();
    assert_eq!([text("/plain"), text("/asked"), text("/nowhere")], ["own", "asked", "default"]);
}

#[test]
fn defaults_are_merged_key_by_key() {
    let service = Service::start(
        "[defaults]\nresponse_headers = { X-A = \"a\", X-B = \"b\", X-C = \"c\" }\ncompress = false\n\
         [[route]]\npath = \"/own\"\ntext = \"own\"\nresponse_headers = { x-b = \"own\", X-C = false }\n\
         [[route]]\npath = \"/plain\"\ntext = \"plain\"\n",
    );
    let fields = |target: &str| {
        let response = service.get(target);
        ["x-a", "x-b", "x-c"].map(|name| response.header(name).map(str::to_owned))
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(fields("/own"), [some("a"), some("own"), None]);
    assert_eq!(fields("/plain"), [some("a"), some("b"), some("c")]);
    assert_eq!(fields("/nowhere"), [some("a"), some("b"), some("c")]);
}

#[test]
fn wrong_edits_are_found_before_the_start() {
    #[track_caller]
    fn check(keys: &str, expect: &[&str]) {
        let route = "[[route]]\npath = \"/{name}\"\ntext = \"x\"\n";
        let out = dunlin(&["check"], &Folder::new(&format!("{route}{keys}\n")));
        refused(&out, expect);
    }
    check("response_headers = { X-A = \"a\\r\\nX-B: b\" }", &["dunlin.toml:4:28", "control characters"]);
    check("response_headers = { \"X A\" = \"a\" }", &["dunlin.toml:4:22", "not the name of a header field"]);
    check("response_headers = { X-A = 1 }", &["dunlin.toml:4:28", "false"]);
    check("response_headers = { X-A = true }", &["dunlin.toml:4:28", "false"]);
    check("response_headers = { X-A = \"{clientip}\" }", &["dunlin.toml:4:28", "{client_ip}"]);
    check("response_headers = { X-A = \"{path.nam}\" }", &["dunlin.toml:4:28", "{path.name}"]);
    check("response_headers = { Content-Length = \"1\" }", &["dunlin.toml:4:22", "server computes"]);
    check("response_headers = { X-A = \"a\", x-a = \"b\" }", &["dunlin.toml:4:33", "twice"]);
    check("response_headers = \"X-A: b\"", &["dunlin.toml:4:20", "a table"]);
    check("error_pages = { 404 = \"404.html\" }", &["dunlin.toml:4:23", "does not exist"]);
    check("error_pages = { 200 = \"dunlin.toml\" }", &["dunlin.toml:4:17", "4xx"]);
    check("[defaults]\nresponse_header = {}", &["dunlin.toml:5:1", "response_headers"]);
    check("[defaults]\npath = \"/\"", &["dunlin.toml:5:1", "belongs to each route"]);
    check("[defaults]\ntext = \"/\"", &["dunlin.toml:5:1", "belongs to each route"]);
}
