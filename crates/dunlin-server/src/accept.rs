//! Taking connections in.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;

use crate::balance::Handed;
use crate::context::{Loop, Shared, Stage};
use crate::listen::{Accepted, Listener};
use crate::{Addr, Connect, conn};

/// What a listener's connections are taken in with.
struct Acceptor<C> {
    listener: Listener,
    local: Arc<Addr>,
    owner: Arc<Loop>,
    service: C,
}

/// Accepts until the server has stopped and its lame-duck time is over, then what already waits,
/// and no more.
pub(crate) async fn accept<C: Connect>(listener: Listener, owner: Arc<Loop>, service: C) {
    let local = Arc::new(listener.local_addr().unwrap_or_else(|_| Addr::Systemd(String::new())));
    let shared = owner.shared().clone();
    if let Err(error) = listener.set_keepalive(shared.config.tcp_keepalive) {
        tracing::warn!(%error, %local, "cannot set TCP keep-alive; connections of dead clients may stay open");
    }
    let loop_of_it = owner.clone();
    let stop = stop(&loop_of_it);
    let mut acceptor = Acceptor { listener, local, owner, service };
    tokio::select! {
        biased;
        () = stop => {}
        () = acceptor.accept() => {}
    }
    if shared.leaves_listeners_to_others()
        && let Err(error) = acceptor.leave(&shared).await
    {
        tracing::warn!(%error, "connections that open just now may be lost");
    }
    // Closing a listener resets the connections that wait in it.
    let _ = futures_util::FutureExt::now_or_never(acceptor.accept_waiting());
}

/// Takes in what other loops hand over, for as long as [`accept`].
pub(crate) async fn receive<C: Connect>(mut handed: UnboundedReceiver<Handed>, owner: Arc<Loop>, service: C) {
    let mut stop = std::pin::pin!(stop(&owner));
    loop {
        tokio::select! {
            () = &mut stop, if !handed.is_closed() => handed.close(),
            next = handed.recv() => match next {
                Some(next) => {
                    let local = next.local.clone();
                    if let Ok(accepted) = next.into_accepted() {
                        admit(accepted, &local, &owner, service.clone());
                    }
                }
                None => return,
            },
        }
    }
}

/// Ready once no connection is to be accepted any more.
async fn stop(owner: &Loop) {
    let (mut stage, mut closing) = (owner.shared().stage.subscribe(), owner.closing.subscribe());
    let _ = stage.wait_for(|stage| *stage >= Stage::Stopping).await;
    tokio::select! {
        _ = closing.wait_for(|closing| *closing) => {}
        _ = stage.wait_for(|stage| *stage >= Stage::Cutting) => {}
    }
}

fn admit<C: Connect>(accepted: Accepted, local: &Arc<Addr>, owner: &Arc<Loop>, service: C) {
    let (ledger, registered) = owner.registry.register();
    let place = Place::take(owner);
    let (local, owner) = (local.clone(), owner.clone());
    tokio::spawn(async move {
        conn::run(accepted, local, owner, service, ledger, registered).await;
        drop(place);
    });
}

// === impl Acceptor ===

/// For how long connections that are half open when a listener is left may still become whole.
const LEAVING: Duration = Duration::from_millis(250);

// `&mut self`, since a service need not be `Sync`.
impl<C: Connect> Acceptor<C> {
    /// Has new connections go to the processes that share the address, while those that are half
    /// open come in here.
    async fn leave(&mut self, shared: &Shared) -> io::Result<()> {
        self.listener.drop_new()?;
        let mut stage = shared.stage.subscribe();
        tokio::select! {
            () = tokio::time::sleep(LEAVING) => {}
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
                    room(&self.owner).await;
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
        let Self { local, owner, service, .. } = self;
        owner.stats.accepted();
        let shared = owner.shared();
        let own = if shared.loops.len() > 1 {
            shared.balance.offer(accepted, local, owner.index, &shared.loops)
        } else {
            Some(accepted)
        };
        match own {
            Some(accepted) => admit(accepted, local, owner, service.clone()),
            None => owner.stats.handed_over(),
        }
    }
}

/// Waits while there are as many connections as there may be, and has one that is idle closed. The
/// kernel keeps those that come meanwhile.
async fn room(owner: &Loop) {
    let shared = owner.shared();
    while shared.open.load(Ordering::Acquire) >= shared.max_connections {
        owner.stats.full();
        owner.registry.evict();
        let _ = tokio::time::timeout(Duration::from_millis(50), shared.room.notified()).await;
    }
}

/// One of the connections that there may be, until this is dropped.
#[derive(Debug)]
struct Place(Arc<Loop>);

/// How long to wait after an error that will not pass by itself at once.
#[derive(Debug, Default)]
struct Pause(Duration);

// === impl Place ===

impl Place {
    fn take(owner: &Arc<Loop>) -> Self {
        owner.shared().open.fetch_add(1, Ordering::AcqRel);
        Self(owner.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let shared = self.0.shared();
        if shared.open.fetch_sub(1, Ordering::AcqRel) >= shared.max_connections {
            shared.room.notify_one();
        }
    }
}

// === impl Pause ===

impl Pause {
    /// Backs off when the system is out of descriptors or memory (accept(2)); other errors are
    /// those of the connection that would have been next.
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
