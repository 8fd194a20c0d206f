//! Amounts as people read them.

/// Bytes in GiB.
pub fn gib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}

/// Bytes as `1.25 GiB`.
pub fn in_gib(bytes: u64) -> String {
    format!("{:.2} GiB", gib(bytes))
}
