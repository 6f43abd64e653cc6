//! For any target: the normal form is a path without dot segments and repeated slashes, a second
//! pass leaves it unchanged, and the query is the same.

#![no_main]

use dunlin_http::target::normalise;
use http::Uri;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(uri) = text.parse::<Uri>() else { return };
    let Ok(changed) = normalise(&uri) else { return };
    let normal = changed.unwrap_or_else(|| uri.clone());
    assert_eq!(normal.query(), uri.query());
    let path = normal.path();
    if path == "*" {
        return;
    }
    assert!(path.starts_with('/') && !path.contains("//"), "{path}");
    assert!(path.split('/').all(|segment| !matches!(segment, "." | "..")), "{path}");
    assert!(normalise(&normal).unwrap().is_none_or(|again| again == normal), "{path}");
});
