//! [`Reloader`]: the steps of a reload.

use std::sync::Arc;

use dunlin_http::Clock;
use dunlin_server::{Handle, Replacement};

use super::{Background, Origin, Outcome, Reloads, restart};
use crate::config::{Fingerprints, count};
use crate::failure::Failure;
use crate::log;
use crate::process::Manager;
use crate::service::{Built, Plan, Service, describe};

/// The parts that a reload works on.
pub(crate) struct Reloader {
    pub(crate) origin: Origin,
    pub(crate) service: Arc<Service>,
    pub(crate) server: Handle,
    pub(crate) background: Background,
    /// The configuration that the service was started with.
    pub(crate) started: Fingerprints,
}

// === impl Reloader ===

impl Reloader {
    /// Watches the files, if the configuration in use says so.
    pub(super) fn follow_files(&mut self, reloads: &Reloads) {
        self.background.follow_files(&self.origin, reloads);
    }

    /// Reads the files again, and serves by what they say. It logs its outcome.
    pub(super) async fn reload(&mut self) -> Outcome {
        let at = Clock::system().now();
        if self.server.is_stopping() {
            return Outcome { at, error: Some("the service is stopping".to_owned()), warnings: Vec::new() };
        }
        Manager.reloading();
        let done = self.run().await;
        let at = Clock::system().now();
        match done {
            Ok(warnings) => {
                let routes = count(self.service.plan().config().routes.len());
                warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
                tracing::info!("reloaded the configuration: {routes}");
                Manager.ready(&format!("serving {routes}"));
                Outcome { at, error: None, warnings }
            }
            Err(failure) => {
                let reason = failure.into_text();
                let error = reason.trim_end();
                tracing::error!(error, "the configuration was not reloaded, and all stays as it was");
                let first = reason.lines().next().unwrap_or_default();
                Manager.ready(&format!("not reloaded: {first}"));
                Outcome { at, error: Some(reason.trim_end().to_owned()), warnings: Vec::new() }
            }
        }
    }

    async fn run(&mut self) -> Result<Vec<String>, Failure> {
        let before = self.service.plan();
        let origin = self.origin.clone();
        // Reading and building would hold up the tasks of this thread.
        let known = before.clone();
        let plan = unblocked(move || Plan::new(origin.load()?, Some(&known))).await?;
        let plan = Arc::new(plan);
        match describe(&plan).await {
            Ok(wrong) if wrong.is_empty() => {}
            Ok(wrong) => return Err(Failure::Config(plan.config().explain(wrong, false))),
            Err(error) => tracing::warn!(%error, "reloading without the database, so the queries were not checked"),
        }
        let (service, next) = (self.service.clone(), plan.clone());
        let built = unblocked(move || Ok(service.build(next)?)).await?;
        let new = plan.config();
        let warnings = restart::warnings(&self.started, &new.fingerprints);
        let warnings = warnings.into_iter().chain(new.warning_lines()).collect();
        let (server, config) = (self.server.clone(), plan.clone());
        let replacement = unblocked(move || {
            let server_config = &config.config().server;
            Ok(server.replacement(&server_config.listen, server_config.tls.as_ref())?)
        });
        let replacement = replacement.await?;
        let (certificates, next) = (plan.certificates().clone(), plan.clone());
        unblocked(move || Ok(certificates.set(next.config().acme.as_ref())?)).await?;
        if let Err(error) = log::apply(&new.log) {
            let (certificates, known) = (plan.certificates().clone(), before.clone());
            let _ = unblocked(move || Ok(certificates.set(known.config().acme.as_ref())?)).await;
            return Err(error.into());
        }
        self.exchange(&plan, built, replacement).await?;
        Ok(warnings)
    }

    /// Serves by the new parts. Nothing fails from here on.
    async fn exchange(&mut self, plan: &Plan, built: Built, replacement: Replacement) -> Result<(), Failure> {
        let max_body = plan.config().server.max_body;
        self.background.leave_notices(plan);
        let service = self.service.clone();
        unblocked(move || {
            service.exchange(built);
            replacement.apply();
            let plan = service.plan();
            if let Err(error) = plan.watch_files() {
                tracing::error!(%error, "changed files of users and keys are not read again");
            }
            plan.look_at_files();
            Ok(())
        })
        .await?;
        self.server.set_max_body(max_body);
        self.background.follow_notices();
        self.background.follow();
        Ok(())
    }
}

/// Runs work that blocks on a thread for such work.
async fn unblocked<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(_) => Err(Failure::Other(anyhow::anyhow!("the reload broke off; please report this"))),
    }
}
