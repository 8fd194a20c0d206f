//! How the system's allocator is asked to deal with memory that is taken and given back at each step.

/// Keep what is given back for the next step. By default glibc returns large buffers to the system at once and takes new
/// ones, whose pages are cleared and mapped one by one by a single thread, which costs a tenth of a training's time. Other
/// allocators are left as they are.
pub fn keep_buffers() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        /// The greatest that every version of glibc takes: larger buffers, such as a large vocabulary's logits, still come from
        /// the system.
        const LARGEST: i32 = 32 << 20;
        /// Never, as mallopt(3) says.
        const NEVER: i32 = -1;
        // SAFETY: sets two numbers under the allocator's own lock. A refusal costs time alone.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, LARGEST);
            libc::mallopt(libc::M_TRIM_THRESHOLD, NEVER);
        }
    }
}
