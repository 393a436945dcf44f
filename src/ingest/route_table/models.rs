//! Every order in which one writer and readers may go on in a part, searched by loom: `make models`.

use std::sync::Arc;

use crate::ingest::route_table::part::{Part, pack};
use crate::ingest::route_table::{Found, Route, RouteEntry, RouteView};
use crate::ingest::sequencer::Target;

const LOW: u64 = 5;
const OTHER: u64 = 6;

fn value(at: u32, age: u8) -> u64 {
    let route = Route::Series {
        at,
        recorded: false,
    };
    let target = Target(at);
    pack(RouteEntry { route, target }, age)
}

fn entry(value: u64) -> Option<u32> {
    match Found(value).entry()?.route {
        Route::Series { at, .. } => Some(at),
        other => panic!("{other:?} was never put"),
    }
}

fn view(part: &Part, age: u8) -> RouteView {
    let parts = std::array::from_fn(|_| part.clone());
    let parts = Arc::new(parts);
    RouteView { parts, age }
}

/// A reader finds nothing or what was put, never the value of another hash.
#[test]
fn what_is_found_was_put_under_that_hash() {
    loom::model(|| {
        let part = Part::with_room_for(0);
        let writer = part.clone();
        let writing = loom::thread::spawn(move || {
            writer.put(LOW, value(1, 0));
            writer.put(OTHER, value(2, 0));
        });
        let second = entry(part.find(OTHER, 0).1);
        let first = entry(part.find(LOW, 0).1);
        assert!(matches!(second, None | Some(2)));
        assert!(matches!(first, None | Some(1)));
        // Both hashes begin their look-up in one bucket, so the first is there if the second is.
        assert!(second.is_none() || first.is_some());
        writing.join().expect("the thread ends");
    });
}

/// A reader that notes an age does not bring back what the writer has changed.
#[test]
fn noting_an_age_loses_against_a_change() {
    loom::model(|| {
        let part = Part::with_room_for(0);
        part.put(LOW, value(1, 0));
        let readers = [1, 2].map(|age| {
            let view = view(&part, age);
            loom::thread::spawn(move || {
                let found = view.find(u128::from(LOW));
                assert!(matches!(entry(found.0), Some(1 | 3)));
            })
        });
        part.put(LOW, value(3, 0));
        for reader in readers {
            reader.join().expect("the thread ends");
        }
        assert_eq!(entry(part.find(LOW, 0).1), Some(3));
    });
}

/// A part that is built anew while readers note ages has all entries.
#[test]
fn building_a_part_anew_loses_no_entry() {
    loom::model(|| {
        let part = Part::with_room_for(0);
        part.put(LOW, value(1, 0));
        let view = view(&part, 3);
        let reading = loom::thread::spawn(move || {
            view.find(u128::from(LOW));
        });
        let rebuilt = part.rebuilt(1, |_| true);
        assert_eq!(entry(rebuilt.find(LOW, 0).1), Some(1));
        reading.join().expect("the thread ends");
    });
}
