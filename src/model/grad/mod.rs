//! The loss of an adapter and its gradient: forward through the layers from the adapted one on, and back to it. All
//! else is frozen, so nothing below that layer is computed, and of its own parts only those above the adapted projection.
//!
//! Rows of whole sequences are packed without padding, as everywhere. What backward needs of each layer is kept by
//! forward; attention's weights are computed again, as they are larger than what they are made of.

use std::ops::Range;

use anyhow::Result;

mod activation;
mod attention;
mod loss;
mod norm;
mod parts;

pub use loss::Loss;
pub use parts::{Gradient, Noise};

use self::parts::{Ends, Inputs};
use super::arch::Wiring;
use super::cpu::Matrix;
use super::cpu::product::Panels;
use super::cpu::rowwise::add;
use super::transformer::{Block, norm};
use super::{Adapter, Arch, BlockId, Decoder, Extent, KvStore, Projection, Read, Reads, Rows, Transformer};

/// A frozen decoder made ready for gradients: beside each weight of the layers from the first one on its transpose.
pub struct Differentiable<'a> {
    model: &'a Transformer,
    /// Of the layers from `first` on.
    transposes: Vec<Transposes>,
    first: usize,
    head: Panels,
}

/// The transposes of a block's weights.
struct Transposes {
    qkv: Panels,
    o: Panels,
    into: Panels,
    down: Panels,
}

/// Sequences packed one behind the other.
#[derive(Debug, Clone, Default)]
pub struct Packed {
    /// The rows of each.
    pub sequences: Vec<Range<usize>>,
    /// Position of each row in its sequence.
    pub positions: Vec<usize>,
}

impl Packed {
    /// Sequences of these lengths.
    pub fn new(lengths: impl IntoIterator<Item = usize>) -> Self {
        let mut packed = Self::default();
        for length in lengths {
            let start = packed.positions.len();
            packed.positions.extend(0..length);
            packed.sequences.push(start..start + length);
        }
        packed
    }

    /// Rows in all.
    pub fn rows(&self) -> usize {
        self.positions.len()
    }

    /// Do something with the rows of one layer, each sequence with a block of its own to write to and read from.
    pub fn at_layer<T>(&self, arch: &Arch, layer: usize, of: impl FnOnce(&[Rows], &mut KvStore) -> T) -> T {
        let mut kv = KvStore::default();
        let extent = |rows: usize| Extent { columns: 0..rows, layers: layer..layer + 1 };
        let blocks: Vec<_> = self.sequences.iter().map(|rows| kv.add(arch, extent(rows.len()))).collect();
        let reads: Vec<[Read; 1]> = (self.sequences.iter().zip(&blocks))
            .map(|(rows, &block)| [Read { block, start: 0, end: rows.len() }])
            .collect();
        let rows = |((rows, &write), reads): ((&Range<usize>, &BlockId), _)| Rows {
            positions: &self.positions[rows.clone()],
            write,
            reads: Reads::Columns(reads),
            adapted: false,
        };
        let batch: Vec<Rows> = self
            .sequences
            .iter()
            .zip(&blocks)
            .zip(reads.iter().map(<[Read; 1]>::as_slice))
            .map(rows)
            .collect();
        of(&batch, &mut kv)
    }
}

/// What goes through the layers from the adapted one on.
#[derive(Clone, Copy)]
pub struct Pass<'a> {
    /// The adapted layer.
    pub layer: usize,
    /// What changes it.
    pub adapter: &'a Adapter,
    /// What enters it, `[rows, hidden]`.
    pub states: &'a Matrix,
    /// The rows' sequences.
    pub packed: &'a Packed,
    /// The token that follows each row; `None` where it is not counted.
    pub next: &'a [Option<u32>],
    /// Dropout on the adapter's input, if there is some.
    pub noise: Option<&'a Noise>,
}

