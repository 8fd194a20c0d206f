//! Queries, keys and values to their places: rotated to their rows' positions, keys and values into the pool.

use anyhow::Result;
use candle_core::{DType, Tensor};

use super::kv::DeviceKv;
use super::parts::Rope;

/// One layer's way from the outputs of its projections to attention.
pub struct Placing<'a> {
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    /// Where positions are rotary.
    pub rope: Option<&'a Rope>,
    /// Of queries, keys and values.
    pub dtype: DType,
}

impl Placing<'_> {
    /// Rows' queries, keys and values `[rows, (heads + 2 * kv_heads) * head_dim]`, f32 or `dtype` -> queries
    /// `[rows, heads, head_dim]`, when keys and values are written to the rows' slots.
    pub fn run(&self, qkv: &Tensor, positions: &[usize], slots: &[u32], kv: &DeviceKv) -> Result<Tensor> {
        let furthest = positions.iter().copied().max().unwrap_or(0);
        let mut place: Vec<u32> = positions.iter().map(|&position| position as u32).collect();
        let rows = place.len();
        place.extend(slots);
        let place = Tensor::new(place, qkv.device())?;
        #[cfg(feature = "cuda")]
        if qkv.device().is_cuda() {
            return self.kernel(qkv, &place, furthest, kv);
        }
        let at = place.narrow(0, 0, rows)?;
        let qkv = qkv.to_dtype(DType::F32)?.reshape((rows, (), self.head_dim))?;
        let part = |first: usize, heads: usize| qkv.narrow(1, first, heads);
        let placed = |x: Tensor| match self.rope {
            Some(rope) => rope.rotate(&x, &at, furthest),
            None => Ok(x),
        };
        let (q, k) = (placed(part(0, self.heads)?)?, placed(part(self.heads, self.kv_heads)?)?);
        kv.write(slots, &k, &part(self.heads + self.kv_heads, self.kv_heads)?)?;
        Ok(q.to_dtype(self.dtype)?)
    }

    #[cfg(feature = "cuda")]
    fn kernel(&self, qkv: &Tensor, place: &Tensor, furthest: usize, kv: &DeviceKv) -> Result<Tensor> {
        use super::kernels::{Launch, room};
        let rows = qkv.dim(0)?;
        let angles = self.rope.map(|rope| rope.up_to(furthest)).transpose()?;
        let half = angles.as_ref().map_or(Ok(0), |[cosines, _]| cosines.dim(1))?;
        let [cosines, sines] = [0, 1].map(|which| angles.as_ref().map(|angles| &angles[which]));
        let q = room(&[rows, self.heads, self.head_dim], self.dtype, qkv.device())?;
        let name = if qkv.dtype() == self.dtype { "place_narrow" } else { "place_wide" };
        let launch =
            Launch::new(name, self.dtype, qkv.device())?.tensor(qkv)?.maybe(cosines)?.maybe(sines)?;
        let launch = launch.tensor(place)?.tensor(&q)?.tensor(kv.pool())?;
        let launch = launch.counts(&[self.heads, self.kv_heads, self.head_dim, half, kv.slots()])?;
        // SAFETY: positions are at most the furthest, slots are of the pool, and sizes those of the tensors.
        unsafe { launch.run([rows, 1, 1], 256, 0) }?;
        Ok(q)
    }
}
