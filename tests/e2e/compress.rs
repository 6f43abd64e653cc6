//! Compression.

use dunlin_testkit::tool;

use crate::service::{Folder, Service};

const ROUTES: &str = "[[route]]\npath = \"/static/{*path}\"\nfiles = \"public\"\n[[route]]\npath = \"/plain/{*path}\"\nfiles = \"public\"\ncompress = false\n";

fn prepare(folder: &Folder) {
    folder.write("public/big.js", text());
    folder.write("public/small.js", "x");
    folder.write("public/photo.jpg", text());
}

fn text() -> String {
    (0..5000).map(|n| format!("let a{n} = {};\n", n * 7919 % 1000)).collect()
}

#[test]
fn the_client_says_which_coding() {
    let service = Service::with("", ROUTES, prepare);
    let get = |accept: &str| service.get_with("/static/big.js", &[("Accept-Encoding", accept)]);
    for _ in 0..3 {
        for (accept, coding, program) in [
            ("gzip", "gzip", "gzip"),
            ("br", "br", "brotli"),
            ("zstd", "zstd", "zstd"),
            ("gzip, br, zstd", "zstd", "zstd"),
            ("gzip;q=0.5, br;q=0.9, zstd;q=0.1", "br", "brotli"),
            ("*;q=0.1, zstd;q=0, br;q=0", "gzip", "gzip"),
        ] {
            let response = get(accept);
            assert_eq!(response.header("content-encoding"), Some(coding), "{accept}");
            assert!(response.header("vary").unwrap().to_ascii_lowercase().contains("accept-encoding"));
            assert!(
                response.header("etag").is_none_or(|etag| etag.starts_with("W/")),
                "an encoded answer has a weak tag"
            );
            assert_eq!(response.header("accept-ranges"), None);
            assert!(response.body.len() < text().len() / 2);
            assert_eq!(tool(&format!("{program} -dc"), &response.body), text().as_bytes(), "{accept}");
        }
    }
    for accept in ["identity", "", "gzip;q=0", "deflate"] {
        let response = get(accept);
        assert_eq!(response.header("content-encoding"), None, "{accept}");
        assert_eq!(response.body, text().as_bytes());
        assert!(response.header("vary").is_some(), "the answer could have been encoded");
    }
    let weak = get("gzip").header("etag").unwrap().to_owned();
    let fields = [("Accept-Encoding", "gzip"), ("If-None-Match", &*weak)];
    assert_eq!(service.get_with("/static/big.js", &fields).status, 304);
}

#[test]
fn what_would_not_gain_stays_as_it_is() {
    let service = Service::with("", ROUTES, prepare);
    for path in ["/static/small.js", "/static/photo.jpg", "/plain/big.js"] {
        let response = service.get_with(path, &[("Accept-Encoding", "gzip, br, zstd")]);
        assert_eq!((response.status, response.header("content-encoding")), (200, None), "{path}");
    }
    let part = service.get_with("/static/big.js", &[("Accept-Encoding", "gzip"), ("Range", "bytes=0-999")]);
    assert_eq!((part.status, part.header("content-encoding"), part.body.len()), (206, None, 1000));
}
