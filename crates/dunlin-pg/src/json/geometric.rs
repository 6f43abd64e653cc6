//! Geometric types.

use super::number::float8;
use super::reader::{Malformed, Reader};

/// `point`
pub(crate) fn point(raw: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    exact(raw, |raw| pair(raw, out))
}

/// `lseg`: `[(1,2),(3,4)]`
pub(crate) fn segment(raw: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    out.push(b'[');
    exact(raw, |raw| pairs(raw, 2, out))?;
    out.push(b']');
    Ok(())
}

/// `box`: `(3,4),(1,2)`
pub(crate) fn rectangle(raw: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    exact(raw, |raw| pairs(raw, 2, out))
}

/// `line`: `{1,-1,0}`
pub(crate) fn line(raw: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    exact(raw, |raw| {
        out.push(b'{');
        for i in 0..3 {
            if i > 0 {
                out.push(b',');
            }
            float8(raw.f64()?, out);
        }
        out.push(b'}');
        Ok(())
    })
}

/// `circle`: `<(1,2),3>`
pub(crate) fn circle(raw: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    exact(raw, |raw| {
        out.push(b'<');
        pair(raw, out)?;
        out.push(b',');
        float8(raw.f64()?, out);
        out.push(b'>');
        Ok(())
    })
}

/// `path`: `((1,2),(3,4))` when closed, `[(1,2),(3,4)]` when open
pub(crate) fn path(raw: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    exact(raw, |raw| {
        let (open, close) = if raw.u8()? == 0 { (b'[', b']') } else { (b'(', b')') };
        enclosed(raw, open, close, out)
    })
}

/// `polygon`: `((1,2),(3,4))`
pub(crate) fn polygon(raw: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    exact(raw, |raw| enclosed(raw, b'(', b')', out))
}

fn enclosed(raw: &mut Reader<'_>, open: u8, close: u8, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let count = raw.count()?;
    out.push(open);
    pairs(raw, count, out)?;
    out.push(close);
    Ok(())
}

fn pairs(raw: &mut Reader<'_>, count: usize, out: &mut Vec<u8>) -> Result<(), Malformed> {
    for i in 0..count {
        if i > 0 {
            out.push(b',');
        }
        pair(raw, out)?;
    }
    Ok(())
}

fn pair(raw: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), Malformed> {
    out.push(b'(');
    float8(raw.f64()?, out);
    out.push(b',');
    float8(raw.f64()?, out);
    out.push(b')');
    Ok(())
}

fn exact(raw: &[u8], read: impl FnOnce(&mut Reader<'_>) -> Result<(), Malformed>) -> Result<(), Malformed> {
    let mut raw = Reader(raw);
    read(&mut raw)?;
    raw.end()
}
