//! How fast rows go through a weight: GFLOP/s of this program's packed product and of candle's gemm at the shapes of
//! SmolLM2-135M and Qwen2.5-0.5B, for growing numbers of rows; and of a loop of nothing but FMAs, which no product can
//! exceed.
//!
//!     cargo bench --bench matmul [-- ROWS ...]

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::Result;
use candle_core::{Device, Tensor};
use icl_mask::model::cpu::{Matrix, product::Panels};

/// `[in, out]`
const SHAPES: [(usize, usize); 6] =
    [(576, 576), (576, 1536), (1536, 576), (576, 49152), (896, 4864), (4864, 896)];

fn main() -> Result<()> {
    let asked: Vec<usize> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .map(|word| word.parse())
        .collect::<Result<_, _>>()?;
    if let Some(ceiling) = ceiling() {
        println!("nothing but FMAs {ceiling:.1} GFLOP/s");
    }
    let rows = if asked.is_empty() { vec![1, 4, 16, 62, 128, 256, 512] } else { asked };
    for (width, out) in SHAPES {
        let weight = Tensor::randn(0f32, 1., (out, width), &Device::Cpu)?;
        let panels = Panels::pack(&[&weight.flatten_all()?.to_vec1::<f32>()?], width);
        for &rows in &rows {
            let x = Tensor::randn(0f32, 1., (rows, width), &Device::Cpu)?;
            let plain = Matrix::from_rows(width, x.flatten_all()?.to_vec1()?);
            let mut y = Matrix::zeros(rows, out);
            let flop = (2 * rows * width * out) as f64;
            let packed = rate(flop, || {
                panels.apply(&plain, 0..out / 16, &mut y, 0);
                Ok(())
            })?;
            let candle = rate(flop, || {
                x.matmul(&weight.t()?)?;
                Ok(())
            })?;
            println!(
                "{width:>5} x {out:<6} {rows:>4} rows  packed {packed:>6.1}  candle {candle:>6.1} GFLOP/s"
            );
        }
    }
    Ok(())
}

/// The median rate of five rounds.
fn rate(flop: f64, mut product: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut rates = Vec::new();
    product()?;
    for _ in 0..5 {
        let (begun, mut times) = (Instant::now(), 0.);
        while begun.elapsed() < Duration::from_millis(80) {
            product()?;
            times += 1.;
        }
        rates.push(flop * times / begun.elapsed().as_secs_f64() / 1e9);
    }
    rates.sort_by(f64::total_cmp);
    Ok(rates[2])
}

/// FMAs of all threads in registers alone; `None` where the processor has none of the instructions that products use.
#[cfg(target_arch = "x86_64")]
fn ceiling() -> Option<f64> {
    use icl_mask::model::cpu::lanes::{Avx2, Avx512, LANES, Lanes};

    /// As many sums side by side as hide the time that one takes.
    #[inline(always)]
    unsafe fn fmas<L: Lanes, const SUMS: usize>(times: usize) -> f32 {
        let [a, b] = [0.999f32, 0.001].map(|value| unsafe { L::splat(black_box(value)) });
        // Not the same, or the compiler would make one of them.
        let mut sums: [L; SUMS] = std::array::from_fn(|at| unsafe { L::splat(black_box(at as f32)) });
        for _ in 0..times {
            sums.iter_mut().for_each(|sum| *sum = unsafe { sum.fma(a, b) });
        }
        sums.iter().map(|sum| unsafe { sum.sum() }).sum()
    }
    #[target_feature(enable = "avx512f")]
    unsafe fn avx512(times: usize) -> f32 {
        unsafe { fmas::<Avx512, 12>(times) }
    }
    #[target_feature(enable = "avx2,fma")]
    unsafe fn avx2(times: usize) -> f32 {
        unsafe { fmas::<Avx2, 6>(times) }
    }
    const TIMES: usize = 100_000_000;
    let (sums, kernel): (usize, unsafe fn(usize) -> f32) = if is_x86_feature_detected!("avx512f") {
        (12, avx512)
    } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        (6, avx2)
    } else {
        return None;
    };
    let begun = Instant::now();
    // SAFETY: the processor was asked.
    rayon::broadcast(|_| black_box(unsafe { kernel(TIMES) }));
    let flop = 2. * (TIMES * sums * LANES * rayon::current_num_threads()) as f64;
    Some(flop / begun.elapsed().as_secs_f64() / 1e9)
}

#[cfg(not(target_arch = "x86_64"))]
fn ceiling() -> Option<f64> {
    None
}
