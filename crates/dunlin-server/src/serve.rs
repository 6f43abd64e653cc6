//! [`serve`]: a server on a runtime of the caller.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::context::{Loop, Shared};
use crate::event_loop;
use crate::listen::{Listener, Listeners};
use crate::running::{Handle, Outcome};
use crate::tls::Acceptor;
use crate::{BindError, Config, Connect};

/// Serves `service` on a listener of this runtime, with the deadlines and limits of the default
/// [`Config`], until `shutdown` is ready and the last request is answered.
///
/// [`Server`](crate::Server) runs the same on each of its loops. Connections are tasks of the
/// current runtime.
pub async fn serve<C: Connect>(
    listener: impl Into<Listener>,
    service: C,
    shutdown: impl Future<Output = ()>,
) -> Outcome {
    // Only a certificate can fail, and the default has none.
    serve_with(Config::default(), listener, service, shutdown).await.unwrap_or(Outcome { drained: true, cut: 0 })
}

/// [`serve`] with a configuration. Its keys for listening, loops and handover have no effect.
/// With a certificate, the connections of a TCP listener speak TLS.
///
/// # Errors
/// Returns an error if the certificate cannot be used.
pub async fn serve_with<C: Connect>(
    config: Config,
    listener: impl Into<Listener>,
    service: C,
    shutdown: impl Future<Output = ()>,
) -> Result<Outcome, BindError> {
    let tls = config.tls.as_ref().map(Acceptor::new).transpose()?;
    let listener = listener.into().with_tls(tls.is_some());
    let listeners = Listeners::of(&listener);
    let shared = Arc::new(Shared::new(config, listeners, tls, None, 1));
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
