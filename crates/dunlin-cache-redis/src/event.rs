//! What instances tell each other.

use crate::pending::Batch;

/// What happened elsewhere, to be done here too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Another instance invalidated this.
    Invalidated(Batch),
    /// Something may have been missed: the subscription is new, or a number was skipped.
    Gap,
}

/// A message of the channel.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// The number of the invalidation.
    pub(crate) number: u64,
    /// Who told it.
    pub(crate) instance: String,
    pub(crate) batch: Batch,
}

/// What an instance tells of a batch. The server puts the number in front.
pub(crate) fn write(instance: &str, batch: &Batch) -> String {
    let mut text = format!("{instance}\0{}\0{}", u8::from(batch.all), batch.groups.len());
    for name in batch.groups.iter().chain(&batch.keys) {
        text.push('\0');
        text.push_str(name);
    }
    text
}

/// Reads a message; `None` is one of another version.
pub(crate) fn read(text: &str) -> Option<Message> {
    let mut parts = text.split('\0');
    let number = parts.next()?.parse().ok()?;
    let instance = parts.next()?.to_owned();
    let all = match parts.next()? {
        "0" => false,
        "1" => true,
        _ => return None,
    };
    let count: usize = parts.next()?.parse().ok()?;
    let names: Vec<_> = parts.map(str::to_owned).collect();
    let (groups, keys) = names.split_at_checked(count)?;
    let batch = Batch { all, groups: groups.iter().cloned().collect(), keys: keys.iter().cloned().collect() };
    Some(Message { number, instance, batch })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_told_is_heard(
            number: u64, all: bool,
            groups in prop::collection::hash_set("[^\\x00]{0,8}", 0..4),
            keys in prop::collection::hash_set("[^\\x00]{1,8}", 0..4),
        ) {
            let batch = Batch { all, groups, keys };
            let text = format!("{number}\0{}", write("me", &batch));
            prop_assert_eq!(read(&text), Some(Message { number, instance: "me".into(), batch }));
        }

        #[test]
        fn anything_may_be_said(text in "[0-9a\\x00]{0,20}") {
            let _ = read(&text);
        }
    }
}