/// What backward needs of one layer.
struct Saved {
    /// `[rows, hidden]`, what enters the layer.
    entering: Matrix,
    /// `[rows, ..]`, as the products give them: not yet normed or rotated.
    qkv: Matrix,
    /// `[rows, hidden]`, what attention puts out, where it is normed before it is added.
    out: Matrix,
    /// `[rows, hidden]`, what enters the MLP's norm.
    middle: Matrix,
    /// `[rows, ..]`, gate and up as the products give them.
    inner: Matrix,
    /// `[rows, hidden]`, what the MLP puts out, where it is normed before it is added.
    mlp_out: Matrix,
}

impl<'a> Differentiable<'a> {
    /// Ready for gradients down to `first`. Takes as much memory again as the weights of these layers.
    ///
    /// # Errors
    /// Weights that are not held as f32.
    pub fn new(model: &'a Transformer, first: usize) -> Result<Self> {
        let transposes = model.blocks()[first..].iter().map(|block| {
            Ok(Transposes {
                qkv: block.attention.qkv.transposed()?,
                o: block.attention.o.transposed()?,
                into: block.mlp.into.transposed()?,
                down: block.mlp.down.transposed()?,
            })
        });
        let transposes = transposes.collect::<Result<_>>()?;
        Ok(Self { model, transposes, first, head: model.head().transposed()? })
    }

