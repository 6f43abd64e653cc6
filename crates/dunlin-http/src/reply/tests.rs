use super::*;

struct Page(HeaderMap, Lines, StatusCode);

impl StoredHead for Page {
    fn status(&self) -> StatusCode {
        self.2
    }

    fn headers(&self) -> &HeaderMap {
        &self.0
    }

    fn lines(&self) -> Option<&Lines> {
        Some(&self.1)
    }
}

fn page(fields: &[(&'static str, &'static str)]) -> Option<Page> {
    let (mut text, mut headers) = (BytesMut::new(), HeaderMap::new());
    for (name, value) in fields {
        let (name, value) = (HeaderName::from_static(name), HeaderValue::from_static(value));
        if name != "age" && name != "content-length" {
            Lines::push(&mut text, &name, &value);
        }
        headers.append(name, value);
    }
    Some(Page(headers, Lines::parse(text.freeze())?, StatusCode::OK))
}

fn volatile() -> Arc<VolatileFields> {
    Arc::new(VolatileFields::new(
        [("age", "7")].map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))),
    ))
}

/// Checks that the written lines are the fields of the response, except `Content-Length`.
#[track_caller]
fn check(stored: StoredReply) {
    let mut out = Vec::new();
    stored.write(&mut out);
    let text = String::from_utf8(out).unwrap();
    let mut written: Vec<_> = text.split_terminator("\r\n").map(str::to_owned).collect();
    let has_date = stored.has_date();
    let response = stored.into_response();
    assert_eq!(has_date, response.headers().contains_key("date"));
    let fields = response.headers().iter().filter(|(name, _)| *name != "content-length");
    let mut fields: Vec<_> = fields.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    written.sort();
    fields.sort();
    assert_eq!(written, fields);
}

#[test]
fn the_written_lines_are_the_fields_of_the_response() {
    let fields = [("age", "0"), ("content-type", "text/plain"), ("x-y", "1"), ("x-y", "2"), ("content-length", "2")];
    let stored = |fields: &[_], body: &'static str| {
        StoredReply::new(Arc::new(page(fields).unwrap()), volatile(), Body::from(body))
    };
    check(stored(&fields, "ab").unwrap());
    check(stored(&[("date", "x"), ("age", "0")], "ab").unwrap());
    check(stored(&fields[1..], "ab").unwrap());
    let vary = |headers: &mut HeaderMap, _: &Body| crate::vary::add(headers, "accept");
    check(stored(&fields, "ab").unwrap().with_last_line("vary: accept\r\n", vary));
    let lines = Lines::parse(Bytes::from_static(b"content-type: text/plain\r\netag: \"a\"\r\n")).unwrap();
    let other = |headers: &mut HeaderMap, body: &Body| {
        headers.remove("x-y");
        headers.insert("etag", HeaderValue::from_static("\"a\""));
        headers.insert("content-length", body.len().unwrap_or(0).into());
    };
    let changed = || stored(&fields, "ab").unwrap().with_lines(lines.clone(), Body::from("abc"), other);
    check(changed());
    assert_eq!(Reply::Stored(changed()).into_response().headers()["content-length"], "3");
    assert!(stored(&fields, "").is_none());
    for status in [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED, StatusCode::PARTIAL_CONTENT, StatusCode::CONTINUE]
    {
        let page = Page(HeaderMap::new(), Lines::parse(Bytes::new()).unwrap(), status);
        assert!(StoredReply::new(Arc::new(page), volatile(), Body::from("ab")).is_none(), "{status}");
    }
    assert_eq!(stored(&fields, "ab").unwrap().into_response().headers()["age"], "7");
}

#[test]
fn fields_that_the_server_sets_are_no_lines() {
    for name in ["connection", "transfer-encoding", "content-length", "keep-alive", "upgrade"] {
        let value = HeaderValue::from_static("1");
        let mut text = BytesMut::from(&b"x: y\r\n"[..]);
        Lines::push(&mut text, &HeaderName::from_static(name), &value);
        assert!(Lines::parse(text.freeze()).is_none(), "{name}");
    }
    for text in ["x: y", "x y\r\n", "x: y\r\n\r\n", ": y\r\n", "x: a\nb: c\r\n", "x: y\r\nz"] {
        assert!(Lines::parse(Bytes::from_static(text.as_bytes())).is_none(), "{text:?}");
    }
    assert!(Lines::parse(Bytes::new()).is_some());
}
