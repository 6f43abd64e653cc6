//! [`Listener`]: LISTEN on a connection of its own, with the gaps told.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_postgres::AsyncMessage;

use crate::connect::Connector;
use crate::error::Error;

/// What a [`Listener`] heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A notification, as `NOTIFY` or `pg_notify` sent it.
    Notice {
        /// Where it was sent to.
        channel: String,
        /// What was sent.
        payload: String,
    },
    /// It listens from now on and may have missed what was sent before: told once at the start, and
    /// after each reconnect. Whatever was derived from earlier notices is to be thrown away.
    Gap,
    /// It does not hear anything now: the connection was lost. A [`Event::Gap`] follows when it is
    /// back.
    Lost,
}

/// Hears what is notified on its channels, on a connection of its own. It reconnects by itself,
/// with pauses that grow and are drawn at random. Dropped, it closes.
#[derive(Debug)]
pub struct Listener {
    events: mpsc::Receiver<Event>,
    task: tokio::task::JoinHandle<()>,
}

/// A connection that is silent for so long is asked whether it lives.
const SILENCE: Duration = Duration::from_secs(10);

// === impl Listener ===

impl Listener {
    pub(crate) fn new(connector: Option<Arc<Connector>>, channels: Vec<String>) -> Self {
        let (sender, events) = mpsc::channel(256);
        let task = tokio::spawn(async move {
            match connector {
                Some(connector) => run(connector, channels, sender).await,
                None => tracing::warn!("a pooler that hands out connections by transaction carries no notices"),
            }
        });
        Self { events, task }
    }

    /// The next event. It never ends.
    pub async fn next(&mut self) -> Event {
        match self.events.recv().await {
            Some(event) => event,
            // The task has ended: with the runtime, and then nobody waits here, or since there is
            // nothing to hear.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(connector: Arc<Connector>, channels: Vec<String>, events: mpsc::Sender<Event>) {
    let mut pause = Duration::from_millis(50);
    loop {
        let mut heard = false;
        if let Err(error) = listen(&connector, &channels, &events, &mut heard).await {
            tracing::debug!(%error, "the listener has no connection");
        }
        if events.is_closed() {
            return;
        }
        if heard {
            pause = Duration::from_millis(50);
            let _ = events.send(Event::Lost).await;
        }
        tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

/// Listens until the connection is lost.
async fn listen(
    connector: &Connector,
    channels: &[String],
    events: &mpsc::Sender<Event>,
    heard: &mut bool,
) -> Result<(), Error> {
    let names: Vec<_> = channels.iter().map(|name| format!("LISTEN \"{}\"", name.replace('"', "\"\""))).collect();
    let names = names.join("; ");
    // A standby refuses it, so that among several hosts it is the primary which is listened to.
    let (client, mut connection) = connector.open_raw(&names).await?;
    *heard = true;
    // Only now: what is committed from here on will be heard.
    let _ = events.send(Event::Gap).await;
    let mut probe: Option<std::pin::Pin<Box<dyn Future<Output = _> + Send>>> = None;
    loop {
        tokio::select! {
            biased;
            message = std::future::poll_fn(|cx| connection.poll_message(cx)) => match message {
                Some(Ok(AsyncMessage::Notification(notice))) => {
                    probe = None;
                    let event = Event::Notice { channel: notice.channel().into(), payload: notice.payload().into() };
                    if events.send(event).await.is_err() {
                        return Ok(());
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Ok(()),
            },
            // A connection that is gone without a word would be listened to for ever. To listen
            // again changes nothing, and who looks at `pg_stat_activity` still sees what the
            // connection is for.
            () = tokio::time::sleep(SILENCE), if probe.is_none() => {
                let ask = tokio::time::timeout(SILENCE, client.batch_execute(&names));
                probe = Some(Box::pin(ask));
            }
            alive = async { match &mut probe { Some(probe) => probe.await, None => std::future::pending().await } } => {
                probe = None;
                match alive {
                    Ok(answer) => answer?,
                    Err(_) => return Err(Error::Unreachable("the listener's connection is silent".into())),
                }
            }
        }
    }
}
