//! The loss of an adapter and its gradient: forward through the layers from the adapted one on, and back to it. All
//! else is frozen, so nothing below that layer is computed, and of its own parts only those above the adapted projection.
//!
//! Rows of whole sequences are packed without padding, as everywhere. What backward needs of each layer is kept by
//! forward; attention's weights are computed again, as they are larger than what they are made of.

use std::borrow::Cow;

use anyhow::Result;

mod activation;
mod attention;
mod experts;
mod forward;
mod loss;
mod norm;
mod packed;
mod parts;
mod tape;
mod transpose;

pub use loss::Loss;
pub use packed::Packed;
pub use parts::{Gradient, Noise};

use self::forward::forward;
use self::parts::{Ends, Inputs};
use self::tape::Tape;
use self::transpose::{Transpose, VOCABULARY_PIECE};
use super::block::Norms;
use super::cpu::rowwise::{NormWeights, add, scale};
use super::cpu::{Matrix, Scratch};
use super::experts::{FeedForward, FeedForwardShape};
use super::host::Block;
use super::mlp::Mlp;
use super::parts::Linear;
use super::{Adapter, Arch, Decoder, Projection, Transformer};

/// A frozen decoder made ready for gradients: beside each weight of the layers from the first one on its transpose.
pub struct Differentiable<'a> {
    model: &'a Transformer,
    /// Of the layers from `first` on.
    transposes: Vec<Transposes>,
    first: usize,
    project_out: Option<Transpose>,
    head: Transpose,
}

