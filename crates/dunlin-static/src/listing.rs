//! Lists the files of a folder, as HTML or JSON.

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

use crate::entry::{Content, Memory, Variant};
use crate::root::Wait;
use crate::shared::Shared;
use crate::stamp::Stamp;
use crate::tag::Digest;

/// One item of a list.
pub(super) struct Item {
    name: String,
    folder: bool,
    len: u64,
    modified: SystemTime,
}

/// The limit of items in one list.
const MAX_ITEMS: usize = 10_000;

/// A list of a folder, as a representation.
pub(crate) struct Page {
    pub(crate) variant: Variant,
    pub(crate) content: Memory,
}

/// Lists the folder at `path`, in the format that the request prefers. A list has a tag, so that a
/// client can revalidate it.
pub(crate) async fn list(shared: &Arc<Shared>, folder: File, path: &str, request: &HeaderMap) -> io::Result<Page> {
    let json = prefers_json(request);
    let (work, path) = (Arc::clone(shared), path.to_owned());
    let list = move || {
        let (items, more) = read(&work, &folder, &path)?;
        Ok(page(if json { page::json(&path, &items, more) } else { page::html(&path, &items, more) }, json))
    };
    shared.pool.disk(list).await
}

fn page(text: String, json: bool) -> Page {
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
        // A file name can neither run nor load anything in the page.
        let policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'self'";
        head.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    }
    let len = text.len() as u64;
    let content = Memory { bytes: Bytes::from(text), id: None, mapping: None };
    Page { variant: Variant { head, validators, len, content: Content::Memory(content.clone()) }, content }
}

/// Returns `true` if the request prefers JSON to HTML (RFC 9110 §12.5.1). Equal weights mean HTML.
fn prefers_json(request: &HeaderMap) -> bool {
    let weight = |essence: &str| {
        let named = list::elements(request, &ACCEPT).filter_map(MediaType::parse).filter(|media| media.is(essence));
        named.map(|media| media.parameter("q").map_or(Some(1000), |q| qvalue(&q)).unwrap_or(0)).max().unwrap_or(0)
    };
    weight("application/json") > weight("text/html")
}

/// Reads the items of a folder that are served, folders first. Also returns `true` if there are
/// more than the limit.
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

/// Makes an item for a name. Returns `None` if a request for it would get 404.
fn item(shared: &Shared, folder: &File, path: &str, name: &CStr) -> io::Result<Option<Item>> {
    let Some(name) = name.to_str().ok().filter(|name| crate::path::is_served(path.is_empty(), name)) else {
        return Ok(None);
    };
    let Ok(stat) = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) else { return Ok(None) };
    // Pipes and devices are not even opened. The rest is opened as for a request, so that a link
    // out of the root is not listed.
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
