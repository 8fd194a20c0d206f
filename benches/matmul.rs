//! How fast rows go through a weight: GFLOP/s of this program's packed product and of candle's gemm at the shapes of
//! SmolLM2-135M and Qwen2.5-0.5B, for growing numbers of rows.
//!
//!     cargo bench --bench matmul [-- ROWS ...]

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
