//! Sixteen floats at a time, in the widest registers that the processor has.
//!
//! Every kernel is written once over [`Lanes`] and compiled for each instruction set (`dispatched!`); which one runs
//! is asked of the processor. (A closure would be compiled for any processor: there are none around these methods.) A lane is never added to another but in [`Lanes::sum`], in one fixed order, so a kernel
//! computes the same bits whatever stands in the other rows of a batch.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Floats in a vector, a panel of weights, a panel of keys.
pub const LANES: usize = 16;

/// Sixteen floats in memory, on one cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct Line(pub [f32; LANES]);

/// So many lines of zeros.
pub fn lines(count: usize) -> Vec<Line> {
    vec![Line([0.; LANES]); count]
}

/// Sixteen floats in registers.
///
/// # Safety
/// Methods are called only where the processor has the instructions of the implementing type, and with pointers to
/// sixteen floats.
#[allow(clippy::missing_safety_doc, reason = "said once, for all of them")]
pub trait Lanes: Copy {
    /// Rows and vectors of the tile that a matrix product keeps in registers.
    const TILE: (usize, usize);
    /// A lower and wider one, for few rows.
    const WIDE_TILE: (usize, usize);

    unsafe fn splat(value: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    /// Ask for memory that will be read soon.
    #[inline(always)]
    unsafe fn prefetch(_from: *const f32) {}
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    unsafe fn div(self, other: Self) -> Self;
    unsafe fn max(self, other: Self) -> Self;
    /// `self + a * b`, rounded once where the processor can.
    unsafe fn fma(self, a: Self, b: Self) -> Self;
    /// To the nearest whole number.
    unsafe fn round(self) -> Self;
    /// 2 to the power of whole numbers from -126 to 127.
    unsafe fn power_of_two(self) -> Self;
    /// `self`, but 0 where `test < bound`.
    unsafe fn zero_where_less(self, test: Self, bound: Self) -> Self;

    /// All lanes, in one fixed order.
    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        unsafe { fold(self, |a, b| a + b) }
    }

    /// The greatest lane.
    #[inline(always)]
    unsafe fn greatest(self) -> f32 {
        unsafe { fold(self, f32::max) }
    }
}

/// Halves onto each other until one lane is left.
#[inline(always)]
unsafe fn fold<L: Lanes>(lanes: L, with: impl Fn(f32, f32) -> f32) -> f32 {
    let mut all = [0f32; LANES];
    unsafe { lanes.store(all.as_mut_ptr()) };
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            all[i] = with(all[i], all[i + half]);
        }
    }
    all[0]
}

/// e to the power of each lane, within two units in the last place; 0 below -87.3.
///
/// # Safety
/// As [`Lanes`] says.
#[inline(always)]
pub unsafe fn exp<L: Lanes>(x: L) -> L {
    // Cody and Waite: x = n ln 2 + r with |r| <= ln 2 / 2, and a polynomial in r (Cephes' `expf`).
    const LOWEST: f32 = -87.3;
    const HIGHEST: f32 = 88.;
    const TERMS: [f32; 6] = [1.987_569_1e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];
    unsafe {
        let clamped = x.max(L::splat(LOWEST));
        // The lesser of two is minus the greater of their negatives.
        let minus = L::splat(-1.);
        let clamped = clamped.mul(minus).max(L::splat(-HIGHEST)).mul(minus);
        let n = clamped.mul(L::splat(std::f32::consts::LOG2_E)).round();
        let r = clamped.fma(n, L::splat(-0.693_359_4)).fma(n, L::splat(2.121_944_4e-4));
        let mut y = L::splat(TERMS[0]);
        for term in &TERMS[1..] {
            y = L::splat(*term).fma(y, r);
        }
        let y = r.fma(y, r.mul(r)).add(L::splat(1.));
        y.mul(n.power_of_two()).zero_where_less(x, L::splat(LOWEST))
    }
}

/// One 512-bit register.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub struct Avx512(__m512);

