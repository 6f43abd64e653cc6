//! The checks, by what a good site and a bad one show.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use url::Url;

use super::*;
use crate::facts::{Asset, Coding, ConnectionFacts, Seen, TlsFacts};
use crate::report::Grade;

fn seen(status: u16, size: usize, fields: &[(&'static str, &'static str)]) -> Seen {
    let headers: HeaderMap =
        fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect();
    Seen { status: StatusCode::from_u16(status).unwrap(), headers, size, first_byte: Duration::from_millis(20) }
}

fn good() -> Facts {
    const VARY: (&str, &str) = ("vary", "Accept-Encoding");
    let url = Url::parse("https://a.test/").unwrap();
    let coded = |coding: Coding| (coding, seen(200, 21_000, &[VARY, ("content-encoding", "br")]));
    let asset = seen(200, 5_000, &[VARY, ("content-encoding", "br"), ("cache-control", "max-age=31536000")]);
    let tls = TlsFacts { handshake: Duration::from_millis(15), is_1_3: true, is_resumed: Some(true) };
    Facts {
        redirects: 0,
        plain: Some(seen(308, 0, &[("location", "https://a.test/")])),
        connection: ConnectionFacts { connect: Duration::from_millis(10), tls: Some(tls), is_http2: true },
        is_kept: true,
        page: seen(200, 92_000, &[VARY, ("etag", "\"1\""), ("cache-control", "no-cache")]),
        again: Some(seen(200, 92_000, &[("cache-status", "dunlin; hit")])),
        coded: Coding::ALL.map(coded).into(),
        possible: 20_000,
        conditional: Some(seen(304, 0, &[])),
        assets: vec![Asset { url: url.join("/a.css").unwrap(), seen: asset, possible: 5_000 }],
        url,
    }
}

#[track_caller]
fn check(tip: &str, grade: Grade, change: impl FnOnce(&mut Facts)) -> Finding {
    let mut facts = good();
    change(&mut facts);
    let finding = all(&facts).into_iter().find(|finding| finding.tip == tip).unwrap();
    assert_eq!(finding.grade, grade, "{finding:?}");
    assert_eq!(finding.cost.is_some(), grade == Grade::Improve, "{finding:?}");
    assert_eq!(finding.remedy.is_some(), grade == Grade::Improve, "{finding:?}");
    finding
}

#[test]
fn a_good_site_follows_every_tip() {
    let improvable: Vec<Finding> = all(&good()).into_iter().filter(|it| it.grade == Grade::Improve).collect();
    assert!(improvable.is_empty(), "{improvable:?}");
}

#[test]
fn connections_are_judged() {
    check("redirects", Grade::Good, |facts| facts.redirects = 1);
    check("redirects", Grade::Improve, |facts| facts.redirects = 2);
    check("http to https", Grade::Improve, |facts| facts.plain = Some(seen(200, 9, &[])));
    check("http to https", Grade::Unknown, |facts| facts.plain = None);
    check("http version", Grade::Improve, |facts| facts.connection.is_http2 = false);
    check("keep-alive", Grade::Improve, |facts| facts.is_kept = false);
    check("tls version", Grade::Improve, |facts| facts.connection.tls.as_mut().unwrap().is_1_3 = false);
    check("tls resumption", Grade::Improve, |facts| facts.connection.tls.as_mut().unwrap().is_resumed = Some(false));
    check("tls resumption", Grade::Unknown, |facts| facts.connection.tls.as_mut().unwrap().is_resumed = None);
    let slow = check("first byte", Grade::Improve, |facts| {
        facts.page.first_byte = Duration::from_millis(900);
        facts.again = None;
    });
    assert!(slow.cost.unwrap().starts_with("890 ms"));
}

#[test]
fn content_is_judged() {
    let plain = check("compression", Grade::Improve, |facts| facts.coded.clear());
    assert!(plain.cost.unwrap().starts_with("72 KB more"));
    check("compression", Grade::Improve, |facts| facts.coded.iter_mut().for_each(|(_, seen)| seen.size = 40_000));
    check("compression", Grade::Unknown, |facts| facts.page.size = 900);
    check("compression", Grade::Unknown, |facts| facts.possible = 91_000);
    check("codings", Grade::Improve, |facts| facts.coded[2].1.headers.clear());
    check("vary", Grade::Improve, |facts| drop(facts.page.headers.remove("vary")));
    check("vary", Grade::Unknown, |facts| facts.coded.clear());
    check("files encoded", Grade::Improve, |facts| {
        facts.assets[0].seen = seen(200, 20_000, &[]);
    });
    check("files encoded", Grade::Unknown, |facts| facts.assets.clear());
    check("dictionaries", Grade::Good, |facts| {
        facts.assets[0].seen.headers.insert("use-as-dictionary", HeaderValue::from_static("match=\"/*\""));
    });
}

#[test]
fn caching_is_judged() {
    check("validators", Grade::Improve, |facts| drop(facts.page.headers.remove("etag")));
    check("validators", Grade::Improve, |facts| facts.conditional = Some(seen(200, 92_000, &[])));
    check("page lifetime", Grade::Improve, |facts| drop(facts.page.headers.remove("cache-control")));
    let kept = check("page lifetime", Grade::Good, |facts| {
        facts.page.headers.insert("cache-control", HeaderValue::from_static("max-age=60"));
    });
    assert_eq!(kept.seen, "the page may be kept for 60 s");
    check("files lifetime", Grade::Improve, |facts| drop(facts.assets[0].seen.headers.remove("cache-control")));
    check("shared cache", Grade::Unknown, |facts| facts.again = Some(seen(200, 9, &[])));
    check("shared cache", Grade::Good, |facts| facts.again = Some(seen(200, 9, &[("age", "7")])));
}
