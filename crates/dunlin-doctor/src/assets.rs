//! The files that an HTML page names.

use url::Url;

/// The elements that name a file which the page needs, each with the attribute.
const ELEMENTS: [(&str, &str); 3] = [("<link", "href"), ("<script", "src"), ("<img", "src")];

/// The style sheets, scripts and pictures of the page's own origin, each once, at most `limit`.
pub(crate) fn of(html: &str, page: &Url, limit: usize) -> Vec<Url> {
    let lower = html.to_ascii_lowercase();
    let mut found: Vec<Url> = Vec::new();
    for (element, attribute) in ELEMENTS {
        for (at, _) in lower.match_indices(element) {
            let end = lower[at..].find('>').map_or(lower.len(), |end| at + end);
            let (Some(tag), Some(lower)) = (html.get(at..end), lower.get(at..end)) else { continue };
            if element == "<link" && !lower.contains("stylesheet") && !lower.contains("icon") {
                continue;
            }
            let Some(url) = value(tag, lower, attribute).and_then(|value| page.join(value).ok()) else { continue };
            if url.origin() == page.origin() && !found.contains(&url) && url != *page {
                found.push(url);
            }
        }
    }
    found.truncate(limit);
    found
}

/// The value of an attribute.
fn value<'t>(tag: &'t str, lower: &str, attribute: &str) -> Option<&'t str> {
    let named =
        lower.match_indices(attribute).find(|(at, _)| lower[..*at].ends_with(|c: char| c.is_ascii_whitespace()));
    let from = named?.0 + attribute.len();
    let rest = tag.get(from..)?.trim_start().strip_prefix('=')?.trim_start();
    match rest.chars().next()? {
        quote @ ('"' | '\'') => rest[1..].split(quote).next(),
        _ => rest.split_ascii_whitespace().next(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_own_origin_are_found() {
        let page = Url::parse("https://a.test/x/").unwrap();
        let html = "<html><LINK rel=stylesheet href=\"/a.css\"><script src='b.js'></script>\
            <script>let src = 1</script><img alt=src src=/c.png alt=c><img src=\"https://b.test/d.png\">\
            <link rel=canonical href=/e><script src=\"b.js\"></script><img src=\"data:image/png,x\"";
        let found: Vec<String> = of(html, &page, 9).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["https://a.test/a.css", "https://a.test/x/b.js", "https://a.test/c.png"]);
        assert_eq!(of(html, &page, 1).len(), 1);
        assert!(of("<img src", &page, 9).is_empty() && of("<script src=", &page, 9).is_empty());
    }
}
