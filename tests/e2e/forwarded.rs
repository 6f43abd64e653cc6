//! `trusted_proxies`: the decision who the client is, and forged fields.

use dunlin_testkit::{Origin, eventually, origin, raw};

use crate::service::Service;

/// An origin whose page depends on the fields that frameworks believe, as a redirect's does.
fn believing() -> Origin {
    Origin::start(|request: &origin::Request| {
        let field = |name: &str| {
            let lines = request.headers.iter().filter(|(key, _)| key.replace('_', "-") == name);
            lines.map(|(_, value)| value.as_str()).collect::<Vec<_>>().join("|")
        };
        let names = ["for", "proto", "host", "port", "prefix", "server"].map(|name| format!("x-forwarded-{name}"));
        let mut body: String = names.iter().map(|name| format!("{name}={}\n", field(name))).collect();
        for name in ["forwarded", "x-real-ip", "x-original-url", "proxy", "accept-language"] {
            body.push_str(&format!("{name}={}\n", field(name)));
        }
        let head = format!(
            "HTTP/1.1 200 OK\r\nVary: Accept-Language\r\nCache-Control: max-age=60\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        (head + &body).into_bytes()
    })
}

fn value(response: &raw::Response, name: &str) -> String {
    let text = response.text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    line.unwrap_or_else(|| panic!("{name} in {text}")).to_owned()
}

const FORGED: &[(&str, &str)] = &[
    ("X-Forwarded-For", "6.6.6.6"),
    ("X_Forwarded_For", "6.6.6.6"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "evil.example"),
    ("X-Forwarded-Port", "666"),
    ("X-Forwarded-Prefix", "/evil"),
    ("X-Forwarded_Prefix", "/evil"),
    ("X-Forwarded-Server", "evil.example"),
    ("Forwarded", "for=6.6.6.6;host=evil.example"),
    ("X-Real-IP", "6.6.6.6"),
    ("X-Original-URL", "/evil"),
    ("Proxy", "http://evil.example"),
];

#[test]
fn nothing_forged_reaches_the_origin_or_the_cache() {
    let origin = believing();
    let service = Service::start(&format!(
        "[[route]]\npath = \"/c/{{*rest}}\"\nproxy = \"{url}\"\ncache = \"1h\"\n\
         [[route]]\npath = \"/p/{{*rest}}\"\nproxy = \"{url}\"\n",
        url = origin.url()
    ));
    for path in ["/c/x", "/p/x"] {
        let forged = raw::request(service.addr, "GET", path, FORGED, b"");
        for response in [forged, service.get(path)] {
            assert_eq!(response.status, 200);
            assert_eq!(value(&response, "x-forwarded-for"), "127.0.0.1", "{path}");
            assert_eq!(value(&response, "x-forwarded-proto"), "http");
            assert_eq!(value(&response, "x-forwarded-host"), "localhost");
            for name in ["port", "prefix", "server"] {
                assert_eq!(value(&response, &format!("x-forwarded-{name}")), "", "{path}");
            }
            for name in ["forwarded", "x-real-ip", "x-original-url", "proxy"] {
                assert_eq!(value(&response, name), "", "{path}");
            }
        }
    }
}

#[test]
fn a_field_that_connection_names_selects_no_stored_response() {
    let origin = believing();
    let service =
        Service::start(&format!("[[route]]\npath = \"/{{*rest}}\"\nproxy = \"{}\"\ncache = \"1h\"\n", origin.url()));
    let attack = [("Accept-Language", "de"), ("Connection", "accept-language")];
    let response = raw::request(service.addr, "GET", "/x", &attack, b"");
    assert_eq!(value(&response, "accept-language"), "", "it is a field of the connection");
    let honest = raw::request(service.addr, "GET", "/x", &[("Accept-Language", "de")], b"");
    assert_eq!(value(&honest, "accept-language"), "de", "{:?}", honest.header("cache-status"));
}

/// The scheme and the host that a trusted proxy names are part of the cache key.
#[test]
fn a_trusted_proxy_names_the_client_for_everything() {
    for (server, route) in [("trusted_proxies = [\"127.0.0.0/8\"]", ""), ("", "trusted = [\"127.0.0.1\"]")] {
        let origin = believing();
        let config = format!(
            "[log]\nformat = \"json\"\n[[route]]\npath = \"/{{*rest}}\"\nproxy = \"{}\"\ncache = \"1h\"\n{route}\n\
             response_headers = {{ X-Client = \"{{client_ip}} {{scheme}}://{{host}}\" }}\n",
            origin.url()
        );
        let service = Service::with(server, &config, |_| ());
        let ask = |proto: &str, host: &str| {
            let fields =
                [("X-Forwarded-For", "6.6.6.6, 192.0.2.7"), ("X-Forwarded-Proto", proto), ("X-Forwarded-Host", host)];
            raw::request(service.addr, "GET", "/x", &fields, b"")
        };
        let is_hit = |response: &raw::Response| response.header("cache-status").unwrap().contains("hit");
        for (proto, host) in [("http", "a.example"), ("https", "a.example"), ("https", "b.example")] {
            let first = ask(proto, host);
            assert!(!is_hit(&first), "{proto} {host} {server}");
            assert_eq!(value(&first, "x-forwarded-proto"), proto);
            assert_eq!(value(&first, "x-forwarded-host"), host);
            assert_eq!(value(&first, "x-forwarded-for"), "6.6.6.6, 192.0.2.7, 127.0.0.1");
            assert_eq!(first.header("x-client"), Some(&*format!("192.0.2.7 {proto}://{host}")));
            assert!(is_hit(&ask(proto, host)), "{proto} {host} {server}");
        }
        eventually("the log has the client", || service.log().contains("\"client.address\":\"192.0.2.7\""));
    }
}

#[test]
fn a_client_that_is_no_trusted_proxy_names_nobody() {
    let service = Service::with(
        "trusted_proxies = [\"10.0.0.0/8\"]",
        "[[route]]\npath = \"/\"\ntext = \"x\"\nresponse_headers = { X-Client = \"{client_ip} {scheme}://{host}\" }\n",
        |_| (),
    );
    let response = raw::request(service.addr, "GET", "/", FORGED, b"");
    assert_eq!(response.header("x-client"), Some("127.0.0.1 http://localhost"));
}
