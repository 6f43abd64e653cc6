//! Users and groups of the system, by name.

use std::ffi::{CStr, CString, c_char, c_int};
use std::io;
use std::mem::MaybeUninit;
use std::ptr;

/// The longest record of a user or a group, in bytes.
const MAX_RECORD: usize = 1 << 20;

/// The id of a user, by its name or number.
pub(super) fn user_id(name: &str) -> io::Result<u32> {
    look_up("user", name, |name, buffer| {
        let (mut record, mut found) = (MaybeUninit::<libc::passwd>::uninit(), ptr::null_mut());
        // SAFETY: the name ends with NUL, the buffer has the given length, and both places are
        // writable.
        let error = unsafe {
            libc::getpwnam_r(name.as_ptr(), record.as_mut_ptr(), buffer.as_mut_ptr(), buffer.len(), &raw mut found)
        };
        // SAFETY: a pointer that is not null points to `record`, which is filled then.
        if error == 0 { Ok(unsafe { found.as_ref() }.map(|record| record.pw_uid)) } else { Err(error) }
    })
}

/// The id of a group, by its name or number.
pub(super) fn group_id(name: &str) -> io::Result<u32> {
    look_up("group", name, |name, buffer| {
        let (mut record, mut found) = (MaybeUninit::<libc::group>::uninit(), ptr::null_mut());
        // SAFETY: the name ends with NUL, the buffer has the given length, and both places are
        // writable.
        let error = unsafe {
            libc::getgrnam_r(name.as_ptr(), record.as_mut_ptr(), buffer.as_mut_ptr(), buffer.len(), &raw mut found)
        };
        // SAFETY: a pointer that is not null points to `record`, which is filled then.
        if error == 0 { Ok(unsafe { found.as_ref() }.map(|record| record.gr_gid)) } else { Err(error) }
    })
}

/// Calls `find` with a buffer that is large enough for the record.
fn look_up(
    kind: &str,
    name: &str,
    find: impl Fn(&CStr, &mut [c_char]) -> Result<Option<u32>, c_int>,
) -> io::Result<u32> {
    if let Ok(id) = name.parse() {
        return Ok(id);
    }
    let c_name = CString::new(name)?;
    let mut buffer = vec![0; 1024];
    loop {
        match find(&c_name, &mut buffer) {
            Ok(Some(id)) => return Ok(id),
            Ok(None) => return Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no {kind} {name:?}"))),
            Err(libc::ERANGE) if buffer.len() < MAX_RECORD => buffer.resize(2 * buffer.len(), 0),
            Err(code) => return Err(io::Error::from_raw_os_error(code)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        assert_eq!((user_id("root").unwrap(), group_id("root").unwrap()), (0, 0));
        assert_eq!((user_id("4711").unwrap(), group_id("4711").unwrap()), (4711, 4711));
        assert_eq!(user_id("no such user").unwrap_err().to_string(), "there is no user \"no such user\"");
        assert_eq!(group_id("no such group").unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(user_id("a\0b").is_err());
    }
}
