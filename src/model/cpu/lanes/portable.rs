//! Any processor.

use super::{LANES, Lanes};

/// Plain Rust, for the compiler to make vectors of.
#[derive(Clone, Copy)]
pub struct Portable([f32; LANES]);

/// Elsewhere `mul_add` would be a call of a slow function.
const FUSED: bool = cfg!(any(target_feature = "fma", target_arch = "aarch64"));

impl Portable {
    #[inline(always)]
    fn each(self, other: Self, of: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|i| of(self.0[i], other.0[i])))
    }
}

impl Lanes for Portable {
    const TILE: (usize, usize) = (4, 1);
    const WIDE_TILE: (usize, usize) = (2, 2);

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; LANES])
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        Self(unsafe { from.cast::<[f32; LANES]>().read() })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { to.cast::<[f32; LANES]>().write(self.0) }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        self.each(other, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        self.each(other, |a, b| a - b)
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        self.each(other, |a, b| a * b)
    }
    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        self.each(other, |a, b| a / b)
    }
    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        self.each(other, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    unsafe fn fma(self, a: Self, b: Self) -> Self {
        let fma = |i: usize| match FUSED {
            true => a.0[i].mul_add(b.0[i], self.0[i]),
            false => a.0[i] * b.0[i] + self.0[i],
        };
        Self(std::array::from_fn(fma))
    }
    #[inline(always)]
    unsafe fn round(self) -> Self {
        self.each(self, |a, _| a.round_ties_even())
    }
    #[inline(always)]
    unsafe fn power_of_two(self) -> Self {
        self.each(self, |n, _| f32::from_bits(((n as i32 + 127) as u32) << 23))
    }
    #[inline(always)]
    unsafe fn zero_where_less(self, test: Self, bound: Self) -> Self {
        Self(std::array::from_fn(|i| if test.0[i] < bound.0[i] { 0. } else { self.0[i] }))
    }
}
