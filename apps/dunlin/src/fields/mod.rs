//! Edits of header fields, with values that can name facts about the request.

mod edits;
mod facts;
mod template;

pub(crate) use edits::{FieldEdits, Message};
pub(crate) use facts::{Facts, IdentitySlot, REQUEST_ID, host};
