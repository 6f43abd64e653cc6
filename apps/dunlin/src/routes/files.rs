//! `files` routes: a folder of files.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use dunlin_http::{Body, Context, Handler, Metric, ReplyFuture, SharedHandler};
use http::Request;
use toml::de::{DeString, DeValue};

use super::path::Tail;
use super::{Cache, EventLoop, Head, Key, Kind, Prepared, Process, Room};
use crate::reader::{Diagnostic, Methods, Section, Value};

pub(super) const KIND: Kind = Kind {
    name: "files",
    keys: KEYS,
    methods: Methods::get,
    in_memory: true,
    forwards: false,
    read: |table, head| Files::read(table, head).map(|files| Box::new(files) as Box<dyn Room>),
};

const KEYS: &[Key] = &[
    Key::new("files", "", "the folder; the path ends in `{*name}`"),
    Key::new("index", "\"index.html\"", "the file that stands for a folder"),
    Key::new("spa", "false", "answer a page that does not exist with the index"),
    Key::new("listing", "false", "list folders without an index, as HTML or JSON"),
    Key::new("not_found", "", "the page for 404"),
    Key::new("immutable", "[]", "folders whose files never change under one name"),
    Key::new("precompressed", "true", "use `.zst`, `.br` and `.gz` beside a file"),
    Key::new("types", "{}", "media types by extension: `{ md = \"text/markdown\" }`"),
];

/// A `files` route as it was read.
#[derive(Debug)]
struct Files {
    root: PathBuf,
    config: dunlin_static::Config,
    tail: Tail,
}

/// The files below the part of the path that `{*rest}` matched.
#[derive(Clone)]
struct FilesHandler {
    files: dunlin_static::Files,
    tail: Tail,
}

// === impl Files ===

impl Files {
    fn read(table: &mut Section<'_>, head: &Head<'_>) -> Option<Self> {
        let value = table.get("files")?;
        let mut config = dunlin_static::Config::default();
        table.set("index", &mut config.index);
        table.set("spa", &mut config.spa);
        table.set("listing", &mut config.listing);
        table.set("not_found", &mut config.not_found);
        table.set("immutable", &mut config.immutable);
        table.set("precompressed", &mut config.precompressed);
        config.types = table.get("types").and_then(types).unwrap_or_default();
        if let Cache::Browser(browser) = head.cache {
            config.cache = *browser;
        }
        let errors = head.document.errors;
        if head.path.rest().is_none() {
            let path = head.path.as_str();
            let what = format!("the path \"{path}\" of a files route must end in {{*name}}");
            let meant = format!("{}/{{*path}}", path.trim_end_matches('/'));
            let diagnostic = Diagnostic::new(table.value_span("path"), what);
            errors.push(diagnostic.expected("a path that ends in {*path}").meant(Some(meant)));
            return None;
        }
        if !head.methods.all_safe() {
            let what = "files are only read";
            errors.push(Diagnostic::new(table.value_span("method"), what).expected("no method but GET"));
        }
        let span = value.span();
        let root = head.document.folder(value)?;
        if head.document.is_in(&root) {
            let what = "everyone can read the configuration, because it is in this folder";
            head.document.warnings.push(Diagnostic::new(span, what).expected("a folder of its own for the pages"));
        }
        Some(Self { root, config, tail: Tail::new(head.path) })
    }
}

impl Room for Files {
    fn describe(&self) -> String {
        self.root.display().to_string()
    }

    fn prepare(&self, _: &Process<'_>) -> Result<Box<dyn Prepared>> {
        let files = dunlin_static::Files::new(&self.root, self.config.clone())?;
        Ok(Box::new(FilesHandler { files, tail: self.tail }))
    }
}

/// Reads media types by extension.
fn types(value: Value<'_>) -> Option<Vec<(String, String)>> {
    const EXPECTED: &str = "a table of media types by extension, such as { md = \"text/markdown\" }";
    let DeValue::Table(table) = value.raw() else { return value.wrong_type(EXPECTED) };
    let entry = |(key, media): (&toml::Spanned<DeString<'_>>, &toml::Spanned<DeValue<'_>>)| {
        let DeValue::String(media) = media.get_ref() else { return value.wrong_type(EXPECTED) };
        Some((key.get_ref().clone().into_owned(), media.clone().into_owned()))
    };
    table.iter().map(entry).collect()
}

// === impl FilesHandler ===

impl Prepared for FilesHandler {
    fn build(&self, _: &EventLoop<'_>) -> Result<SharedHandler<Context>> {
        Ok(Arc::new(self.clone()))
    }

    fn metrics(&self) -> Vec<Metric> {
        self.files.stats().metrics()
    }
}

impl Handler<Context> for FilesHandler {
    type Error = Infallible;
    type Future = ReplyFuture;

    fn handle(&self, request: Request<Body>, _: &Context) -> ReplyFuture {
        let mut context = Context::default();
        context.rest = Some(self.tail.start(request.uri()));
        self.files.handle(request, &context)
    }
}
