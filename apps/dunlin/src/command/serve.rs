//! `dunlin serve`: from the configuration to the last response.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use dunlin_http::BoxError;
use dunlin_server::{Addr, Handle, Running, Server};

use super::check::describe;
use super::signals::Signals;
use crate::admin::{self, Health};
use crate::config::Config;
use crate::failure::{Failure, is_coloured};
use crate::log;
use crate::notices::{self, Following};
use crate::process::{self, Manager, Watchdog};
use crate::service::Plan;

/// Runs the service until a signal stops it, and then until the requests in flight are answered.
pub(crate) fn serve(mut config: Config, listen: Vec<Addr>) -> Result<(), Failure> {
    if !listen.is_empty() {
        config.server.listen = listen.into_iter().map(Into::into).collect();
    }
    // Before the first thread, because a thread keeps the rights that it began with.
    let restricted = config.restrict.then(|| process::restrict(&config.written_folders()));
    log::apply(&config.log)?;
    match restricted {
        Some(Ok(outcome)) => tracing::debug!("the process {outcome}"),
        Some(Err(error)) => {
            tracing::warn!(error, "the process is not restricted; [server] restrict = false hides this");
        }
        None => {}
    }
    for warning in config.warning_lines() {
        tracing::warn!("{warning}");
    }
    // An address that cannot be bound fails the start before anything else begins.
    let server = Server::bind(config.server.clone())?;
    let admin = config.admin.as_ref().map(|admin| Server::bind(admin.server(&config.server))).transpose()?;
    let control = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut signals = control.block_on(async { Signals::new() })?;
    if let Some(account) = &config.account {
        account.assume()?;
    }
    let plan = Arc::new(Plan::new(config)?);
    plan.watch_files()?;
    let notices = control.block_on(prepare(&plan))?;

    let health = Arc::new(Health::new(&plan));
    let watchdog = Watchdog::new(plan.config().loops());
    let running = start(server, &plan, &health, &watchdog)?;
    let handle = running.handle();
    let admin = admin.map(|server| admin::start(server, &plan, &health, &handle)).transpose()?;
    for addr in running.local_addrs() {
        tracing::info!(%addr, routes = plan.config().routes.len(), "serving");
    }
    let outcome = control.block_on(async {
        watchdog.run(handle.clone());
        tokio::spawn(end_events(plan.clone(), handle));
        tokio::spawn(describe_later(plan.clone()));
        Manager.ready(&format!("serving {}", super::count(plan.config().routes.len())));
        stop(running, &mut signals).await
    });
    drop((notices, admin));
    match outcome.cut {
        0 => tracing::info!("stopped: every request was answered"),
        cut => tracing::warn!(cut, "stopped: connections were cut"),
    }
    Ok(())
}

/// Prepares the queries, and begins to follow notices. A database that is away does not keep the
/// service from starting; a query that it refuses does.
async fn prepare(plan: &Arc<Plan>) -> Result<Option<Following>, Failure> {
    let notices = notices::follow(plan);
    match describe(plan).await {
        Ok(wrong) if wrong.is_empty() && notices.is_some() => notices::connected(plan).await,
        Ok(wrong) if wrong.is_empty() => {}
        Ok(wrong) => return Err(Failure::Config(plan.config().explain(wrong, is_coloured()))),
        Err(error) => tracing::warn!(%error, "starting without the database"),
    }
    Ok(notices)
}

/// Starts the loops, each with a service of its own.
fn start(server: Server, plan: &Arc<Plan>, health: &Arc<Health>, watchdog: &Watchdog) -> Result<Running, Failure> {
    let (plan, health, watchdog) = (plan.clone(), health.clone(), watchdog.clone());
    let running = server.start(move |info| {
        let (plan, health, watchdog) = (plan.clone(), health.clone(), watchdog.clone());
        async move {
            watchdog.begin(info.index);
            let (app, pool) = plan.build()?;
            if info.index == 0 {
                plan.start_checks();
            }
            if let Some(pool) = pool.filter(|_| info.index == 0) {
                tokio::spawn(health.watch(pool));
            }
            Ok::<_, BoxError>(app)
        }
    });
    Ok(running.context("cannot start")?)
}

/// Completes the OpenAPI document if the database was away at the start.
async fn describe_later(plan: Arc<Plan>) {
    while plan.config().openapi.is_some() && !plan.interface().is_complete() {
        tokio::time::sleep(Duration::from_secs(2)).await;
        if let Ok(wrong) = describe(&plan).await {
            for line in plan.config().explain(wrong, false).lines().filter(|line| !line.is_empty()) {
                tracing::error!("{line}");
            }
        }
    }
}

/// Ends the streams of events when the service no longer accepts connections, so that it does not
/// wait for them. Their clients reconnect elsewhere, or later.
async fn end_events(plan: Arc<Plan>, handle: Handle) {
    let Some(hub) = plan.hub() else { return };
    handle.stopping().await;
    tokio::time::sleep(plan.config().server.lame_duck).await;
    hub.close();
}

/// Waits for the end: a signal begins it, a second one cuts it short.
async fn stop(running: Running, signals: &mut Signals) -> dunlin_server::Outcome {
    let handle = running.handle();
    let stopped = running.stopped();
    tokio::pin!(stopped);
    tokio::select! {
        // Another process has taken the sockets over.
        outcome = &mut stopped => return outcome,
        name = signals.stop() => tracing::info!(signal = name, "stopping: answering what is under way"),
    }
    Manager.stopping();
    handle.shutdown();
    tokio::select! {
        outcome = &mut stopped => return outcome,
        name = signals.stop() => tracing::warn!(signal = name, "stopping now"),
    }
    handle.abort();
    stopped.await
}
