//! The loss of an adapter and its gradient: forward through the layers from the adapted one on, and back to it. All
//! else is frozen, so nothing below that layer is computed, and of its own parts only those above the adapted projection.
//!
//! Rows of whole sequences are packed without padding, as everywhere. What backward needs of each layer is kept by
//! forward; attention's weights are computed again, as they are larger than what they are made of.

use anyhow::Result;

mod activation;
mod attention;
mod loss;
mod norm;
mod packed;
mod parts;
mod transpose;

pub use loss::Loss;
pub use packed::Packed;
pub use parts::{Gradient, Noise};

use self::parts::{Ends, Inputs};
use self::transpose::{Transpose, VOCABULARY_PIECE};
use super::arch::Wiring;
use super::cpu::Matrix;
use super::cpu::rowwise::{NormWeights, add};
use super::parts::Linear;
use super::transformer::{Block, add_normed, norm};
use super::{Adapter, Arch, Decoder, Projection, Transformer};

/// A frozen decoder made ready for gradients: beside each weight of the layers from the first one on its transpose.
pub struct Differentiable<'a> {
    model: &'a Transformer,
    /// Of the layers from `first` on.
    transposes: Vec<Transposes>,
    first: usize,
    head: Transpose,
}

/// The transposes of a block's weights.
struct Transposes {
    qkv: Transpose,
    o: Transpose,
    into: Transpose,
    down: Transpose,
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
                qkv: Transpose::new(&block.attention.qkv, None)?,
                o: Transpose::new(&block.attention.o, None)?,
                into: Transpose::new(&block.mlp.into, None)?,
                down: Transpose::new(&block.mlp.down, None)?,
            })
        });
        let transposes = transposes.collect::<Result<_>>()?;
        Ok(Self { model, transposes, first, head: Transpose::new(model.head(), Some(VOCABULARY_PIECE))? })
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
        // From within the pool: its threads then stay awake from product to product.
        rayon::scope(|_| {
            let mut states = pass.states.clone();
            for at in pass.layer..self.model.arch().layers {
                self.forward(at, &mut states, pass, None)?;
            }
            loss::cross_entropy(self.model, None, &mut states, pass.next)
        })
    }

    /// The same; and the gradient of `share` times that sum is added to `gradient`.
    ///
    /// # Errors
    /// A product fails.
    pub fn gradient(&self, pass: &Pass, share: f32, gradient: &mut Gradient) -> Result<Loss> {
        assert!(pass.layer >= self.first, "gradients reach down to layer {}", self.first);
        rayon::scope(|_| self.gradient_within(pass, share, gradient))
    }

    /// The same, from within the pool.
    fn gradient_within(&self, pass: &Pass, share: f32, gradient: &mut Gradient) -> Result<Loss> {
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

    /// One layer forward, `states` in place; at the adapted one what enters its projections is noted.
    fn forward(
        &self,
        layer: usize,
        states: &mut Matrix,
        pass: &Pass,
        inputs: Option<&mut Inputs>,
    ) -> Result<Saved> {
        let (block, parallel) = (&self.model.blocks()[layer], self.model.arch().wiring == Wiring::Parallel);
        let mut inputs = inputs.filter(|_| layer == pass.layer);
        let entering = states.copied();
        let (qkv, mut out) = self.attention_forward(layer, states, pass, inputs.as_deref_mut())?;
        let before_norm = self.before(&block.after_attention, &out);
        if !parallel {
            add_normed(&block.after_attention, states, &mut out);
        }
        let middle = states.copied();
        let (inner, mut mlp_out) = self.mlp_forward(layer, states, pass, inputs)?;
        let mlp_before_norm = self.before(&block.after_mlp, &mlp_out);
        if parallel {
            add(&mut mlp_out, &out);
        }
        add_normed(&block.after_mlp, states, &mut mlp_out);
        Ok(Saved { entering, qkv, out: before_norm, middle, inner, mlp_out: mlp_before_norm })
    }

    /// States -> queries, keys and values as the products give them, and what attention puts out.
    fn attention_forward(
        &self,
        layer: usize,
        states: &Matrix,
        pass: &Pass,
        inputs: Option<&mut Inputs>,
    ) -> Result<(Matrix, Matrix)> {
        use Projection::{K, O, Q, V};
        let Block { attention_norm, attention, .. } = &self.model.blocks()[layer];
        let [mut normed, mut qkv, mut attended, mut out] = std::array::from_fn(|_| Matrix::default());
        norm(attention_norm, states, &mut normed);
        attention.qkv.forward(&normed, &mut qkv)?;
        self.adapt(layer, pass, &[Q, K, V], &normed, (&attention.qkv, &mut qkv));
        self.attend(layer, &qkv, pass.packed, &mut attended)?;
        attention.o.forward(&attended, &mut out)?;
        self.adapt(layer, pass, &[O], &attended, (&attention.o, &mut out));
        if let Some(inputs) = inputs {
            (inputs.normed, inputs.attended) = (normed, attended);
        }
        Ok((qkv, out))
    }

    /// States -> gate and up as the products give them, and what the MLP puts out.
    fn mlp_forward(
        &self,
        layer: usize,
        states: &Matrix,
        pass: &Pass,
        inputs: Option<&mut Inputs>,
    ) -> Result<(Matrix, Matrix)> {
        use Projection::{Down, Gate, Up};
        let Block { mlp_norm, mlp, .. } = &self.model.blocks()[layer];
        let [mut normed, mut inner, mut out] = std::array::from_fn(|_| Matrix::default());
        norm(mlp_norm, states, &mut normed);
        mlp.into.forward(&normed, &mut inner)?;
        self.adapt(layer, pass, &[Gate, Up], &normed, (&mlp.into, &mut inner));
        let mut activated = inner.copied();
        mlp.activate(&mut activated);
        mlp.down.forward(&activated, &mut out)?;
        self.adapt(layer, pass, &[Down], &activated, (&mlp.down, &mut out));
        if let Some(inputs) = inputs {
            (inputs.mlp_normed, inputs.activated) = (normed, activated);
        }
        Ok((inner, out))
    }

    /// Add what the adapter gives to projections of its layer that are stacked in one product.
    fn adapt(
        &self,
        layer: usize,
        pass: &Pass,
        projections: &[Projection],
        x: &Matrix,
        (linear, y): (&Linear, &mut Matrix),
    ) {
        for &projection in projections.iter().filter(|_| layer == pass.layer) {
            pass.add(projection, x, y, linear.start(projection.part(self.model.arch().gated)));
        }
    }

    /// What enters a norm that follows a part of a block, where there is one.
    fn before(&self, norm: &Option<NormWeights>, out: &Matrix) -> Matrix {
        norm.as_ref().map_or(Matrix::default(), |_| trimmed(out, self.model.arch().hidden))
    }

    /// Queries, keys and values as the products give them -> what attention reads, through the same code as everywhere.
    fn attend(&self, layer: usize, qkv: &Matrix, packed: &Packed, attended: &mut Matrix) -> Result<()> {
        let mut placed = qkv.copied();
        self.model.positioned(layer, &mut placed, &packed.positions);
        packed.at_layer(self.model.arch(), layer, |batch, kv| {
            self.model.store(layer, &placed, batch, kv);
            Ok(self.model.attend(layer, &placed, batch, kv, attended)?)
        })?
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
        let mut of_activated = transposes.down.back(of_out);
        ends.take(Down, |inputs| &inputs.activated, of_out, down.start(0), Some(&mut of_activated));
        let of_inner = activation::backward(&block.mlp, &saved.inner, &of_activated);
        let mut of_normed = transposes.into.back(&of_inner);
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
        let mut of_attended = transposes.o.back(of_out);
        ends.take(O, |inputs| &inputs.attended, of_out, 0, Some(&mut of_attended));
        let of_qkv = attention::backward(self.model, layer, &saved.qkv, &of_attended, pass.packed);
        for projection in [Q, K, V] {
            ends.take(projection, |inputs| &inputs.normed, &of_qkv, qkv.start(projection.part(true)), None);
        }
        if ends.at_all() {
            return None;
        }
        let of_normed = transposes.qkv.back(&of_qkv);
        Some(norm::backward(&block.attention_norm, &saved.entering, &of_normed))
    }
}

