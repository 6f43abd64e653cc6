//! Active checks of servers.

use std::sync::Arc;
use std::time::Duration;

use dunlin_http::Body;
use http::header::HOST;
use http::{Request, Uri};
use tokio::task::JoinSet;

use super::config::HealthCheck;
use super::policy::Streak;
use super::state::Upstream;
use crate::client::{Origin, RequestOptions};
use crate::{Client, Config, Error};

// === impl Upstream ===

impl Upstream {
    /// Checks all servers, on the runtime that polls the future, until it is dropped. One is enough
    /// for a process. It ends at once if the upstream has no [`HealthCheck`].
    ///
    /// `config` has the certificates to trust; connections and their limits are the checks' own.
    ///
    /// # Errors
    /// [`Error::Certificates`], and [`Error::Uri`] for a path that is none.
    pub async fn run_checks(self: Arc<Self>, config: Config) -> Result<(), Error> {
        let Some(check) = &self.config.health else { return Ok(()) };
        let path: Uri = check.path.parse().map_err(|_| Error::Uri(check.path.clone()))?;
        // Every check opens a connection, because that is a part of what it checks.
        let own = Config {
            connect_timeout: check.timeout,
            max_idle: 0,
            max_age: Duration::ZERO,
            max_connections: 1,
            ..config
        };
        let client = Client::new(own)?;
        let mut tasks = JoinSet::new();
        for (index, server) in self.servers.iter().enumerate() {
            let origin = client.origin(server.address.clone(), 1, self.config.protocol)?;
            tasks.spawn(self.clone().check_server(index, origin, path.clone(), check.clone()));
        }
        while tasks.join_next().await.is_some() {}
        drop(client);
        Ok(())
    }

    async fn check_server(self: Arc<Self>, index: usize, origin: Arc<Origin>, path: Uri, check: HealthCheck) {
        let Some(server) = self.servers.get(index) else { return };
        let mut streak = Streak::new();
        loop {
            let result = probe(&origin, &path, &check).await;
            if streak.note(result.is_ok(), check.healthy, check.unhealthy) {
                server.set_healthy(streak.is_healthy, self.now());
                if let Err(reason) = &result {
                    server.set_reason(reason.clone());
                }
                match &result {
                    Ok(()) => {
                        self.succeeded(index);
                    }
                    Err(reason) if server.report() => {
                        tracing::warn!(
                            "upstream {}: {} is unhealthy: {reason}; it gets no requests until checks succeed",
                            self.name,
                            server.name
                        );
                    }
                    Err(_) => {}
                }
            }
            tokio::time::sleep(check.interval).await;
        }
    }
}

/// Checks a server once.
async fn probe(origin: &Arc<Origin>, path: &Uri, check: &HealthCheck) -> Result<(), String> {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = path.clone();
    request.headers_mut().insert(HOST, origin.host.clone());
    let (response_timeout, read_timeout) = (check.timeout, check.timeout);
    let options = RequestOptions { response_timeout, read_timeout, retry: false, expect_timeout: None };
    let sent = origin.attempt(request, options, None, None, None);
    match tokio::time::timeout(check.timeout, sent).await {
        Err(_) => Err(format!("no response within {:?}", check.timeout)),
        Ok(Err(failed)) => Err(failed.error.to_string()),
        Ok(Ok(received)) => match received.response.status() {
            status if status.as_u16() < 400 => Ok(()),
            status => Err(format!("status {}", status.as_u16())),
        },
    }
}
