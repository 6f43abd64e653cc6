//! Bodies by media type.

use super::*;
use crate::param::Json;

const FIELDS: Wants = Wants { fields: true, whole: false };

fn read(media: Option<&str>, body: &str, wants: Wants) -> Result<Body, Error> {
    let mut headers = HeaderMap::new();
    if let Some(media) = media {
        headers.insert(CONTENT_TYPE, media.parse().unwrap());
    }
    let body = dunlin_http::Body::from(body.to_owned());
    // A body in memory is there at the first poll.
    futures_util::FutureExt::now_or_never(Body::read(body, &headers, 1 << 20, wants)).unwrap()
}

#[track_caller]
fn check(media: Option<&str>, body: &str, path: &str, expect: impl Into<Option<Param>>) {
    let body = read(media, body, FIELDS).unwrap();
    assert_eq!(body.fields().unwrap().get(path), expect.into(), "{media:?} {path}");
}

#[track_caller]
fn refuses(media: Option<&str>, body: &str, expect: u16) {
    let result = read(media, body, FIELDS).and_then(|body| body.fields().map(drop));
    match result {
        Err(Error::Body { status, .. }) => assert_eq!(status.as_u16(), expect, "{media:?} {body}"),
        other => panic!("{media:?} {body}: {other:?}"),
    }
}

fn json(text: &str) -> Option<Param> {
    Some(Param::Json(Json::parse(text).unwrap()))
}

#[test]
fn json_at_any_depth() {
    let body = r#"{"a": {"b": {"c": [1, {"d": 2}]}, "x.y": 3}, "a.b": 4, "n": null, "s": "{"}"#;
    for media in [None, Some("application/json"), Some("application/vnd.x+json; charset=utf-8")] {
        check(media, body, "a.b", json("4"));
        check(media, body, "a.b.c", json(r#"[1, {"d": 2}]"#));
        check(media, body, "a.x.y", json("3"));
        check(media, body, "n", json("null"));
        check(media, body, "n.x", None);
        check(media, body, "s.x", None);
        check(media, body, "a.b.c.d", None);
        check(media, body, "", None);
    }
    check(None, "", "a", None);
    for body in ["{", "[1]", "7", "{\"a\":1}x"] {
        refuses(None, body, 400);
    }
    refuses(Some("application/json"), "", 400);
}

#[test]
fn forms() {
    let form = Some("application/x-www-form-urlencoded");
    let body = "a=1&b[c]=x+y&t[]=1&t[]=2&d.e=%C3%A9&m=1&m=&b[f][g]=2";
    check(form, body, "a", Some("1".into()));
    check(form, body, "b.c", Some("x y".into()));
    check(form, body, "b[c]", Some("x y".into()));
    check(form, body, "b.f.g", Some("2".into()));
    check(form, body, "t", Some(Param::Many(vec!["1".into(), "2".into()])));
    check(form, body, "m", Some(Param::Many(vec!["1".into(), String::new()])));
    check(form, body, "d.e", Some("é".into()));
    check(form, body, "b", None);
    check(form, "", "a", None);
}

#[test]
fn multipart_bodies() {
    let media = Some("multipart/form-data; boundary=\"x y\"");
    let body = "--x y\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n\
        --x y\r\nContent-Disposition: form-data; name=\"f\"; filename=\"é.png\"\r\nContent-Type: image/png\r\n\r\n\u{1}\r\n2\r\n\
        --x y\r\nContent-Disposition: form-data; name=\"t\"\r\n\r\n1\r\n\
        --x y\r\nContent-Disposition: form-data; name=\"t\"\r\nContent-Type: text/plain\r\n\r\n2\r\n--x y--\r\n";
    check(media, body, "a", Some("one".into()));
    check(media, body, "t", Some(Param::Many(vec!["1".into(), "2".into()])));
    check(media, body, "f", Some(Content::new("\u{1}\r\n2".into(), ContentKind::File).into()));
    check(media, body, "f.filename", Some("é.png".into()));
    check(media, body, "f.content_type", Some("image/png".into()));
    check(media, body, "a.filename", None);
    check(media, body, "b", None);
    refuses(Some("multipart/form-data"), body, 400);
    refuses(media, &body[..body.len() - 8], 400);
    refuses(media, "", 400);
    let many = "--x y\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n".repeat(1001) + "--x y--\r\n";
    refuses(media, &many, 413);
}

#[test]
fn media_types_without_fields() {
    for media in ["text/plain", "application/octet-stream", "text/csv", "x", "application/json; charset=utf-16"] {
        refuses(Some(media), "{\"a\": 1}", 415);
    }
    let whole = Wants { fields: false, whole: true };
    let body = read(Some("text/plain"), "hello", whole).unwrap();
    assert_eq!(body.whole(), Some(Content::new("hello".into(), ContentKind::Other).into()));
    assert_eq!(read(None, "", whole).unwrap().whole(), None);
    let empty = read(Some("text/plain"), "", whole).unwrap().whole();
    assert_eq!(empty, Some(Content::new(Bytes::new(), ContentKind::Other).into()));
}

proptest::proptest! {
    #[test]
    fn no_body_panics(media in "(application/json|application/x-www-form-urlencoded|multipart/form-data; boundary=a|[a-z/;=]{0,12})",
                      body in "(\\PC|[\\r\\n\\-a={}\":\\[\\]]){0,80}", path in "[a-c.\\[\\]]{0,6}") {
        if let Ok(body) = read(Some(&media), &body, Wants { fields: true, whole: true }) {
            let _ = body.fields().map(|fields| fields.get(&path));
        }
    }
}
