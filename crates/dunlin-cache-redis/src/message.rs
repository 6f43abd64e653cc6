//! [`Message`]: the form of an invalidation on the channel.

use crate::batch::Batch;

/// A message of the channel.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// The number of the invalidation.
    pub(crate) number: u64,
    /// The id of the sender.
    pub(crate) instance: String,
    pub(crate) batch: Batch,
}

/// Writes the message of a batch without its number, which the server puts in front.
pub(crate) fn encode(instance: &str, batch: &Batch) -> String {
    let mut text = format!("{instance}\0{}\0{}\0{}", u8::from(batch.all), batch.groups.len(), batch.prefixes.len());
    for name in batch.names() {
        text.push('\0');
        text.push_str(name);
    }
    text
}

/// Parses a message. Returns `None` if another version of this crate wrote it.
pub(crate) fn decode(text: &str) -> Option<Message> {
    let mut parts = text.split('\0');
    let number = parts.next()?.parse().ok()?;
    let instance = parts.next()?.to_owned();
    let all = match parts.next()? {
        "0" => false,
        "1" => true,
        _ => return None,
    };
    let group_count: usize = parts.next()?.parse().ok()?;
    let prefix_count: usize = parts.next()?.parse().ok()?;
    let names: Vec<_> = parts.map(str::to_owned).collect();
    let (groups, rest) = names.split_at_checked(group_count)?;
    let (prefixes, keys) = rest.split_at_checked(prefix_count)?;
    let set = |names: &[String]| names.iter().cloned().collect();
    let batch = Batch { all, groups: set(groups), prefixes: set(prefixes), keys: set(keys) };
    Some(Message { number, instance, batch })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn decode_reverses_encode(
            number: u64, all: bool,
            groups in prop::collection::hash_set("[^\\x00]{0,8}", 0..4),
            prefixes in prop::collection::hash_set("[^\\x00]{1,8}", 0..4),
            keys in prop::collection::hash_set("[^\\x00]{1,8}", 0..4),
        ) {
            let batch = Batch { all, groups, prefixes, keys };
            let text = format!("{number}\0{}", encode("me", &batch));
            prop_assert_eq!(decode(&text), Some(Message { number, instance: "me".into(), batch }));
        }

        #[test]
        fn decode_never_panics(text in "[0-9a\\x00]{0,20}") {
            let _ = decode(&text);
        }
    }
}
