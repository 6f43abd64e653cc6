//! Accepting connections.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;

use crate::balance::HandedOver;
use crate::context::{Loop, Shared, Stage};
use crate::ledger::Signal;
use crate::listen::{Accepted, Endpoint, Listener};
use crate::{Connect, conn};

/// A listener, and the service of its connections.
struct Acceptor<C> {
    listener: Listener,
    endpoint: Arc<Endpoint>,
    owner: Arc<Loop>,
    service: C,
}

/// Accepts until the server has stopped and its lame-duck time is over. Then it accepts the
/// connections that already wait.
pub(crate) async fn accept<C: Connect>(listener: Listener, owner: Arc<Loop>, service: C) {
    let endpoint = Arc::new(listener.endpoint());
    let shared = owner.shared().clone();
    // A socket that another process has bound has its options.
    if let Err(error) = listener.set_keepalive(shared.config.tcp_keepalive) {
        tracing::warn!(%error, listener = %endpoint.addr, "cannot set TCP keep-alive; connections of dead clients may stay open");
    }
    let owner_of_stop = owner.clone();
    let stop = stop(&owner_of_stop);
    let mut acceptor = Acceptor { listener, endpoint, owner, service };
    let state = acceptor.endpoint.state.clone();
    let is_removed = tokio::select! {
        biased;
        () = stop => false,
        () = state.closed() => true,
        () = acceptor.accept() => false,
    };
    if is_removed {
        // Those that are accepted from here on drain, too.
        acceptor.owner.registry.drain_group(state.id());
    }
    if (is_removed || shared.leaves_listeners_to_others())
        && let Err(error) = acceptor.leave_address(&shared).await
    {
        tracing::warn!(%error, "cannot leave the shared address in order; connections that open now may be reset");
    }
    // Closing a listener resets the connections that wait in it.
    let _ = futures_util::FutureExt::now_or_never(acceptor.accept_waiting());
}

/// Serves connections that other loops hand over, for as long as [`accept`].
pub(crate) async fn receive<C: Connect>(mut handed: UnboundedReceiver<HandedOver>, owner: Arc<Loop>, service: C) {
    let mut stop = std::pin::pin!(stop(&owner));
    loop {
        tokio::select! {
            () = &mut stop, if !handed.is_closed() => handed.close(),
            next = handed.recv() => match next {
                Some(next) => {
                    let endpoint = next.endpoint.clone();
                    if let Ok(accepted) = next.into_accepted() {
                        admit(accepted, &endpoint, &owner, service.clone());
                    }
                }
                None => return,
            },
        }
    }
}

/// Waits until no connection is to be accepted any more.
async fn stop(owner: &Loop) {
    let (mut stage, mut closing) = (owner.shared().stage.subscribe(), owner.closing.subscribe());
    let _ = stage.wait_for(|stage| *stage >= Stage::Stopping).await;
    tokio::select! {
        _ = closing.wait_for(|closing| *closing) => {}
        _ = stage.wait_for(|stage| *stage >= Stage::Cutting) => {}
    }
}

fn admit<C: Connect>(accepted: Accepted, endpoint: &Arc<Endpoint>, owner: &Arc<Loop>, service: C) {
    let (ledger, registered) = owner.registry.register(endpoint.state.id());
    if endpoint.state.is_closed() {
        ledger.signal(Signal::Drain);
    }
    let permit = ConnectionPermit::take(owner);
    let (endpoint, owner) = (endpoint.clone(), owner.clone());
    tokio::spawn(async move {
        conn::run(accepted, endpoint, owner, service, ledger, registered).await;
        drop(permit);
    });
}

// === impl Acceptor ===

/// The time in which connections that are half open when the server leaves an address may complete
/// their handshake.
const HANDSHAKE: Duration = Duration::from_millis(250);

// `&mut self`, since a service need not be `Sync`.
impl<C: Connect> Acceptor<C> {
    /// Sends new connections to the processes that share the address. Those that are half open are
    /// still accepted here.
    async fn leave_address(&mut self, shared: &Shared) -> io::Result<()> {
        self.listener.drop_new_connections()?;
        let mut stage = shared.stage.subscribe();
        tokio::select! {
            () = tokio::time::sleep(HANDSHAKE) => {}
            () = self.accept() => {}
            _ = stage.wait_for(|stage| *stage >= Stage::Cutting) => {}
        }
        Ok(())
    }

    async fn accept(&mut self) {
        let mut pause = Pause::default();
        loop {
            match self.listener.accept().await {
                Ok(accepted) => {
                    pause = Pause::default();
                    wait_for_room(&self.owner).await;
                    self.admit(accepted);
                }
                Err(error) => pause.after(&error, &self.owner).await,
            }
        }
    }

    async fn accept_waiting(&mut self) {
        while let Ok(accepted) = self.listener.accept().await {
            self.admit(accepted);
        }
    }

    fn admit(&mut self, accepted: Accepted) {
        let Self { endpoint, owner, service, .. } = self;
        owner.stats.accepted();
        let shared = owner.shared();
        let kept = if shared.loops.len() > 1 {
            shared.balance.offer(accepted, endpoint, owner.index, &shared.loops)
        } else {
            Some(accepted)
        };
        match kept {
            Some(accepted) => admit(accepted, endpoint, owner, service.clone()),
            None => owner.stats.handed_over(),
        }
    }
}

/// Waits while the number of connections is at its limit, and closes idle ones. Meanwhile new
/// connections wait in the kernel.
async fn wait_for_room(owner: &Loop) {
    let shared = owner.shared();
    while shared.open.load(Ordering::Acquire) >= shared.max_connections {
        owner.stats.full();
        owner.registry.evict();
        let _ = tokio::time::timeout(Duration::from_millis(50), shared.room.notified()).await;
    }
}

/// The right to one of the connections of a server.
#[derive(Debug)]
struct ConnectionPermit(Arc<Loop>);

/// The last pause after an error that lasts, such as too few descriptors.
#[derive(Debug, Default)]
struct Pause(Duration);

// === impl ConnectionPermit ===

impl ConnectionPermit {
    fn take(owner: &Arc<Loop>) -> Self {
        owner.shared().open.fetch_add(1, Ordering::AcqRel);
        Self(owner.clone())
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let shared = self.0.shared();
        if shared.open.fetch_sub(1, Ordering::AcqRel) >= shared.max_connections {
            shared.room.notify_one();
        }
    }
}

// === impl Pause ===

impl Pause {
    /// Backs off when the system is out of descriptors or memory (accept(2)). Other errors belong
    /// to one connection.
    async fn after(&mut self, error: &io::Error, owner: &Loop) {
        if !matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)) {
            return;
        }
        owner.stats.full();
        owner.registry.evict();
        self.0 = (self.0 * 2).clamp(Duration::from_millis(10), Duration::from_secs(1));
        tracing::warn!(%error, "cannot accept a connection; trying again in {:?}", self.0);
        tokio::time::sleep(self.0).await;
    }
}