    /// The model.
    pub fn model(&self) -> &'a Transformer {
        self.model
    }

    /// Sum of the losses of the tokens that are counted.
    ///
    /// # Errors
    /// A product fails.
    pub fn loss(&self, pass: &Pass) -> Result<Loss> {
        let mut states = pass.states.clone();
        for at in pass.layer..self.model.arch().layers {
            self.forward(at, &mut states, pass, None)?;
        }
        loss::cross_entropy(self.model, None, &mut states, pass.next)
    }

    /// The same; and the gradient of `share` times that sum is added to `gradient`.
    ///
    /// # Errors
    /// A product fails.
    pub fn gradient(&self, pass: &Pass, share: f32, gradient: &mut Gradient) -> Result<Loss> {
        assert!(pass.layer >= self.first, "gradients reach down to layer {}", self.first);
        let mut states = pass.states.clone();
        let mut inputs = Inputs::default();
        let mut saved = Vec::new();
        for at in pass.layer..self.model.arch().layers {
            saved.push(self.forward(at, &mut states, pass, Some(&mut inputs))?);
        }
        let loss = loss::cross_entropy(self.model, Some((&self.head, share)), &mut states, pass.next)?;
        let mut back = states;
        while let Some(last) = saved.pop() {
            let at = pass.layer + saved.len();
            let adapted = saved.is_empty().then_some((&inputs, &mut *gradient));
            self.backward(at, &last, pass, &mut back, adapted);
        }
        Ok(loss)
    }

    /// One layer forward, `states` in place.
    fn forward(
        &self,
        layer: usize,
        states: &mut Matrix,
        pass: &Pass,
        inputs: Option<&mut Inputs>,
    ) -> Result<Saved> {
        use Projection::{Down, Gate, K, O, Q, Up, V};
        let (arch, block) = (self.model.arch(), &self.model.blocks()[layer]);
        let entering = states.clone();
        let gated = arch.gated;
        let adapt =
            |projections: &[Projection], x: &Matrix, y: &mut Matrix, linear: &super::parts::Linear| {
                for &projection in projections.iter().filter(|_| layer == pass.layer) {
                    pass.add(projection, x, y, linear.start(projection.part(gated)));
                }
            };
        let mut inputs = inputs.filter(|_| layer == pass.layer);
        let mut keep = |which: fn(&mut Inputs) -> &mut Matrix, x: &Matrix| {
            if let Some(inputs) = inputs.as_deref_mut() {
                which(inputs).clone_from(x);
            }
        };
        let [mut normed, mut qkv, mut attended, mut out, mut inner, mut mlp_out] =
            std::array::from_fn(|_| Matrix::default());
        norm(&block.attention_norm, states, &mut normed);
        block.attention.qkv.forward(&normed, &mut qkv)?;
        adapt(&[Q, K, V], &normed, &mut qkv, &block.attention.qkv);
        keep(|inputs| &mut inputs.normed, &normed);
        self.attend(layer, &qkv, pass.packed, &mut attended);
        block.attention.o.forward(&attended, &mut out)?;
        adapt(&[O], &attended, &mut out, &block.attention.o);
        keep(|inputs| &mut inputs.attended, &attended);
        let mut sandwiched = Matrix::default();
        if block.after_attention.is_some() {
            sandwiched = trimmed(&out, arch.hidden);
        }
        if arch.wiring != Wiring::Parallel {
            super::transformer::add_normed(&block.after_attention, states, &mut out);
        }
        let middle = states.clone();
        norm(&block.mlp_norm, states, &mut normed);
        block.mlp.into.forward(&normed, &mut inner)?;
        adapt(&[Gate, Up], &normed, &mut inner, &block.mlp.into);
        keep(|inputs| &mut inputs.mlp_normed, &normed);
        let before = inner.clone();
        block.mlp.activate(&mut inner);
        block.mlp.down.forward(&inner, &mut mlp_out)?;
        adapt(&[Down], &inner, &mut mlp_out, &block.mlp.down);
        keep(|inputs| &mut inputs.activated, &inner);
        let mut mlp_sandwiched = Matrix::default();
        if block.after_mlp.is_some() {
            mlp_sandwiched = trimmed(&mlp_out, arch.hidden);
        }
        if arch.wiring == Wiring::Parallel {
            add(&mut mlp_out, &out);
            add(states, &mlp_out);
        } else {
            super::transformer::add_normed(&block.after_mlp, states, &mut mlp_out);
        }
        Ok(Saved { entering, qkv, out: sandwiched, middle, inner: before, mlp_out: mlp_sandwiched })
    }

    /// Queries, keys and values as the products give them -> what attention reads, through the same code as everywhere.
    fn attend(&self, layer: usize, qkv: &Matrix, packed: &Packed, attended: &mut Matrix) {
        let mut placed = qkv.clone();
        self.model.positioned(layer, &mut placed, &packed.positions);
        packed.at_layer(self.model.arch(), layer, |batch, kv| {
            self.model.store(layer, &placed, batch, kv);
            self.model.attend(layer, &placed, batch, kv, attended);
        });
    }

    /// One layer back: the gradient of what it puts out, `[rows, hidden]`, becomes in place that of what enters it. At the
    /// adapted layer the adapter's gradient is added, and there it ends.
    fn backward(
        &self,
        layer: usize,
        saved: &Saved,
        pass: &Pass,
        back: &mut Matrix,
        adapted: Option<(&Inputs, &mut Gradient)>,
    ) {
        use Projection::{Down, Gate, K, O, Q, Up, V};
        let parallel = self.model.arch().wiring == Wiring::Parallel;
        let mut ends = Ends::new(pass, adapted);
        let mut of_middle = Matrix::default();
        if !parallel || !ends.end_before(&[Gate, Up, Down]) {
            of_middle = self.mlp_backward(layer, saved, back, &mut ends);
        }
        if ends.end_before(&[Q, K, V, O]) {
            return;
        }
        if !parallel {
            add(back, &of_middle);
        }
        let of_entering = self.attention_backward(layer, saved, pass, back, &mut ends);
        if let Some(of_entering) = of_entering {
            add(back, &of_entering);
            if parallel {
                add(back, &of_middle);
            }
        }
    }

    fn block(&self, layer: usize) -> (&'a Block, &Transposes) {
        (&self.model.blocks()[layer], &self.transposes[layer - self.first])
    }

    /// The gradient of what a block puts out -> what the MLP adds to the gradient of its norm's input.
    fn mlp_backward(&self, layer: usize, saved: &Saved, back: &Matrix, ends: &mut Ends) -> Matrix {
        use Projection::{Down, Gate, Up};
        let (block, transposes) = self.block(layer);
        let (gated, down, into) = (self.model.arch().gated, &block.mlp.down, &block.mlp.into);
        let through = block.after_mlp.as_ref().map(|norm| norm::backward(norm, &saved.mlp_out, back));
        let of_out = through.as_ref().unwrap_or(back);
        let mut of_activated = product(&transposes.down, of_out);
        ends.take(Down, |inputs| &inputs.activated, of_out, down.start(0), Some(&mut of_activated));
        let of_inner = activation::backward(&block.mlp, &saved.inner, &of_activated);
        let mut of_normed = product(&transposes.into, &of_inner);
        for projection in [Gate, Up] {
            let start =
                if projection == Gate && !gated { continue } else { into.start(projection.part(gated)) };
            ends.take(projection, |inputs| &inputs.mlp_normed, &of_inner, start, Some(&mut of_normed));
        }
        norm::backward(&block.mlp_norm, &saved.middle, &of_normed)
    }

    /// The gradient of what follows attention's sum -> what attention adds to the gradient of its norm's input; `None` at
    /// the adapted layer, where nobody asks.
    fn attention_backward(
        &self,
        layer: usize,
        saved: &Saved,
        pass: &Pass,
        back: &Matrix,
        ends: &mut Ends,
    ) -> Option<Matrix> {
        use Projection::{K, O, Q, V};
        let (block, transposes) = self.block(layer);
        let qkv = &block.attention.qkv;
        let through = block.after_attention.as_ref().map(|norm| norm::backward(norm, &saved.out, back));
        let of_out = through.as_ref().unwrap_or(back);
        if ends.end_before(&[Q, K, V]) {
            ends.take(O, |inputs| &inputs.attended, of_out, 0, None);
            return None;
        }
        let mut of_attended = product(&transposes.o, of_out);
        ends.take(O, |inputs| &inputs.attended, of_out, 0, Some(&mut of_attended));
        let of_qkv = attention::backward(self.model, layer, &saved.qkv, &of_attended, pass.packed);
        for projection in [Q, K, V] {
            ends.take(projection, |inputs| &inputs.normed, &of_qkv, qkv.start(projection.part(true)), None);
        }
        if ends.at_all() {
            return None;
        }
        let of_normed = product(&transposes.qkv, &of_qkv);
        Some(norm::backward(&block.attention_norm, &saved.entering, &of_normed))
    }
}

