//! Input that is read whole, up to a limit.

use std::io::{self, Read};

/// Reads to the end of `input`, which may be a file that has no end, such as a device.
///
/// The limit is named in the error in mebibytes, so it should be a number of these.
///
/// # Errors
/// The errors of the reader, and [`io::ErrorKind::FileTooLarge`] beyond `max` bytes.
///
/// ```
/// use dunlin_http::read_bounded;
///
/// assert_eq!(read_bounded(&b"key"[..], 1 << 20).unwrap(), b"key");
/// let error = read_bounded(std::io::repeat(0), 1 << 20).unwrap_err();
/// assert_eq!(error.to_string(), "it has more than 1 MiB, which is the limit");
/// ```
pub fn read_bounded(input: impl Read, max: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    input.take(max.saturating_add(1)).read_to_end(&mut content)?;
    if content.len() as u64 > max {
        let what = format!("it has more than {} MiB, which is the limit", max >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
    }
    Ok(content)
}
