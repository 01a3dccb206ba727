//! What hostile input may cost: the bytes in use are counted while it is read.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use dutch_master::wire::node::{Inbox, LINE_LIMIT};

thread_local! {
    static USED: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// The system's allocator, with a count for each thread.
struct Counting;

fn note(change: isize) {
    // A thread that is ending has no counters any more, and nobody who reads them.
    let _ = USED.try_with(|used| {
        used.set(used.get() + change);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(used.get())));
    });
}

// SAFETY: every call goes to the system's allocator unchanged; counting touches no memory of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(isize::try_from(layout.size()).unwrap());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note(-isize::try_from(layout.size()).unwrap());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many bytes were in use at the worst moment, beyond what was in use before.
fn peak(work: impl FnOnce()) -> usize {
    let before = USED.get();
    PEAK.set(before);
    work();
    usize::try_from(PEAK.get() - before).unwrap()
}

/// Feeds a line as a loop would read it.
fn read_all(line: &[u8]) -> usize {
    peak(|| {
        let mut inbox = Inbox::default();
        for chunk in line.chunks(64 << 10) {
            inbox.feed(chunk);
            while inbox.take_message().is_some() {}
        }
    })
}

fn of_length(repeated: &str, length: usize) -> String {
    repeated.repeat(length / repeated.len())
}

#[test]
fn a_hostile_line_costs_a_small_multiple_of_itself() {
    let length = LINE_LIMIT - 200;
    let query = r#"{"cmd":"NODE_CLUSTER","act":"queryServer","seq":1,"addressType":4,"port":1,"#;
    let lines = [
        format!("[{}0]\n", of_length("0,", length)),
        format!("[{}0]\n", of_length("[],", length)),
        format!("[{}0]\n", of_length("{\"a\":1},", length)),
        format!("{}\n", of_length("[", length)),
        format!("\"{}\"\n", of_length("\\n", length)),
        format!("{{\"cmd\":\"{}\"}}\n", of_length("\\u0041", length)),
        format!("{query}\"data\":[{}0]}}\n", of_length("0,", length)),
        format!("{query}\"address\":\"{}\"}}\n", of_length("x", length)),
        format!("{{\"cmd\":\"NODE_HANDLE\",\"msg\":[{}0]}}\n", of_length("0,", length)),
        format!(
            "{{\"cmd\":\"NODE_CLUSTER\",\"act\":\"close\",\"key\":\"{}\"}}\n",
            of_length("k", length)
        ),
    ];
    for line in lines {
        let cost = read_all(line.as_bytes());
        let start: String = line.chars().take(60).collect();
        assert!(cost <= 5 * LINE_LIMIT, "{cost} bytes for {start}");
    }
}

#[test]
fn a_line_without_end_costs_no_more_than_the_limit_allows() {
    assert!(read_all(&vec![b'x'; 32 * LINE_LIMIT]) <= 3 * LINE_LIMIT);
}

#[test]
fn many_small_lines_are_not_kept() {
    assert!(read_all(&b"\"x\"\n".repeat(1 << 20)) <= 1 << 20);
}
