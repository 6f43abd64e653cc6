//! `POST /purge`: removal of stored responses.
//!
//! `?all=true`, `?url=https://host/path`, `?prefix=https://host/folder/` or `?prefix=/folder/` for
//! every host, and `?group=users`, each any number of times. The same works as a JSON object:
//! `{"all": true, "url": ["…"], "prefix": "…", "group": "users"}`.

use dunlin_cache::Cache;
use dunlin_http::media_type::MediaType;
use dunlin_http::{Body, Problem, query};
use http::{Request, Response, StatusCode, Uri};
use serde_json::{Value, json};

/// The responses to remove.
#[derive(Debug, Default, PartialEq)]
struct Purge {
    all: bool,
    urls: Vec<Uri>,
    prefixes: Vec<Uri>,
    groups: Vec<String>,
}

pub(super) async fn purge(cache: &Cache, request: Request<Body>) -> Response<Body> {
    match read(request).await {
        Err(problem) => problem.into_response(),
        Ok(purge) => {
            let removed = purge.perform(cache);
            tracing::info!(
                all = purge.all,
                urls = purge.urls.len(),
                prefixes = purge.prefixes.len(),
                groups = purge.groups.join(" "),
                removed,
                "purged"
            );
            let texts = |urls: &[Uri]| urls.iter().map(Uri::to_string).collect::<Vec<_>>();
            let (urls, prefixes) = (texts(&purge.urls), texts(&purge.prefixes));
            let purged = json!({"all": purge.all, "url": urls, "prefix": prefixes, "group": purge.groups});
            let document = json!({"purged": purged, "removed": removed});
            super::typed("application/json", document.to_string())
        }
    }
}

async fn read(request: Request<Body>) -> Result<Purge, Problem> {
    let mut purge = Purge::default();
    for (name, value) in query::pairs(request.uri().query().unwrap_or("")) {
        purge.add(&name, &Value::String(value.into_owned())).map_err(bad)?;
    }
    if MediaType::of(request.headers()).is_some_and(|media| media.is_json()) {
        let bytes = request.into_body().collect(64 * 1024).await.map_err(|error| Problem::new(error.status()))?;
        let document = serde_json::from_slice(&bytes).map_err(|error| bad(format!("the body is no JSON: {error}")))?;
        let Value::Object(members) = document else { return Err(bad("the body is no JSON object")) };
        for (name, value) in members {
            purge.add(&name, &value).map_err(bad)?;
        }
    }
    if purge == Purge::default() {
        return Err(bad("nothing to purge: give url, prefix, group or all=true"));
    }
    Ok(purge)
}

fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST).detail(detail)
}

// === impl Purge ===

impl Purge {
    fn add(&mut self, name: &str, value: &Value) -> Result<(), String> {
        match (name, value) {
            ("url" | "urls" | "prefix" | "prefixes" | "group" | "groups", Value::Array(values)) => {
                values.iter().try_for_each(|value| self.add(name, value))
            }
            ("all", Value::Bool(all)) => {
                self.all |= all;
                Ok(())
            }
            ("all", Value::String(all)) if matches!(&**all, "" | "true" | "1" | "false" | "0") => {
                self.all |= !matches!(&**all, "false" | "0");
                Ok(())
            }
            ("url" | "urls", Value::String(url)) => {
                let parsed = url.parse::<Uri>().ok().filter(|url| url.scheme().is_some() && url.host().is_some());
                self.urls.push(
                    parsed
                        .ok_or_else(|| format!("{url:?} is no URL with a host, as \"https://example.com/path\" is"))?,
                );
                Ok(())
            }
            ("prefix" | "prefixes", Value::String(prefix)) => {
                let parsed = prefix.parse::<Uri>().ok().filter(|url| {
                    let is_path = prefix.starts_with('/');
                    (is_path || url.scheme().is_some() && url.host().is_some()) && url.query().is_none()
                });
                let expected = "neither a path nor a URL with a host and without a query";
                self.prefixes.push(parsed.ok_or_else(|| format!("{prefix:?} is {expected}"))?);
                Ok(())
            }
            ("group" | "groups", Value::String(group)) if !group.is_empty() => {
                self.groups.push(group.clone());
                Ok(())
            }
            ("all" | "url" | "urls" | "prefix" | "prefixes" | "group" | "groups", _) => {
                Err(format!("{name} cannot be {value}"))
            }
            _ => Err(format!("{name} = {value} is none of url, prefix, group and all")),
        }
    }

    /// Returns the number of responses that were removed from memory.
    fn perform(&self, cache: &Cache) -> u64 {
        let all = if self.all { cache.purge_all() } else { 0 };
        let groups = if self.groups.is_empty() { 0 } else { cache.purge_groups(&self.groups) };
        let urls: u64 = self.urls.iter().map(|url| cache.purge_url(url)).sum();
        let prefixes: u64 = self.prefixes.iter().map(|url| cache.purge_prefix(url)).sum();
        all + groups + urls + prefixes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn asks_are_read_from_the_query_and_from_json() {
        #[track_caller]
        fn check(read: Result<Purge, Problem>, expect: Option<(bool, &[&str], &[&str])>) {
            let read = read.ok().map(|purge| {
                let urls: Vec<String> = purge.urls.iter().map(Uri::to_string).collect();
                (purge.all, urls, purge.groups)
            });
            let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
            assert_eq!(read, expect.map(|(all, urls, groups)| (all, owned(urls), owned(groups))));
        }
        let ask = async |target: &str, json: &str| {
            let request = Request::post(target).header("content-type", "application/json");
            let request = if json.is_empty() { Request::post(target) } else { request };
            read(request.body(Body::from(json.to_owned())).unwrap()).await
        };
        check(ask("/purge?all=true", "").await, Some((true, &[], &[])));
        check(ask("/purge?group=a&group=b", "").await, Some((false, &[], &["a", "b"])));
        check(ask("/purge?url=http%3A%2F%2Fa%2Fb%3Fc", "").await, Some((false, &["http://a/b?c"], &[])));
        check(ask("/purge", r#"{"url": ["http://a/"], "group": "x"}"#).await, Some((false, &["http://a/"], &["x"])));
        let prefixes = read(Request::post("/purge?prefix=/a/&prefix=http://a/b").body(Body::empty()).unwrap()).await;
        assert_eq!(prefixes.ok().unwrap().prefixes, ["/a/", "http://a/b"]);
        for (target, json) in [
            ("/purge", ""),
            ("/purge?all=false", ""),
            ("/purge?all=maybe", ""),
            ("/purge?url=", ""),
            ("/purge?url=example.com", ""),
            ("/purge?group=", ""),
            ("/purge?prefix=a", ""),
            ("/purge?prefix=/a?b", ""),
            ("/purge?prefix=example.com", ""),
            ("/purge?grop=a", ""),
            ("/purge", "[]"),
            ("/purge", "{"),
            ("/purge", r#"{"group": 1}"#),
        ] {
            check(ask(target, json).await, None);
        }
    }
}
