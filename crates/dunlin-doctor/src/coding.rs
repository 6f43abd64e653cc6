//! Content encoded here, to compare with what a site sends.

use async_compression::Level;
use async_compression::tokio::bufread::BrotliEncoder;
use tokio::io::AsyncReadExt as _;

/// The level that a server can afford for each response.
const LEVEL: Level = Level::Precise(5);

/// The size of `content` in brotli, in bytes.
pub(crate) async fn brotli_size(content: &[u8]) -> usize {
    let mut encoded = Vec::new();
    match BrotliEncoder::with_quality(content, LEVEL).read_to_end(&mut encoded).await {
        Ok(_) => encoded.len().min(content.len()),
        Err(_) => content.len(),
    }
}
