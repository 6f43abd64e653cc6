//! [`Background`]: the tasks that belong to a plan.

use std::sync::Arc;

use dunlin_fetch::Upstream;
use tokio::task::AbortHandle;

use super::{Origin, Reloads, watch};
use crate::notices::{self, Following};
use crate::reader::Fingerprint;
use crate::service::{Health, Plan, Service, describe_later};

/// The tasks that belong to a plan. Those of a part that a reload keeps go on.
pub(crate) struct Background {
    service: Arc<Service>,
    health: Arc<Health>,
    checks: Vec<(Arc<Upstream>, Task)>,
    /// The watch over the database, with the settings of that.
    database: Option<(Fingerprint, Task)>,
    notices: Option<Following>,
    describing: Option<Task>,
    watching: Option<Task>,
}

/// A task that ends when this is dropped.
struct Task(AbortHandle);

// === impl Background ===

impl Background {
    pub(crate) fn new(service: Arc<Service>, health: Arc<Health>) -> Self {
        Self { service, health, checks: Vec::new(), database: None, notices: None, describing: None, watching: None }
    }

    /// Ends the following of notices that are not those of `plan`. From then on notices may be
    /// lost, until [`Background::follow_notices`].
    pub(crate) fn leave_notices(&mut self, plan: &Plan) {
        if !self.notices.as_ref().is_some_and(|following| following.is_for(plan)) {
            // It ends first, so that it cannot say that notices arrive.
            self.notices = None;
            plan.set_notices_lost(!plan.groups().is_empty());
        }
    }

    /// Begins to follow the notices of the database, as the plan in use needs it. Returns `true` if
    /// it does. It belongs to the runtime of the commands.
    pub(crate) fn follow_notices(&mut self) -> bool {
        if self.notices.is_none() {
            self.notices = notices::follow(&self.service, &self.service.plan());
        }
        self.notices.is_some()
    }

    /// Begins the other tasks of the plan in use, and ends those that only an earlier plan needs.
    pub(crate) fn follow(&mut self) {
        let plan = self.service.plan();
        let Some((runtime, pool)) = self.service.first_loop() else { return };
        let upstreams = &plan.config().upstreams;
        self.checks.retain(|(known, _)| upstreams.iter().any(|upstream| Arc::ptr_eq(upstream, known)));
        for upstream in upstreams {
            if !self.checks.iter().any(|(known, _)| Arc::ptr_eq(upstream, known)) {
                let task = runtime.spawn(check(upstream.clone(), plan.config().fetch.clone())).abort_handle();
                self.checks.push((upstream.clone(), Task(task)));
            }
        }
        let settings = plan.config().fingerprints.database;
        match pool {
            None => {
                self.database = None;
                self.health.no_database();
            }
            Some(pool) if self.database.as_ref().is_none_or(|(known, _)| *known != settings) => {
                self.database = None;
                let task = runtime.spawn(self.health.clone().watch(pool)).abort_handle();
                self.database = Some((settings, Task(task)));
            }
            Some(_) => {}
        }
        self.describe(plan);
    }

    /// Begins or ends the watch over the files of the configuration, as the plan in use needs it.
    pub(super) fn follow_files(&mut self, origin: &Origin, reloads: &Reloads) {
        let plan = self.service.plan();
        let config = plan.config();
        if !config.watch {
            self.watching = None;
        } else if self.watching.is_none() {
            let watch = watch::watch(origin.file.clone(), config.files.clone(), reloads.clone());
            self.watching = Some(Task(tokio::spawn(watch).abort_handle()));
        }
    }

    fn describe(&mut self, plan: Arc<Plan>) {
        self.describing = Some(Task(tokio::spawn(describe_later(plan)).abort_handle()));
    }
}

/// Checks the servers of an upstream, for ever.
async fn check(upstream: Arc<Upstream>, config: dunlin_fetch::Config) {
    let name = upstream.name().to_owned();
    if let Err(error) = upstream.run_checks(config).await {
        tracing::error!("upstream {name}: no health checks: {error}");
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
