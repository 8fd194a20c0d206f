//! What one call may allocate. Code that runs what a file says (a chat template) may be made to fill the memory; here it
//! gets an allowance, and a call that would overdraw it never returns: its thread sleeps for ever inside the allocation,
//! and the caller goes on with an error. An allocator can neither unwind nor, in most code, report that it has failed.
//!
//! A call that sleeps keeps every lock that it has taken. So what is called takes none that others need: it prints nothing,
//! not even as it panics.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, Thread};
use std::time::Duration;

use anyhow::{Context, Result};

/// Bytes of address space for the stack of a call.
const STACK: usize = 1 << 28;
/// How many times over a call may allocate its allowance before it is taken to be without an end.
const TURNOVER: usize = 64;

thread_local! {
    /// The account of the call that this thread makes, if it makes one.
    static ACCOUNT: Cell<*const Account> = const { Cell::new(ptr::null()) };
}

/// What a call may still allocate.
struct Account {
    /// Bytes that it may hold beside those it holds.
    left: Cell<isize>,
    /// Bytes that it may allocate before it has allocated too often.
    turnover: Cell<isize>,
    overdrawn: AtomicBool,
    ended: AtomicBool,
    /// Who waits for the call.
    caller: Thread,
}

// SAFETY: the cells are touched by the thread of the call alone, the rest is made for several threads.
unsafe impl Sync for Account {}
// SAFETY: nothing in it belongs to one thread.
unsafe impl Send for Account {}

/// Call with an allowance of `bytes`, on a new thread with a large stack. `None`: the call would have held
/// more than that, or has allocated many times as much in the end. What it holds then is lost until the process ends.
///
/// # Errors
/// If there is no thread to call on.
///
/// # Panics
/// As `call` does, which then has not printed why.
pub fn within<T: Send + 'static>(
    bytes: usize,
    call: impl FnOnce() -> T + Send + 'static,
) -> Result<Option<T>> {
    let bytes = isize::try_from(bytes).unwrap_or(isize::MAX);
    let account = Arc::new(Account {
        left: Cell::new(bytes),
        turnover: Cell::new(bytes.saturating_mul(TURNOVER as isize)),
        overdrawn: AtomicBool::new(false),
        ended: AtomicBool::new(false),
        caller: thread::current(),
    });
    let result = Arc::new(Mutex::new(None));
    let (own, made) = (account.clone(), result.clone());
    let body = move || {
        let watch = Watch::begin(own);
        let value = call();
        *made.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(value);
        drop(watch);
    };
    let thread = thread::Builder::new().stack_size(STACK).spawn(body).context("no thread to call on")?;
    while !account.ended.load(Ordering::Acquire) {
        if account.overdrawn.load(Ordering::Acquire) {
            return Ok(None);
        }
        thread::park_timeout(Duration::from_secs(1));
    }
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    let mut result = result.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    Ok(result.take())
}

/// While it is there, what its thread allocates is on the account.
struct Watch(Arc<Account>);

impl Watch {
    fn begin(account: Arc<Account>) -> Self {
        ACCOUNT.set(Arc::as_ptr(&account));
        Self(account)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        ACCOUNT.set(ptr::null());
        self.0.ended.store(true, Ordering::Release);
        self.0.caller.unpark();
    }
}

/// The system's allocator, which counts where a call has an allowance. A program that links this library makes it the global
/// allocator; without it no call is bounded.
pub struct Counting;

#[cfg(test)]
#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Note that this thread is about to hold `more` bytes, which does not return where it may not.
fn charge(more: usize) {
    let account = ACCOUNT.get();
    if account.is_null() {
        return;
    }
    // SAFETY: a `Watch` on this thread's stack keeps the account, and clears the pointer before it lets go.
    let account = unsafe { &*account };
    let more = isize::try_from(more).unwrap_or(isize::MAX);
    let left = account.left.get().saturating_sub(more);
    let turnover = account.turnover.get().saturating_sub(more);
    if left < 0 || turnover < 0 {
        account.overdrawn.store(true, Ordering::Release);
        account.caller.unpark();
        loop {
            thread::sleep(Duration::from_secs(3600));
        }
    }
    account.left.set(left);
    account.turnover.set(turnover);
}

/// Note that this thread holds `less` bytes less.
fn credit(less: usize) {
    let account = ACCOUNT.get();
    if !account.is_null() {
        // SAFETY: as in `charge`.
        let left = unsafe { &(*account).left };
        left.set(left.get().saturating_add(isize::try_from(less).unwrap_or(isize::MAX)));
    }
}

// SAFETY: every call goes to the system's allocator as it came; what is done beside that allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        charge(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        charge(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        charge(size);
        // SAFETY: the caller's promise is passed on.
        let new = unsafe { System.realloc(old, layout, size) };
        credit(if new.is_null() { size } else { layout.size() });
        new
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(old, layout) };
        credit(layout.size());
    }
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use super::*;

    /// Hold this number of bytes for a moment.
    fn hold(bytes: usize) -> usize {
        black_box(vec![1u8; bytes]).len()
    }

    #[test]
    fn a_call_within_its_allowance_returns_what_it_makes() {
        assert_eq!(within(1 << 20, || hold(1 << 19)).unwrap(), Some(1 << 19));
        // Time and again, as long as it is given back.
        assert_eq!(within(1 << 20, || (0..20).map(|_| hold(1 << 19)).max()).unwrap(), Some(Some(1 << 19)));
    }

    #[test]
    fn a_call_that_would_hold_more_never_returns_and_its_caller_does() {
        assert_eq!(within(1 << 20, || hold(1 << 21)).unwrap(), None);
        let all = || (0..40).map(|n| black_box(vec![0u8; 1 << n])).collect::<Vec<_>>().len();
        assert_eq!(within(1 << 20, all).unwrap(), None);
        let grown = within(1 << 20, || {
            let mut text = String::from("x");
            while text.len() < 1 << 40 {
                text.push_str(&text.clone());
            }
        });
        assert_eq!(grown.unwrap(), None);
        // Never much at once, and again and again.
        assert_eq!(within(1 << 20, || (0..1000).map(|_| hold(1 << 19)).max()).unwrap(), None);
    }

    #[test]
    fn a_panic_is_the_callers() {
        let call = || within(1 << 20, || std::panic::resume_unwind(Box::new("as it was")));
        let caught = std::panic::catch_unwind(|| call().map(|made: Option<()>| made.is_some()));
        assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"as it was"));
    }
}
