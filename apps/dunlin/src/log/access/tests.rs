//! The forms of one request's line.

use std::time::{Duration, SystemTime};

use dunlin_http::{ClientInfo, UpstreamSlot};
use http::{HeaderValue, Request, StatusCode, Version};

use super::{Access, AccessLog, Entry, Line, Origin, combined, json, pretty};
use crate::config::Log;

/// The parts of a request that tests change.
struct Case<'c> {
    request: Request<()>,
    line: Line<'c>,
    log: Log,
}

const CACHE: HeaderValue = HeaderValue::from_static("dunlin; fwd=uri-miss; fwd-status=200; stored");

fn line(status: u16) -> Line<'static> {
    Line {
        route: "/{*rest}",
        user: None,
        status: Some(StatusCode::from_u16(status).unwrap()),
        bytes: 612,
        received: None,
        ttfb: None,
        duration: Duration::from_micros(1500),
        cache: None,
        aborted: None,
    }
}

impl Case<'_> {
    fn write(&self, form: fn(&mut Vec<u8>, &Entry<'_>)) -> String {
        let ip = Some("::ffff:192.0.2.7".parse().unwrap());
        let origin = Origin { client: ClientInfo::new(ip, true), peer: ClientInfo::new(ip, true), tls: Some("1.3") };
        let upstream = UpstreamSlot::default();
        upstream.set("http://10.0.0.1:8000".into());
        let access = Access::new(&self.request, origin, true, Some(upstream));
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let settings = AccessLog::new(&self.log);
        let mut out = Vec::new();
        form(&mut out, &Entry { access: &access, line: &self.line, settings: &settings, now });
        String::from_utf8(out).unwrap()
    }
}

fn browser() -> Request<()> {
    Request::get("/a%20b?q=1&email=x%40y&token=hush")
        .header("Host", "a.example:8443")
        .header("User-Agent", "Mozilla/5.0 \"x\\y\" \u{e9}")
        .header("Referer", "https://b.example/?email=x&z=2")
        .header("X-Request-Id", "id-1")
        .body(())
        .unwrap()
}

fn redacting() -> Log {
    Log { redact: vec!["email".to_owned()], ..Log::default() }
}

#[test]
fn json_has_the_names_of_the_conventions() {
    let line = Line { cache: Some(&CACHE), user: Some("ada"), ttfb: Some(Duration::from_millis(1)), ..line(200) };
    let case = Case { request: browser(), line, log: redacting() };
    let text = case.write(json::write);
    let read: serde_json::Value = serde_json::from_str(&text).unwrap();
    let expect = serde_json::json!({
        "timestamp": "2001-09-09T01:46:40.000000Z", "level": "INFO", "target": "access",
        "http.request.method": "GET", "url.scheme": "https",
        "server.address": "a.example", "server.port": 8443,
        "url.path": "/a%20b", "url.query": "q=1&email=REDACTED&token=REDACTED",
        "network.protocol.version": "1.1", "tls.protocol.version": "1.3",
        "client.address": "192.0.2.7", "user_agent.original": "Mozilla/5.0 \"x\\y\" \u{e9}",
        "http.request.header.referer": ["https://b.example/?email=REDACTED&z=2"],
        "http.route": "/{*rest}", "http.response.status_code": 200, "http.response.body.size": 612,
        "http.server.request.duration": 0.0015, "enduser.id": "ada",
        "dunlin.time_to_first_byte": 0.001, "dunlin.cache.result": "miss", "dunlin.cache.reason": "uri-miss",
        "dunlin.upstream": "http://10.0.0.1:8000", "dunlin.request_id": "id-1",
    });
    assert_eq!(read, expect);
    assert!(text.ends_with("}\n") && text.matches('\n').count() == 1);
}

#[test]
fn combined_is_the_line_of_nginx() {
    #[track_caller]
    fn check(request: Request<()>, line: Line<'_>, expect: &str) {
        let case = Case { request, line, log: redacting() };
        assert_eq!(case.write(combined::write), format!("{expect}\n"));
    }
    check(
        browser(),
        Line { user: Some("a b"), ..line(200) },
        "192.0.2.7 - a b [09/Sep/2001:01:46:40 +0000] \"GET /a%20b?q=1&email=REDACTED&token=REDACTED HTTP/1.1\" 200 612 \
         \"https://b.example/?email=REDACTED&z=2\" \"Mozilla/5.0 \\x22x\\x5Cy\\x22 \\xC3\\xA9\"",
    );
    let plain = || Request::post("/").version(Version::HTTP_2).body(()).unwrap();
    check(plain(), line(404), "192.0.2.7 - - [09/Sep/2001:01:46:40 +0000] \"POST / HTTP/2.0\" 404 612 \"-\" \"-\"");
    let gone = Line { status: None, bytes: 0, ..line(200) };
    check(plain(), gone, "192.0.2.7 - - [09/Sep/2001:01:46:40 +0000] \"POST / HTTP/2.0\" 499 0 \"-\" \"-\"");
}

#[test]
fn pretty_is_one_line_without_control_characters() {
    let line = Line { user: Some("a\u{1b}[31m"), cache: Some(&CACHE), ..line(200) };
    let text = Case { request: browser(), line, log: redacting() }.write(pretty::write);
    assert_eq!(
        text,
        "2001-09-09T01:46:40.000000Z  INFO GET a.example:8443/a%20b?q=1&email=REDACTED&token=REDACTED 200 612 B 1.5 ms \
         client=192.0.2.7 route=/{*rest} user=a?[31m cache=miss upstream=http://10.0.0.1:8000\n"
    );
}

#[test]
fn sampling_keeps_errors() {
    let settings = AccessLog::new(&Log { sample: 0.1, ..Log::default() });
    for (line, random, expect) in [
        (line(200), 0.09, true),
        (line(200), 0.1, false),
        (line(304), 0.5, false),
        (line(404), 0.5, true),
        (line(503), 0.99, true),
        (Line { aborted: Some("cut"), ..line(200) }, 0.99, true),
        (Line { status: None, ..line(200) }, 0.99, true),
    ] {
        assert_eq!(settings.keeps(&line, || random), expect, "{:?} {random}", line.status);
    }
    let none = AccessLog::new(&Log { sample: 0.0, ..Log::default() });
    assert!(!none.keeps(&line(200), || 0.0));
    assert!(AccessLog::new(&Log::default()).keeps(&line(200), || 0.999_999));
}
