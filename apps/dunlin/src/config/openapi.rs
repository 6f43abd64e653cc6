//! `[openapi]`: the interface's name, and the routes that describe it.

use toml::de::DeTable;

use super::route::Route;
use crate::admit::Admission;
use crate::finish::Finish;
use crate::openapi::api::Info;
use crate::reader::{Document, Methods, Pattern, Value};
use crate::routes::Cache;
use crate::routes::openapi::{Content, KIND};

const PAGE: &str = include_str!("../openapi/page.html");

/// `[openapi]` as it was read: the interface's name, and the routes that describe it.
pub(crate) struct OpenApi {
    pub(crate) info: Info,
    pub(crate) routes: Vec<Route>,
}

// === impl OpenApi ===

impl OpenApi {
    /// Reads `[openapi]`. Conditions and edits of routes are possible, too.
    pub(crate) fn read<'d>(
        value: Value<'d>,
        defaults: Option<&'d DeTable<'d>>,
        document: &Document<'_>,
    ) -> Option<Self> {
        let mut table = value.section("[openapi]")?;
        let mut info = Info::default();
        table.set("title", &mut info.title);
        table.set("version", &mut info.version);
        let path = table.require::<Pattern>("path");
        let page: Option<Pattern> = table.read("page");
        let spans = (table.value_span("path"), table.value_span("page"));
        let mut table = table.with_defaults(defaults);
        let admission = Admission::read(&mut table, &[], document);
        let finish = Finish::read(&mut table, Some(&[]), document);
        let log = table.or("log", true);
        table.finish(|_| None);
        let (path, admission, finish) = (path?, admission?, finish?);
        let script =
            serde_json::json!({"path": path.as_str(), "title": info.title}).to_string().replace('<', "\\u003c");
        let html = PAGE.replace("/*settings*/", &script);
        let route = |span, path, content| Route {
            span,
            path,
            hosts: Vec::new(),
            methods: Methods::get(),
            kind: &KIND,
            room: Box::new(content),
            compress: true,
            decode: false,
            cache: Cache::Off,
            max_body: None,
            admission: admission.clone(),
            finish: finish.clone(),
            log,
            fingerprint: None,
        };
        let mut routes = vec![route(spans.0, path, Content::Document)];
        routes.extend(page.map(|page| route(spans.1, page, Content::Page(html.into()))));
        Some(Self { info, routes })
    }
}
