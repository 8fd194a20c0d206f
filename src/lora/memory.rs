//! How the system's allocator is asked to deal with memory that is taken and given back at each step.

/// While it lives, what is given back is kept for the next step. By default glibc returns large buffers to the system at once and
/// takes new ones, whose pages are cleared and mapped one by one by a single thread while the others wait.
/// Other allocators are left as they are.
#[must_use]
pub struct KeptBuffers(());

/// The greatest that every version of glibc takes: larger buffers, such as a large vocabulary's logits, still come from the
/// system.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGEST: i32 = 32 << 20;

impl KeptBuffers {
    /// Buffers that are given back stay with the process.
    pub fn from_now_on() -> Self {
        /// As mallopt(3) says.
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        const NEVER: i32 = -1;
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        // SAFETY: sets two numbers under the allocator's own lock. A refusal costs time alone.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, LARGEST);
            libc::mallopt(libc::M_TRIM_THRESHOLD, NEVER);
        }
        Self(())
    }
}

impl Drop for KeptBuffers {
    fn drop(&mut self) {
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        // SAFETY: as above; and what is free goes back to the system.
        unsafe {
            libc::mallopt(libc::M_TRIM_THRESHOLD, 2 * LARGEST);
            libc::malloc_trim(0);
        }
    }
}
