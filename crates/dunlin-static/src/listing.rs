//! The list of what is in a folder, as HTML or JSON.

mod page;

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use dunlin_http::conditional::Validators;
use dunlin_http::list;
use dunlin_http::media_type::MediaType;
use dunlin_http::negotiate::qvalue;
use http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue};
use rustix::fs::{AtFlags, Dir, FileType};

use crate::entry::{Content, Variant};
use crate::lookup::Shared;
use crate::root::Wait;
use crate::stamp::Stamp;
use crate::tag::Digest;

/// What a folder is listed as.
pub(super) struct Item {
    name: String,
    folder: bool,
    len: u64,
    modified: SystemTime,
}

/// The most that is listed of one folder.
const MAX_ITEMS: usize = 10_000;

/// Lists the folder at `path` for a client that takes this. The answer has a tag, so a list that did not change costs
/// 304.
pub(crate) async fn list(shared: &Arc<Shared>, folder: File, path: &str, request: &HeaderMap) -> io::Result<Variant> {
    let json = prefers_json(request);
    let (work, path) = (Arc::clone(shared), path.to_owned());
    let make = move || {
        let (items, more) = read(&work, &folder, &path)?;
        Ok(variant(if json { page::json(&path, &items, more) } else { page::html(&path, &items, more) }, json))
    };
    shared.pool.disk(make).await
}

fn variant(text: String, json: bool) -> Variant {
    let validators = Validators { etag: Digest::of(&text).etag(), last_modified: None };
    let media = if json { "application/json" } else { "text/html; charset=utf-8" };
    let mut head = HeaderMap::with_capacity(8);
    head.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    head.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
    if let Some(etag) = &validators.etag {
        head.insert(ETAG, etag.to_value());
    }
    head.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    head.insert(VARY, HeaderValue::from_static("accept"));
    head.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if !json {
        // Whatever a file is called, the page runs nothing and loads nothing.
        let policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'self'";
        head.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    }
    let len = text.len() as u64;
    Variant { head, validators, len, content: Content::Memory { bytes: Bytes::from(text), id: None, mapping: None } }
}

/// Whether JSON is asked for rather than a page (RFC 9110 §12.5.1). Among equals it is the page.
fn prefers_json(request: &HeaderMap) -> bool {
    let weight = |essence: &str| {
        let named = list::elements(request, &ACCEPT).filter_map(MediaType::parse).filter(|media| media.is(essence));
        named.map(|media| media.parameter("q").map_or(Some(1000), |q| qvalue(&q)).unwrap_or(0)).max().unwrap_or(0)
    };
    weight("application/json") > weight("text/html")
}

/// What is in a folder that would be served, folders first, and whether there is more than is
/// listed.
fn read(shared: &Shared, folder: &File, path: &str) -> io::Result<(Vec<Item>, bool)> {
    let mut items = Vec::new();
    let mut more = false;
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let Some(item) = item(shared, folder, path, entry.file_name())? else { continue };
        if items.len() == MAX_ITEMS {
            more = true;
            break;
        }
        items.push(item);
    }
    items.sort_by_cached_key(|item: &Item| (!item.folder, item.name.to_lowercase(), item.name.clone()));
    Ok((items, more))
}

/// One name: nothing for what would get 404.
fn item(shared: &Shared, folder: &File, path: &str, name: &CStr) -> io::Result<Option<Item>> {
    let Some(name) = name.to_str().ok().filter(|name| crate::path::is_listed(path.is_empty(), name)) else {
        return Ok(None);
    };
    let Ok(stat) = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) else { return Ok(None) };
    // Pipes and devices are not even opened. The rest is, as for a request: what would get 404 is
    // not listed, such as a link that leads out of the root.
    if !matches!(FileType::from_raw_mode(stat.st_mode), FileType::Symlink | FileType::RegularFile | FileType::Directory)
    {
        return Ok(None);
    }
    let metadata = shared.root.open(&format!("{path}{name}"), Wait::Yes).and_then(|file| file.metadata());
    let Ok(metadata) = metadata else { return Ok(None) };
    if !metadata.is_file() && !metadata.is_dir() {
        return Ok(None);
    }
    let stamp = Stamp::of(&metadata);
    Ok(Some(Item { name: name.to_owned(), folder: metadata.is_dir(), len: stamp.len, modified: stamp.modified() }))
}
