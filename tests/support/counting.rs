//! The allocator of a test binary: counts the allocations of each thread and of the process.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::atomic::{AtomicU64, Ordering},
};

thread_local! {
    static OF_THREAD: Cell<u64> = const { Cell::new(0) };
}

static OF_PROCESS: AtomicU64 = AtomicU64::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Counting;

/// How often the calling thread has allocated memory.
pub fn by_this_thread() -> u64 {
    OF_THREAD.get()
}

/// How often the process has allocated memory, on all threads.
pub fn by_the_process() -> u64 {
    OF_PROCESS.load(Ordering::Relaxed)
}

fn count() {
    OF_THREAD.set(OF_THREAD.get() + 1);
    OF_PROCESS.fetch_add(1, Ordering::Relaxed);
}

#[expect(unsafe_code, reason = "counting needs an allocator, and that trait is unsafe")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on as they are.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on as they are.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on as they are.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