/// The transposes of a block's weights.
struct Transposes {
    qkv: Transpose,
    o: Transpose,
    mlp: FeedForward<Transpose>,
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

impl<'a> Differentiable<'a> {
    /// Ready for gradients down to `first`. Takes as much memory again as the weights of these layers.
    ///
    /// # Errors
    /// Weights that are not held as f32.
    pub fn new(model: &'a Transformer, first: usize) -> Result<Self> {
        let transposes = model.blocks()[first..].iter().map(|block| {
            Ok(Transposes {
                qkv: Transpose::new(&block.attention.qkv, None)?,
                o: Transpose::new(&block.attention.output, None)?,
                mlp: block.mlp.as_ref().map(|product| Transpose::new(product, None))?,
            })
        });
        let transposes = transposes.collect::<Result<_>>()?;
        let project_out = model.project_out().map(|project| Transpose::new(project, None)).transpose()?;
        let head = Transpose::new(model.head(), Some(VOCABULARY_PIECE))?;
        Ok(Self { model, transposes, first, project_out, head })
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
            let mut scratch = Scratch::default();
            for at in pass.layer..self.model.arch().layers {
                forward(self.model, at, &mut states, pass, &mut scratch, None)?;
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
        let mut tape = Vec::new();
        let mut scratch = Scratch::default();
        for at in pass.layer..self.model.arch().layers {
            let mut saved = Tape::default();
            forward(self.model, at, &mut states, pass, &mut scratch, Some(&mut saved))?;
            tape.push(saved);
        }
        drop(scratch);
        let loss = loss::cross_entropy(self.model, Some((self, share)), &mut states, pass.next)?;
        let mut back = states;
        while let Some(last) = tape.pop() {
            let at = pass.layer + tape.len();
            let adapted = tape.is_empty().then_some((&last.inputs, &mut *gradient));
            self.backward(at, &last, pass, &mut back, adapted);
        }
        Ok(loss)
    }

    /// One layer back: the gradient of what it puts out, `[rows, hidden]`, becomes in place that of what enters it. At the
    /// adapted layer the adapter's gradient is added, and there it ends.
    fn backward(
        &self,
        layer: usize,
        saved: &Tape,
        pass: &Pass,
        back: &mut Matrix,
        adapted: Option<(&Inputs, &mut Gradient)>,
    ) {
        use Projection::{Down, Gate, K, O, Q, Up, V};
        let parallel = self.model.arch().wiring.is_parallel();
        let block = &self.model.blocks()[layer];
        if let Some(norm) = &block.mlp_norms.sum {
            *back = norm::backward(norm, &saved.sums[1], back);
        }
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
        if let Some(norm) = &block.attention_norms.sum {
            *back = norm::backward(norm, &saved.sums[0], back);
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
    fn mlp_backward(&self, layer: usize, saved: &Tape, back: &Matrix, ends: &mut Ends) -> Matrix {
        let (block, transposes) = self.block(layer);
        let of_out = &*self.through_addition(&block.mlp_norms, saved.outputs.get(1), back);
        let of_normed = match (&block.mlp, &transposes.mlp) {
            (FeedForward::Experts(experts), FeedForward::Experts(transposes)) => {
                experts::backward(experts, transposes, saved, of_out)
            }
            (FeedForward::Dense(mlp), FeedForward::Dense(transposes)) => {
                dense_backward(mlp, transposes, saved, of_out, ends)
            }
            _ => unreachable!("transposes of another model"),
        };
        before(&block.mlp_norms, &saved.entering[1], of_normed)
    }

    /// The gradient of what follows attention's sum -> what attention adds to the gradient of its norm's input; `None` at
    /// the adapted layer, where nobody asks.
    fn attention_backward(
        &self,
        layer: usize,
        saved: &Tape,
        pass: &Pass,
        back: &Matrix,
        ends: &mut Ends,
    ) -> Option<Matrix> {
        use Projection::{K, O, Q, V};
        let (block, transposes) = self.block(layer);
        let qkv = &block.attention.qkv;
        let of_out = &*self.through_addition(&block.attention_norms, saved.outputs.first(), back);
        if ends.end_before(&[Q, K, V]) {
            ends.take(O, |inputs| &inputs.attended, of_out, 0, None);
            return None;
        }
        let mut of_attended = transposes.o.back(of_out);
        ends.take(O, |inputs| &inputs.attended, of_out, 0, Some(&mut of_attended));
        let of_qkv = attention::backward(self.model, layer, &saved.qkv, &of_attended, pass.packed);
        for (part, projection) in [Q, K, V].into_iter().enumerate() {
            ends.take(projection, |inputs| &inputs.normed, &of_qkv, qkv.start(part), None);
        }
        if ends.at_all() {
            return None;
        }
        let of_normed = transposes.qkv.back(&of_qkv);
        Some(before(&block.attention_norms, &saved.entering[0], of_normed))
    }

    /// The gradient of what follows an addition -> that of what attention or the MLP puts out, `output` where that is normed.
    fn through_addition<'b>(
        &self,
        norms: &Norms<NormWeights>,
        output: Option<&Matrix>,
        back: &'b Matrix,
    ) -> Cow<'b, Matrix> {
        let factor = self.model.arch().multipliers.residual as f32;
        let mut back = Cow::Borrowed(back);
        if factor != 1. {
            scale(back.to_mut(), factor);
        }
        match (&norms.after, output) {
            (Some(norm), Some(output)) => Cow::Owned(norm::backward(norm, output, &back)),
            _ => back,
        }
    }
}

/// The gradient of what enters the products of attention or of the MLP -> that of the states, `[rows, hidden]`.
fn before(norms: &Norms<NormWeights>, states: &Matrix, of_entering: Matrix) -> Matrix {
    norms.before.as_ref().map_or(of_entering.copied(), |norm| norm::backward(norm, states, &of_entering))
}

/// The gradient of what an MLP puts out -> that of the normed rows.
fn dense_backward(
    mlp: &Mlp<Linear>,
    transposes: &Mlp<Transpose>,
    saved: &Tape,
    of_out: &Matrix,
    ends: &mut Ends,
) -> Matrix {
    let inner = &saved.inner[0];
    let mut of_activated = transposes.down.back(of_out);
    ends.take(Projection::Down, |inputs| &inputs.activated, of_out, 0, Some(&mut of_activated));
    let of_inner = activation::backward(mlp, inner, &of_activated);
    let mut of_normed = transposes.into.back(&of_inner);
    for (part, &projection) in mlp.shape.entering().iter().enumerate() {
        let start = mlp.into.start(part);
        ends.take(projection, |inputs| &inputs.mlp_normed, &of_inner, start, Some(&mut of_normed));
    }
    of_normed
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
    let between = arch.feed_forwards().map(FeedForwardShape::between).max().unwrap_or(0);
    let of_mlps: usize = arch.feed_forwards().map(FeedForwardShape::kept).sum();
    let normed = arch.wiring.norms().max(2);
    let kept = arch.layers * (normed * arch.hidden + attention) + of_mlps;
    let row = kept + 10 * arch.hidden + 4 * between;
    (TOGETHER * 4 * (ROWS.max(longest) * row + 2 * loss::ROWS * arch.vocab)) as u64
}

/// Rows of a pass with gradients at most, unless one text is longer: enough to fill the matrix units.
pub const ROWS: usize = 320;

/// Passes that are computed at a time. What one does row by row or alone, the other's products fill; and their number must not
/// depend on that of the threads, or sums would.
pub const TOGETHER: usize = 2;
