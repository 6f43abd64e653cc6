//! `dunlin reload`: the running service reads its configuration again.
//!
//! The service is found by `[admin] listen` of the file, which may be wrong elsewhere.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use dunlin_fetch::Client;
use dunlin_http::Body;
use dunlin_server::Addr;
use http::{Request, StatusCode, Uri};
use serde_json::Value;

use super::print;
use crate::config::Config;
use crate::failure::Failure;

/// The time for which the outcome is awaited. A database may take long to check the queries.
const LIMIT: Duration = Duration::from_secs(600);
/// The limit of the answer, in bytes.
const MAX_ANSWER: usize = 16 << 20;

/// Makes the service that runs by this file read it again, and says how that ended.
pub(crate) fn reload(file: &Path) -> Result<(), Failure> {
    let name = file.display();
    let listen = Config::admin_addresses(file)?.with_context(|| {
        format!("{name} has no [admin], by which the running service is found; SIGHUP makes it reload, too")
    })?;
    let url = listen.iter().find_map(url).with_context(|| {
        format!("[admin] listen of {name} is no address that can be connected to; SIGHUP makes the service reload, too")
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(request(&url))?;
    if let Some(error) = outcome["error"].as_str() {
        return Err(Failure::Config(format!("{error}\nnot reloaded: the service goes on as it was\n")));
    }
    for warning in outcome["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        eprintln!("warning: {warning}");
    }
    print(&format!("reloaded {name}\n"))
}

/// The URL of the service's page for reloads. `None` for an address that only the service knows.
fn url(addr: &Addr) -> Option<Uri> {
    let authority = match addr {
        Addr::Tcp(addr) if addr.port() != 0 => {
            let mut addr = *addr;
            match addr.ip() {
                IpAddr::V4(ip) if ip.is_unspecified() => addr.set_ip(Ipv4Addr::LOCALHOST.into()),
                IpAddr::V6(ip) if ip.is_unspecified() => addr.set_ip(Ipv6Addr::LOCALHOST.into()),
                _ => {}
            }
            addr.to_string()
        }
        Addr::Unix(path) => format!("unix:{}:", std::path::absolute(path).ok()?.display()),
        _ => return None,
    };
    format!("http://{authority}/reload").parse().ok()
}

/// The outcome of the reload, as the service says it.
async fn request(url: &Uri) -> anyhow::Result<Value> {
    let config = dunlin_fetch::Config { response_timeout: LIMIT, read_timeout: LIMIT, ..Default::default() };
    let mut request = Request::post(url.clone()).body(Body::empty())?;
    request.headers_mut().insert(http::header::ACCEPT, http::HeaderValue::from_static("application/json"));
    let sent = Client::new(config)?.request(request).await;
    let response = sent.map_err(|error| anyhow!("no service answers at {url}: {error}"))?;
    let status = response.status();
    let body = response.into_body().collect(MAX_ANSWER).await?;
    match status {
        StatusCode::OK => serde_json::from_slice(&body).context("the service gave an answer that is no JSON"),
        _ => Err(anyhow!("the service at {url} answered {status}: {}", String::from_utf8_lossy(&body).trim())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_where_the_service_listens() {
        #[track_caller]
        fn check(addr: &str, expect: Option<&str>) {
            assert_eq!(url(&addr.parse().unwrap()).map(|url| url.to_string()).as_deref(), expect, "{addr}");
        }
        check("127.0.0.1:8081", Some("http://127.0.0.1:8081/reload"));
        check("0.0.0.0:8081", Some("http://127.0.0.1:8081/reload"));
        check("[::]:8081", Some("http://[::1]:8081/reload"));
        check("10.0.0.7:0", None);
        check("systemd:admin", None);
    }
}
