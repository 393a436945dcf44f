//! What a series is known by at the door: keyed hashes of its sorted labels.

use crate::ingest::decode::HashKey;
use crate::ingest::route_table::TARGET_MASK;
use crate::ingest::sequencer::Target;
use crate::model::Labels;

/// The labels that a target is known by.
const TARGET_LABELS: [&str; 2] = ["job", "instance"];

/// Returns what tells a series from all others, whatever its encoding; `scratch` is overwritten.
pub fn identity_of(key: &HashKey, labels: &Labels, scratch: &mut Vec<u8>) -> u128 {
    scratch.clear();
    for (name, value) in labels.iter() {
        for text in [name, value] {
            scratch.extend((text.len() as u32).to_le_bytes());
            scratch.extend(text.as_bytes());
        }
    }
    key.hash(scratch)
}

/// Returns the target that a series belongs to; `scratch` is overwritten.
pub fn target_of(key: &HashKey, labels: &Labels, scratch: &mut Vec<u8>) -> Target {
    scratch.clear();
    for name in TARGET_LABELS {
        scratch.extend(labels.value(name).as_bytes());
        scratch.push(0xff);
    }
    Target(key.hash(scratch) as u32 & TARGET_MASK)
}
