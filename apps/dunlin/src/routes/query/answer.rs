//! `status`, `location`, `page` and `raw`: the form of the answer to a query.

use dunlin_pg::{Location, MediaTypeSource, Page, Query as Declaration, Raw};
use http::{HeaderValue, StatusCode};

use crate::reader::{Diagnostic, Read as _, Section, Value, media_type};

/// The numbers of rows of a page that does not say otherwise.
const PAGE: Page = Page { size: 50, max: 500 };

/// Reads the keys into the declaration.
pub(super) fn read(table: &mut Section<'_>, declaration: &mut Declaration) {
    declaration.location = table.get("location").and_then(location);
    let has_location = table.has("location");
    match table.get("status").and_then(|value| status(value, has_location)) {
        Some(status) => declaration.status = status,
        // RFC 9110 §9.3.3: a POST that has created a resource tells its URL with 201.
        None if has_location => declaration.status = StatusCode::CREATED,
        None => {}
    }
    declaration.page = table.get("page").and_then(page);
    declaration.raw = table.get("raw").and_then(raw);
}

fn location(value: Value<'_>) -> Option<Location> {
    let text = value.str("a URL such as \"/users/{id}\"")?;
    match Location::parse(text) {
        Ok(location) => Some(location),
        Err(error) => {
            let diagnostic = Diagnostic::new(value.span(), error.to_string());
            value.error(diagnostic.expected("a URL such as \"/users/{id}\", with columns of the row"));
            None
        }
    }
}

fn status(value: Value<'_>, has_location: bool) -> Option<StatusCode> {
    // RFC 9110 §10.2.2: Location has a meaning for these.
    const WITH_LOCATION: &str = "201, or 303, with \"location\"";
    let number = match has_location {
        true => value.integer(201, 303, WITH_LOCATION)?,
        false => value.integer(200, 299, "a status of success, 200 to 299")?,
    };
    if has_location && ![201, 303].contains(&number) {
        return value.wrong(number, WITH_LOCATION, None);
    }
    StatusCode::from_u16(number as u16).ok()
}

fn page(value: Value<'_>) -> Option<Page> {
    let mut table = value.section("page")?;
    let size = table.or("size", PAGE.size);
    let max = table.or("max", PAGE.max.max(size));
    table.finish(|_| None);
    Some(Page { size, max })
}

fn raw(value: Value<'_>) -> Option<Raw> {
    let mut table = value.section("raw")?;
    let body: Option<String> = table.require("body");
    let media_type = match table.get("type") {
        None => MediaTypeSource::Fixed(HeaderValue::from_static("application/octet-stream")),
        Some(value) if value.str("a column, or a media type")?.contains('/') => {
            MediaTypeSource::Fixed(media_type(value)?)
        }
        Some(value) => MediaTypeSource::Column(String::read(value)?.into()),
    };
    table.finish(|_| None);
    Some(Raw { body: body?.into(), media_type })
}
