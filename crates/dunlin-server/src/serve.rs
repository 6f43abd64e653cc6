//! [`serve`]: for those who own a runtime.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::context::{Loop, Shared};
use crate::event_loop;
use crate::listen::Listener;
use crate::running::{Handle, Outcome};
use crate::tls::Acceptor;
use crate::{BindError, Config, Connect};

/// Serves `service` on a listener of this runtime, with the deadlines and limits of the default
/// [`Config`], until `shutdown` is ready and the last request is answered.
///
/// It is what [`Server`](crate::Server) runs on each of its loops; connections are tasks of the
/// runtime it is called on.
pub async fn serve<C: Connect>(
    listener: impl Into<Listener>,
    service: C,
    shutdown: impl Future<Output = ()>,
) -> Outcome {
    // Only a certificate can fail, and the default has none.
    serve_with(Config::default(), listener, service, shutdown).await.unwrap_or(Outcome { drained: true, cut: 0 })
}

/// [`serve`] by a configuration of one's own. What it says of listening, loops and handover is not
/// used.
///
/// # Errors
/// A certificate that cannot be used.
pub async fn serve_with<C: Connect>(
    config: Config,
    listener: impl Into<Listener>,
    service: C,
    shutdown: impl Future<Output = ()>,
) -> Result<Outcome, BindError> {
    let listener = listener.into();
    let addrs = listener.local_addr().into_iter().collect();
    let tls = config.tls.as_ref().map(Acceptor::new).transpose()?;
    let shared = Arc::new(Shared::new(config, addrs, tls, None, 1));
    let handle = Handle::new(shared.clone());
    let stop = async {
        shutdown.await;
        handle.shutdown();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = event_loop::serve(Loop::new(0, shared.clone()), vec![listener], service) => {}
        () = stop => {}
    }
    let cut = shared.cut.load(Ordering::Acquire);
    Ok(Outcome { drained: cut == 0, cut })
}