/// Rows without what fills them up.
fn trimmed(matrix: &Matrix, width: usize) -> Matrix {
    if matrix.width() == width {
        return matrix.copied();
    }
    let mut data = Vec::with_capacity(matrix.rows() * width);
    (0..matrix.rows()).for_each(|row| data.extend_from_slice(&matrix.row(row)[..width]));
    Matrix::from_rows(width, data)
}

/// Bytes of all passes with gradients that are computed at a time, whose rows are [`ROWS`] or those of one text that is longer.
pub fn pass_bytes(arch: &Arch, longest: usize) -> u64 {
    let attention = (arch.heads + 2 * arch.kv_heads) * arch.head_dim;
    let inner = if arch.gated { 2 } else { 1 } * arch.intermediate;
    let sandwich = if arch.wiring == Wiring::Sandwich { 2 } else { 0 };
    let kept = arch.layers * ((2 + sandwich) * arch.hidden + attention + inner);
    let row = kept + 10 * arch.hidden + 4 * inner;
    (TOGETHER * 4 * (ROWS.max(longest) * row + 2 * loss::ROWS * arch.vocab)) as u64
}

/// Rows of a pass with gradients at most, unless one text is longer: enough to fill the matrix units.
pub const ROWS: usize = 320;

/// Passes that are computed at a time. What one does row by row or alone, the other's products fill; and their number must not
/// depend on that of the threads, or sums would.
pub const TOGETHER: usize = 2;
