//! Where the input goes, what is asked of the answer, and an allocator that ends the process where a length was believed.
#![allow(dead_code, reason = "each target uses its own part")]

use std::alloc::{GlobalAlloc, Layout};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use anyhow::Result;
use icl_mask::base::allowance::Counting;
use icl_mask::base::error::InputError;
use icl_mask::engine::Plain;
use icl_mask::intervene::Plan;
use icl_mask::model::{Decoder, Transformer};

/// Bytes that nothing needs which is read from an input of some kilobytes.
const MOST: usize = 256 << 20;

struct Bounded;

impl Bounded {
    fn check(size: usize) {
        if size > MOST {
            eprintln!("an allocation of {size} bytes");
            std::process::abort();
        }
    }
}

// SAFETY: the program's own allocator, or the end of the process.
unsafe impl GlobalAlloc for Bounded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::check(layout.size());
        // SAFETY: as ours.
        unsafe { Counting.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::check(layout.size());
        // SAFETY: as ours.
        unsafe { Counting.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::check(size);
        // SAFETY: as ours.
        unsafe { Counting.realloc(memory, layout, size) }
    }
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as ours.
        unsafe { Counting.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Bounded = Bounded;

/// A folder of this process; bin/fuzz.sh puts it in memory and takes it away.
pub static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    // This thread is the only one that computes: nobody waits for another, and the same input takes the same way.
    rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .use_current_thread()
        .build_global()
        .expect("a pool of one");
    let folder = std::env::temp_dir().join(format!("icl-mask-fuzz-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    folder
});

/// The input as a file there.
pub fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = FOLDER.join(name);
    // The folder is there, but for the first time.
    if fs::write(&path, bytes).is_err() {
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, bytes).expect("written");
    }
    path
}

/// Files that are right, below fuzz/seeds/right.
pub fn right(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds/right").join(path)
}

/// Put the right file there, or none where there is none.
pub fn restore(from: &str, name: &str) {
    match fs::read(right(&format!("{from}/{name}"))) {
        Ok(bytes) => drop(file(&format!("{from}/{name}"), &bytes)),
        Err(_) => drop(fs::remove_file(FOLDER.join(from).join(name))),
    }
}

/// Is it one of many inputs, always the same ones? For what takes long.
pub fn one_of(many: u64, input: &[u8]) -> bool {
    let mut hash = DefaultHasher::new();
    input.hash(&mut hash);
    hash.finish().is_multiple_of(many)
}

/// It is understood, or refused as a mistake of the user's, in a sentence that is not much longer than what it is about.
pub fn judge<T>(result: Result<T>, input: &[u8]) -> Option<T> {
    let error = match result {
        Ok(understood) => return Some(understood),
        Err(error) => error,
    };
    let said = format!("{error:#}");
    assert!(error.chain().any(|cause| cause.is::<InputError>()), "not said to be wrong input: {said}");
    assert!(!said.is_empty() && said.len() < 4000 + 12 * input.len(), "not a sentence: {said}");
    // Seen where one input is run once more.
    eprintln!("{said}");
    if said.contains("memory") {
        end_where_much_is_lost();
    }
    None
}

/// What a call held that overdrew its allowance stays lost. Before that is too much, this process ends as when it is done; bin/fuzz.sh
/// starts another one.
fn end_where_much_is_lost() {
    let held = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = held.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    if pages > (2 << 30) / 4096 {
        unsafe extern "C" {
            fn raise(signal: i32) -> i32;
        }
        // SIGUSR1, at which libFuzzer ends with its statistics.
        // SAFETY: it takes a number.
        unsafe { raise(10) };
    }
}

/// Some tokens through a model that was loaded. What it computes is nobody's business here; that it computes is.
pub fn forward(model: &Transformer) {
    let arch = model.arch();
    let tokens = [0, arch.vocab as u32 - 1, 0];
    let room = arch.context.min(5);
    let tokens = &tokens[..room.min(3)];
    let unmasked = Plan::UNMASKED;
    let plain = Plain::new(model, &unmasked, room);
    drop(plain.and_then(|mut plain| plain.generate(tokens, room + 1 - tokens.len())));
}
