//! [`Inbound`]: the body of a stream's request, as handlers read it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use dunlin_http::{Body, BodyError, BoxError};
use http_body::{Frame, SizeHint};

use crate::ledger::{StreamLedger, Transfer};

/// The body of a request: limited, with errors that have a status.
pub(crate) struct Inbound<B> {
    /// `None` once it ended or failed.
    incoming: Option<B>,
    left: u64,
    limit: u64,
    ledger: Arc<StreamLedger>,
    /// `None` until the body had to wait for the client.
    transfer: Option<Arc<Transfer>>,
}

// === impl Inbound ===

impl<B> Inbound<B>
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    /// An empty body stays empty, and costs nothing.
    pub(crate) fn wrap(incoming: B, limit: u64, ledger: &Arc<StreamLedger>) -> Body {
        if incoming.is_end_stream() {
            return Body::empty();
        }
        Body::new(Self { incoming: Some(incoming), left: limit, limit, ledger: ledger.clone(), transfer: None })
    }
}

impl<B> Inbound<B> {
    /// Waits for the client. Returns `true` if it took too long.
    #[cold]
    fn wait(&mut self, cx: &Context<'_>) -> bool {
        let transfer = self.transfer.get_or_insert_with(|| self.ledger.requests.watch());
        transfer.wait();
        transfer.is_timed_out(cx.waker())
    }
}

impl<B> http_body::Body for Inbound<B>
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
        let polled = Pin::new(incoming).poll_frame(cx);
        if polled.is_pending() && self.wait(cx) {
            self.incoming = None;
            return Poll::Ready(Some(Err(BodyError::Timeout.into())));
        }
        let polled = ready!(polled);
        if !matches!(polled, Some(Ok(_))) {
            self.incoming = None;
        }
        let frame = match polled {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Poll::Ready(Some(Err(BodyError::Other(error.into()).into()))),
            None => return Poll::Ready(None),
        };
        let len = frame.data_ref().map_or(0, Bytes::len);
        if let Some(transfer) = &self.transfer {
            transfer.advance(len);
        }
        let len = len as u64;
        if len > self.left {
            self.left = 0;
            return Poll::Ready(Some(Err(BodyError::TooLarge { limit: self.limit }.into())));
        }
        self.left -= len;
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(B::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or(SizeHint::with_exact(0), B::size_hint)
    }
}

impl<B> Drop for Inbound<B> {
    fn drop(&mut self) {
        if let Some(transfer) = self.transfer.take() {
            self.ledger.requests.forget(&transfer);
        }
    }
}
