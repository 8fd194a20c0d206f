//! Sixteen floats at a time, in the widest registers that the processor has: a file for each instruction set.
//!
//! Every kernel is written once over [`Lanes`] and compiled for each instruction set (`dispatched!`); which one runs
//! is asked of the processor. (A closure would be compiled for any processor: there are none around these methods.) A lane is never added to another but in [`Lanes::sum`], in one fixed order, so a kernel
//! computes the same bits whatever stands in the other rows of a batch.

use std::sync::OnceLock;

use anyhow::Result;

use crate::base::error::{input, suggest};

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

#[cfg(target_arch = "x86_64")]
pub use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub use avx512::Avx512;
pub use portable::Portable;

/// Names the environment variable that chooses an instruction set, for tests and measurements.
pub const ISA: &str = "ICL_MASK_ISA";

/// An instruction set that kernels are compiled for, the narrowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isa {
    /// Plain Rust.
    Portable,
    /// AVX2 with FMA.
    Avx2,
    /// AVX-512F.
    Avx512,
}

impl Isa {
    const ALL: [(Self, &str); 3] =
        [(Self::Portable, "portable"), (Self::Avx2, "avx2"), (Self::Avx512, "avx512")];

    /// Those that this processor has.
    pub fn available() -> impl Iterator<Item = (Self, &'static str)> {
        Self::ALL.into_iter().filter(|(isa, _)| isa.is_here())
    }

    fn is_here(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => is_x86_feature_detected!("avx512f"),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Avx512 => false,
        }
    }

    /// The one that [`ISA`] names, or else the widest that the processor has.
    ///
    /// # Errors
    /// There is none of this name, or the processor lacks it.
    pub fn asked_for() -> Result<Self> {
        let widest = || Self::available().map(|(isa, _)| isa).max().unwrap_or(Self::Portable);
        let Some(word) = std::env::var_os(ISA) else { return Ok(widest()) };
        let word = word.to_string_lossy();
        match Self::ALL.into_iter().find(|(_, name)| *name == word) {
            Some((isa, _)) if isa.is_here() => Ok(isa),
            Some(_) => Err(input(format!("{ISA}={word}: this processor has no such instructions"))),
            None => Err(input(format!(
                "{ISA}={word}: is no instruction set; {}",
                suggest(&word, &Self::ALL.map(|(_, name)| name))
            ))),
        }
    }

    /// The one that kernels run with, looked for once.
    ///
    /// # Panics
    /// [`ISA`] names none. The command has asked [`asked_for`](Self::asked_for) before.
    pub fn chosen() -> Self {
        static CHOSEN: OnceLock<Isa> = OnceLock::new();
        *CHOSEN.get_or_init(|| Self::asked_for().unwrap_or_else(|error| panic!("{error}")))
    }
}

/// Floats in a vector, a panel of weights, a panel of keys.
pub const LANES: usize = 16;

/// Sixteen floats in memory, on one cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct Aligned(pub [f32; LANES]);

/// So many lines of zeros.
pub fn lines(count: usize) -> Vec<Aligned> {
    vec![Aligned([0.; LANES]); count]
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

/// The hyperbolic tangent of each lane, within 2e-7.
///
/// # Safety
/// As [`Lanes`] says.
#[inline(always)]
pub unsafe fn tanh<L: Lanes>(x: L) -> L {
    unsafe {
        // (1 - e^-2x) / (1 + e^-2x), where e^-2x is at most e^20: there the quotient is -1 to the last bit.
        let power = exp(x.max(L::splat(-10.)).mul(L::splat(-2.)));
        let one = L::splat(1.);
        one.sub(power).div(one.add(power))
    }
}

/// Defines a function that runs `$body::<L>` as compiled for the widest vectors of this processor.
macro_rules! dispatched {
    ($(#[$meta:meta])* $vis:vis unsafe fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? = $body:ident;) => {
        $(#[$meta])*
        $vis unsafe fn $name($($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            {
                use $crate::model::cpu::lanes::{Avx2, Avx512, Isa};
                #[target_feature(enable = "avx512f")]
                unsafe fn avx512($($arg: $ty),*) $(-> $ret)? {
                    unsafe { $body::<Avx512>($($arg),*) }
                }
                #[target_feature(enable = "avx2,fma")]
                unsafe fn avx2($($arg: $ty),*) $(-> $ret)? {
                    unsafe { $body::<Avx2>($($arg),*) }
                }
                match Isa::chosen() {
                    // SAFETY: the processor was asked; the rest is the caller's promise.
                    Isa::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: likewise.
                    Isa::Avx2 => return unsafe { avx2($($arg),*) },
                    Isa::Portable => {}
                }
            }
            // SAFETY: the caller's promise.
            unsafe { $body::<$crate::model::cpu::lanes::Portable>($($arg),*) }
        }
    };
}
pub(crate) use dispatched;