/// A gradient through a product, by the weight's transpose.
fn product(transpose: &Panels, back: &Matrix) -> Matrix {
    let mut out = Matrix::zeros(back.rows(), transpose.stride());
    transpose.apply(back, 0..transpose.stride() / super::cpu::lanes::LANES, &mut out, 0);
    out
}

/// Rows without what fills them up.
fn trimmed(matrix: &Matrix, width: usize) -> Matrix {
    let data = (0..matrix.rows()).flat_map(|row| &matrix.row(row)[..width]).copied().collect();
    Matrix::from_rows(width, data)
}

/// Bytes of a pass with gradients, whose rows are [`ROWS`] or those of one text that is longer.
pub fn pass_bytes(arch: &Arch, longest: usize) -> u64 {
    let attention = (arch.heads + 2 * arch.kv_heads) * arch.head_dim;
    let inner = if arch.gated { 2 } else { 1 } * arch.intermediate;
    let sandwich = if arch.wiring == Wiring::Sandwich { 2 } else { 0 };
    let kept = arch.layers * ((2 + sandwich) * arch.hidden + attention + inner);
    let row = kept + 10 * arch.hidden + 4 * inner;
    4 * (ROWS.max(longest) * row + 2 * loss::ROWS * arch.vocab) as u64
}

/// Rows of a pass with gradients at most, unless one text is longer: enough to fill the matrix units.
pub const ROWS: usize = 640;
