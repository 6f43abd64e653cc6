//! `dunlin serve`: from the configuration to the last response.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use dunlin_http::BoxError;
use dunlin_server::{Handle, Running, Server};

use super::signals::Signals;
use crate::admin;
use crate::certificates;
use crate::failure::{Failure, is_coloured};
use crate::log;
use crate::notices;
use crate::process::{self, Manager, Watchdog};
use crate::reload::{Background, Origin, Reloader, Reloads};
use crate::service::{Health, Plan, Service, describe};

/// Runs the service until a signal stops it, and then until the requests in flight are answered.
pub(crate) fn serve(origin: Origin) -> Result<(), Failure> {
    let config = origin.load()?;
    certificates::prepare_storage(&config);
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
    let plan = Plan::new(config, None)?;
    let (started, lame_duck) = (plan.config().fingerprints.clone(), plan.config().server.lame_duck);
    plan.watch_files()?;
    let health = Arc::new(Health::new(&plan));
    let watchdog = Watchdog::new(plan.config().loops());
    let service = Arc::new(Service::new(plan));
    control.block_on(async { service.plan().certificates().set(service.plan().config().acme.as_ref()) })?;
    let mut background = Background::new(service.clone(), health.clone());
    control.block_on(prepare(&service, &mut background))?;

    let running = start(server, &service, &watchdog)?;
    let (handle, reloads) = (running.handle(), Reloads::default());
    let admin = admin.map(|server| admin::start(server, &service, &health, &handle, &reloads)).transpose()?;
    let routes = service.plan().config().routes.len();
    for addr in running.local_addrs() {
        tracing::info!(%addr, routes, "serving");
    }
    let outcome = control.block_on(async {
        watchdog.run(handle.clone());
        background.follow();
        tokio::spawn(end_events(service.clone(), handle.clone(), lame_duck));
        let reloader = Reloader { origin, service, server: handle, background, started };
        tokio::spawn(reloads.clone().serve(reloader));
        Manager.ready(&format!("serving {}", crate::config::count(routes)));
        stop(running, &mut signals, &reloads).await
    });
    // Its tasks end before the loops that they ask are gone.
    control.shutdown_background();
    drop(admin);
    match outcome.cut {
        0 => tracing::info!("stopped: every request was answered"),
        cut => tracing::warn!(cut, "stopped: connections were cut"),
    }
    Ok(())
}

/// Prepares the queries, and begins to follow notices. A database that is away does not keep the
/// service from starting; a query that it refuses does.
async fn prepare(service: &Arc<Service>, background: &mut Background) -> Result<(), Failure> {
    let plan = service.plan();
    let follows = background.follow_notices();
    match describe(&plan).await {
        Ok(wrong) if wrong.is_empty() && follows => notices::connected(&plan).await,
        Ok(wrong) if wrong.is_empty() => {}
        Ok(wrong) => return Err(Failure::Config(plan.config().explain(wrong, is_coloured()))),
        Err(error) => tracing::warn!(%error, "starting without the database"),
    }
    Ok(())
}

/// Starts the loops, each with a service of its own.
fn start(server: Server, service: &Arc<Service>, watchdog: &Watchdog) -> Result<Running, Failure> {
    let (service, watchdog) = (service.clone(), watchdog.clone());
    let running = server.start(move |info| {
        let (service, watchdog) = (service.clone(), watchdog.clone());
        async move {
            watchdog.begin(info.index);
            Ok::<_, BoxError>(service.join(info.index)?)
        }
    });
    Ok(running.context("cannot start")?)
}

/// Ends the streams of events when the service no longer accepts connections, so that it does not
/// wait for them. Their clients reconnect elsewhere, or later.
async fn end_events(service: Arc<Service>, handle: Handle, lame_duck: Duration) {
    handle.stopping().await;
    tokio::time::sleep(lame_duck).await;
    service.plan().close_events();
}

/// Waits for the end: a signal begins it, a second one cuts it short.
async fn stop(running: Running, signals: &mut Signals, reloads: &Reloads) -> dunlin_server::Outcome {
    let handle = running.handle();
    let stopped = running.stopped();
    tokio::pin!(stopped);
    tokio::select! {
        // Another process has taken the sockets over.
        outcome = &mut stopped => return outcome,
        name = signals.stop(reloads) => tracing::info!(signal = name, "stopping: answering what is under way"),
    }
    Manager.stopping();
    handle.shutdown();
    tokio::select! {
        outcome = &mut stopped => return outcome,
        name = signals.stop(reloads) => tracing::warn!(signal = name, "stopping now"),
    }
    handle.abort();
    stopped.await
}
