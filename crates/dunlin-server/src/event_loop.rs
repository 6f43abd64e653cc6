//! An event loop: a thread, a runtime, its listeners and its connections.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::{PoisonError, mpsc};
use std::time::{Duration, Instant};

use dunlin_http::BoxError;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::accept::{accept, receive};
use crate::context::{Loop, Shared, Stage};
use crate::ledger::Signal;
use crate::listen::{Listener, LoopSocket};
use crate::{Config, Connect, EventLoop, LoopInfo, StartError};

/// Returns the number of loops of a configuration. A shared runtime is one.
pub(crate) fn count(config: &Config) -> usize {
    match config.event_loop {
        EventLoop::PerCore => config.worker_count(),
        EventLoop::Shared => 1,
    }
}

/// Runs a loop on this thread until it ends.
pub(crate) fn run<F, M, C>(
    index: usize,
    shared: &Arc<Shared>,
    sockets: Vec<Vec<LoopSocket>>,
    factory: &F,
    ready: &mpsc::Sender<Result<(), StartError>>,
) where
    F: Fn(LoopInfo) -> M,
    M: Future<Output = Result<C, BoxError>>,
    C: Connect,
{
    let report = |result| {
        let _ = ready.send(result);
    };
    if shared.config.pin && shared.config.event_loop == EventLoop::PerCore {
        pin(index);
    }
    let runtime = match runtime(&shared.config) {
        Ok(runtime) => runtime,
        Err(error) => return report(Err(error.into())),
    };
    runtime.block_on(async {
        let info = LoopInfo { index, count: shared.loops.len() };
        let service = match factory(info).await {
            Ok(service) => service,
            Err(error) => return report(Err(StartError::Service(error))),
        };
        let listeners: io::Result<Vec<_>> =
            sockets.into_iter().flatten().map(|socket| socket.into_listener(&shared.config)).collect();
        let listeners = match listeners {
            Ok(listeners) => listeners,
            Err(error) => return report(Err(error.into())),
        };
        report(Ok(()));
        serve(Loop::new(index, shared.clone()), listeners, service).await;
    });
    // A task that still runs on a blocking thread must not delay the end of the process.
    runtime.shutdown_background();
}

/// Pins this thread to the `index`th of the cores that it may use.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
fn pin(index: usize) {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let pinned = sched_getaffinity(None).and_then(|allowed| {
        let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect();
        let Some(core) = cores.get(index % cores.len().max(1)) else { return Ok(()) };
        let mut set = CpuSet::new();
        set.set(*core);
        sched_setaffinity(None, &set)
    });
    if let Err(error) = pinned {
        tracing::warn!(%error, "cannot pin an event loop to a core; it runs on any");
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
fn pin(_: usize) {
    tracing::warn!("this system cannot pin threads to cores; \"pin\" has no effect");
}

fn runtime(config: &Config) -> io::Result<Runtime> {
    let mut builder = match config.event_loop {
        EventLoop::PerCore => tokio::runtime::Builder::new_current_thread(),
        EventLoop::Shared => tokio::runtime::Builder::new_multi_thread(),
    };
    if config.event_loop == EventLoop::Shared {
        builder.worker_threads(config.worker_count()).thread_name("dunlin-worker");
    }
    builder.enable_all().build()
}

/// The last part of the drain, in which no connection is accepted, so that those accepted before
/// can end.
const CLOSING: Duration = Duration::from_secs(1);

/// Accepts and serves until the server stops and the last connection is gone or cut.
pub(crate) async fn serve<C: Connect>(owner: Loop, listeners: Vec<Listener>, service: C) {
    let owner = Arc::new(owner);
    let registry = owner.registry.clone();
    let reaper = tokio::spawn({
        let registry = registry.clone();
        async move { registry.run().await }
    });
    let certificates = tokio::spawn({
        // One loop watches the files for all.
        let tls = owner.shared().tls.clone().filter(|_| owner.index == 0);
        async move {
            if let Some(tls) = tls {
                tls.watch().await;
            }
        }
    });
    let keeper = owner.shared().keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
    let keeping = keeper.map(|keeper| {
        tokio::spawn(keeper.run({
            let shared = owner.shared().clone();
            move || shared.raise(Stage::Stopping)
        }))
    });
    let mut accepting = JoinSet::new();
    for listener in listeners {
        accepting.spawn(accept(listener, owner.clone(), service.clone()));
    }
    let receiving = owner.shared().balance.receiver(owner.index);
    let receiving = receiving.map(|receiver| tokio::spawn(receive(receiver, owner.clone(), service.clone())));
    let shared = owner.shared().clone();
    let mut stage = shared.stage.subscribe();
    let mut added = shared.listeners.receiver(owner.index);
    loop {
        let next = async {
            match &mut added {
                Some(added) => added.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = stage.wait_for(|stage| *stage >= Stage::Stopping) => break,
            Some(socket) = next => match socket.into_listener(&shared.config) {
                Ok(listener) => drop(accepting.spawn(accept(listener, owner.clone(), service.clone()))),
                Err(error) => tracing::error!(%error, "an event loop cannot serve a new listener"),
            },
            Some(_) = accepting.join_next() => {}
        }
    }
    tokio::select! {
        () = tokio::time::sleep(shared.config.lame_duck) => {}
        _ = stage.wait_for(|stage| *stage >= Stage::Cutting) => {}
    }
    let draining = Instant::now();
    if shared.has_passed_sockets() {
        registry.drain();
        let accepts_for = shared.config.drain.saturating_sub(CLOSING);
        tokio::select! {
            () = registry.wait_for_earlier() => {}
            () = tokio::time::sleep(accepts_for) => {}
            _ = stage.wait_for(|stage| *stage >= Stage::Cutting) => {}
        }
    }
    owner.closing.send_replace(true);
    while accepting.join_next().await.is_some() {}
    if let Some(receiving) = receiving {
        let _ = receiving.await;
    }
    // The keeper has copies of the sockets. Clients could connect to them until it ends.
    if let Some(keeping) = keeping {
        keeping.abort();
    }
    registry.drain();
    tokio::select! {
        () = registry.empty() => {}
        () = tokio::time::sleep(shared.config.drain.saturating_sub(draining.elapsed())) => {}
        _ = stage.wait_for(|stage| *stage >= Stage::Cutting) => {}
    }
    shared.cut.fetch_add(registry.len(), Ordering::AcqRel);
    registry.signal_all(Signal::Cut);
    // A task ends as soon as it runs after its signal. One that blocks its thread must not delay
    // the others.
    let _ = tokio::time::timeout(Duration::from_secs(1), registry.empty()).await;
    reaper.abort();
    certificates.abort();
}