#[cfg(target_arch = "x86_64")]
impl Lanes for Avx512 {
    const TILE: (usize, usize) = (8, 3);
    const WIDE_TILE: (usize, usize) = (6, 4);
    #[inline(always)]
    unsafe fn prefetch(from: *const f32) {
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) }
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self(unsafe { _mm512_set1_ps(value) })
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        Self(unsafe { _mm512_loadu_ps(from) })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { _mm512_storeu_ps(to, self.0) }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self(unsafe { _mm512_add_ps(self.0, other.0) })
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        Self(unsafe { _mm512_sub_ps(self.0, other.0) })
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        Self(unsafe { _mm512_mul_ps(self.0, other.0) })
    }
    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        Self(unsafe { _mm512_div_ps(self.0, other.0) })
    }
    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        Self(unsafe { _mm512_max_ps(self.0, other.0) })
    }
    #[inline(always)]
    unsafe fn fma(self, a: Self, b: Self) -> Self {
        Self(unsafe { _mm512_fmadd_ps(a.0, b.0, self.0) })
    }
    #[inline(always)]
    unsafe fn round(self) -> Self {
        Self(unsafe { _mm512_roundscale_ps::<0>(self.0) })
    }
    #[inline(always)]
    unsafe fn power_of_two(self) -> Self {
        Self(unsafe { _mm512_scalef_ps(_mm512_set1_ps(1.), self.0) })
    }
    #[inline(always)]
    unsafe fn zero_where_less(self, test: Self, bound: Self) -> Self {
        unsafe {
            let kept = _mm512_cmp_ps_mask::<_CMP_NLT_UQ>(test.0, bound.0);
            Self(_mm512_maskz_mov_ps(kept, self.0))
        }
    }
}

/// Two 256-bit registers.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub struct Avx2(__m256, __m256);

#[cfg(target_arch = "x86_64")]
impl Lanes for Avx2 {
    const TILE: (usize, usize) = (6, 1);
    const WIDE_TILE: (usize, usize) = (2, 2);

    #[inline(always)]
    unsafe fn prefetch(from: *const f32) {
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) }
    }
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        let half = unsafe { _mm256_set1_ps(value) };
        Self(half, half)
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        unsafe { Self(_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe {
            _mm256_storeu_ps(to, self.0);
            _mm256_storeu_ps(to.add(8), self.1);
        }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        unsafe { Self(_mm256_add_ps(self.0, other.0), _mm256_add_ps(self.1, other.1)) }
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        unsafe { Self(_mm256_sub_ps(self.0, other.0), _mm256_sub_ps(self.1, other.1)) }
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        unsafe { Self(_mm256_mul_ps(self.0, other.0), _mm256_mul_ps(self.1, other.1)) }
    }
    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        unsafe { Self(_mm256_div_ps(self.0, other.0), _mm256_div_ps(self.1, other.1)) }
    }
    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        unsafe { Self(_mm256_max_ps(self.0, other.0), _mm256_max_ps(self.1, other.1)) }
    }
    #[inline(always)]
    unsafe fn fma(self, a: Self, b: Self) -> Self {
        unsafe { Self(_mm256_fmadd_ps(a.0, b.0, self.0), _mm256_fmadd_ps(a.1, b.1, self.1)) }
    }
    #[inline(always)]
    unsafe fn round(self) -> Self {
        unsafe { Self(_mm256_round_ps::<0>(self.0), _mm256_round_ps::<0>(self.1)) }
    }
    #[inline(always)]
    unsafe fn power_of_two(self) -> Self {
        unsafe {
            let bias = _mm256_set1_epi32(127);
            let low = _mm256_slli_epi32::<23>(_mm256_add_epi32(_mm256_cvtps_epi32(self.0), bias));
            let high = _mm256_slli_epi32::<23>(_mm256_add_epi32(_mm256_cvtps_epi32(self.1), bias));
            Self(_mm256_castsi256_ps(low), _mm256_castsi256_ps(high))
        }
    }
    #[inline(always)]
    unsafe fn zero_where_less(self, test: Self, bound: Self) -> Self {
        unsafe {
            Self(
                _mm256_and_ps(self.0, _mm256_cmp_ps::<_CMP_NLT_UQ>(test.0, bound.0)),
                _mm256_and_ps(self.1, _mm256_cmp_ps::<_CMP_NLT_UQ>(test.1, bound.1)),
            )
        }
    }
}

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

/// Defines a function that runs `$body::<L>` as compiled for the widest vectors of this processor.
macro_rules! dispatched {
    ($(#[$meta:meta])* $vis:vis unsafe fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? = $body:ident;) => {
        $(#[$meta])*
        $vis unsafe fn $name($($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            {
                use $crate::model::cpu::lanes::{Avx2, Avx512};
                #[target_feature(enable = "avx512f")]
                unsafe fn avx512($($arg: $ty),*) $(-> $ret)? {
                    unsafe { $body::<Avx512>($($arg),*) }
                }
                #[target_feature(enable = "avx2,fma")]
                unsafe fn avx2($($arg: $ty),*) $(-> $ret)? {
                    unsafe { $body::<Avx2>($($arg),*) }
                }
                // SAFETY: the processor was asked; the rest is the caller's promise.
                if is_x86_feature_detected!("avx512f") {
                    return unsafe { avx512($($arg),*) };
                }
                if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                    return unsafe { avx2($($arg),*) };
                }
            }
            // SAFETY: the caller's promise.
            unsafe { $body::<$crate::model::cpu::lanes::Portable>($($arg),*) }
        }
    };
}
pub(crate) use dispatched;
