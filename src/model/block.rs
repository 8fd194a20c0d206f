//! One block of a transformer, top to bottom. Every backend computes it through [`block`], and so does training, which keeps
//! what its way back needs.

use anyhow::Result;

use super::arch::Wiring;
use super::experts::{Choice, Experts, FeedForward};
use super::mlp::Mlp;
use super::projection::Projection;

/// The parts of a block, with norms `N` and products `P`: as a loader finds them, or as a backend holds them.
pub struct Block<N, P> {
    /// The norms around attention.
    pub attention_norms: Norms<N>,
    /// Attention.
    pub attention: Attention<N, P>,
    /// The norms around the MLP.
    pub mlp_norms: Norms<N>,
    /// The MLP, or experts.
    pub mlp: FeedForward<P>,
}

/// The norms around attention or around the MLP, those that the family has.
pub struct Norms<N> {
    /// The norm of the states, as they enter it.
    pub before: Option<N>,
    /// The norm of what it puts out, before that is added to the states.
    pub after: Option<N>,
    /// The norm of the states, when that has been added.
    pub sum: Option<N>,
}

/// The parts of attention.
pub struct Attention<N, P> {
    /// Queries, keys and values, stacked.
    pub qkv: P,
    /// The norm of queries, where the family has one.
    pub q_norm: Option<N>,
    /// The norm of keys, where the family has one.
    pub k_norm: Option<N>,
    /// `[heads]`: scores that take part in the softmax and bring no value, where the family has such.
    pub sinks: Option<Vec<f32>>,
    /// The output projection.
    pub output: P,
}

impl<N> Norms<N> {
    /// The same norms in another form.
    ///
    /// # Errors
    /// One that cannot be held so.
    fn map<M>(self, norm: &impl Fn(N) -> Result<M>) -> Result<Norms<M>> {
        Ok(Norms {
            before: self.before.map(norm).transpose()?,
            after: self.after.map(norm).transpose()?,
            sum: self.sum.map(norm).transpose()?,
        })
    }
}

impl<N, P> Block<N, P> {
    /// The same block with its parts in another form.
    ///
    /// # Errors
    /// A part that cannot be held so.
    pub fn map<M, Q>(
        self,
        norm: impl Fn(N) -> Result<M>,
        product: impl Fn(P) -> Result<Q>,
    ) -> Result<Block<M, Q>> {
        let Attention { qkv, q_norm, k_norm, sinks, output } = self.attention;
        Ok(Block {
            attention_norms: self.attention_norms.map(&norm)?,
            attention: Attention {
                qkv: product(qkv)?,
                q_norm: q_norm.map(&norm).transpose()?,
                k_norm: k_norm.map(&norm).transpose()?,
                sinks,
                output: product(output)?,
            },
            mlp_norms: self.mlp_norms.map(&norm)?,
            mlp: self.mlp.map(&product)?,
        })
    }
}

/// The steps of a block over the packed rows of one batch at one layer. A backend implements them; it knows the batch, where
/// keys and values are kept, and which rows have which adapter. A step may write over what it takes by value.
pub trait Ops {
    /// Hidden states `[rows, hidden]`, which go from block to block.
    type States;
    /// What stands between two steps, `[rows, ..]`.
    type Values;
    /// A norm's weights.
    type Norm;
    /// The weights of products that read the same rows, stacked.
    type Product;

    /// The norm of states, `[rows, hidden]` -> `[rows, hidden]`.
    ///
    /// # Errors
    /// The device fails, here and in all steps.
    fn norm(&mut self, norm: &Self::Norm, states: &Self::States) -> Result<Self::Values>;

    /// The states as they are, `[rows, hidden]`, where no norm precedes a part.
    fn enter(&mut self, states: &Self::States) -> Result<Self::Values>;

    /// The outputs of a product, `[rows, in]` -> `[rows, out]`, with biases and with what the rows' adapters add to these
    /// projections, which stand side by side.
    fn product(
        &mut self,
        product: &Self::Product,
        of: &[Projection],
        x: Self::Values,
    ) -> Result<Self::Values>;

    /// Queries and keys normed and rotated to their positions, where the family does so; keys and values go to
    /// the cache. `[rows, (heads + 2 * kv_heads) * head_dim]` -> the queries `[rows, heads * head_dim]`.
    fn place(
        &mut self,
        attention: &Attention<Self::Norm, Self::Product>,
        qkv: Self::Values,
    ) -> Result<Self::Values>;

    /// What each row reads: the mean of values, weighted by softmax, `[rows, heads * head_dim]` from queries to heads. A row
    /// with nothing to read gets zeros, with sinks and without.
    ///
    /// # Errors
    /// A score is [`NotFinite`](super::NotFinite).
    fn attend(
        &mut self,
        attention: &Attention<Self::Norm, Self::Product>,
        queries: Self::Values,
    ) -> Result<Self::Values>;

    /// What is not needed any more: the next step may use its memory.
    fn release(&mut self, values: Self::Values);

    /// Zeros in rows that have no attention at this layer, `[rows, hidden]`: not even its output's bias is left.
    fn silence(&mut self, out: Self::Values) -> Result<Self::Values>;

    /// The MLP's function, times the rest where there is a gate, `[rows, gate and up]` -> `[rows, width]`.
    fn activate(&mut self, mlp: &Mlp<Self::Product>, inner: Self::Values) -> Result<Self::Values>;

    /// By expert the rows that choose it, from normed rows `[rows, hidden]`.
    fn route(&mut self, experts: &Experts<Self::Product>, x: &Self::Values) -> Result<Vec<Choice>>;

    /// Some rows, `[rows, width]` -> `[some, width]`.
    fn gather(&mut self, x: &Self::Values, rows: &[usize]) -> Result<Self::Values>;

    /// Zeros, `[rows, hidden]`.
    fn zeros(&mut self) -> Result<Self::Values>;

    /// Add what an expert puts out for the rows that chose it, `[some, hidden]` times their weights, to these rows of `sum`
    /// `[rows, hidden]`.
    fn scatter(&mut self, sum: &mut Self::Values, choice: &Choice, out: Self::Values) -> Result<()>;

    /// The norm of what attention or the MLP puts out, `[rows, hidden]`.
    fn norm_output(&mut self, norm: &Self::Norm, out: Self::Values) -> Result<Self::Values>;

    /// `states + out`, `[rows, hidden]`; `out` times the family's multiplier.
    fn add(&mut self, states: &mut Self::States, out: Self::Values) -> Result<()>;

    /// The norm of states in their place, `[rows, hidden]`.
    fn norm_states(&mut self, norm: &Self::Norm, states: &mut Self::States) -> Result<()>;

    /// The states with both parts of a parallel block, `[rows, hidden]`.
    fn add_both(
        &mut self,
        states: &mut Self::States,
        attention: Self::Values,
        mlp: Self::Values,
    ) -> Result<()>;
}

/// The states `[rows, hidden]` that enter a block become those that leave it.
///
/// # Errors
/// A step fails.
pub fn block<B: Ops>(
    ops: &mut B,
    block: &Block<B::Norm, B::Product>,
    wiring: Wiring,
    states: &mut B::States,
) -> Result<()> {
    use Projection::{K, O, Q, V};
    let (attention, norms) = (&block.attention, &block.attention_norms);
    let x = entering(ops, norms, states)?; // [rows, hidden]
    let qkv = ops.product(&attention.qkv, &[Q, K, V], x)?; // [rows, (heads + 2 * kv_heads) * head_dim]
    let queries = ops.place(attention, qkv)?; // [rows, heads * head_dim]
    let heads = ops.attend(attention, queries)?; // [rows, heads * head_dim]
    let out = ops.product(&attention.output, &[O], heads)?; // [rows, hidden]
    let out = ops.silence(out)?; // [rows, hidden]
    if wiring.is_parallel() {
        let x = entering(ops, &block.mlp_norms, states)?; // [rows, hidden]
        let mlp_out = feed_forward(ops, &block.mlp, x)?; // [rows, hidden]
        return ops.add_both(states, out, mlp_out);
    }
    leaving(ops, norms, states, out)?; // [rows, hidden]
    let x = entering(ops, &block.mlp_norms, states)?; // [rows, hidden]
    let out = feed_forward(ops, &block.mlp, x)?; // [rows, hidden]
    leaving(ops, &block.mlp_norms, states, out) // [rows, hidden]
}

/// Writes the keys and values of rows to the cache and computes nothing else of the block. The states `[rows, hidden]` are those
/// that enter the block.
///
/// # Errors
/// A step fails.
pub fn keys_and_values<B: Ops>(
    ops: &mut B,
    block: &Block<B::Norm, B::Product>,
    states: &B::States,
) -> Result<()> {
    use Projection::{K, Q, V};
    let x = entering(ops, &block.attention_norms, states)?; // [rows, hidden]
    let qkv = ops.product(&block.attention.qkv, &[Q, K, V], x)?; // [rows, (heads + 2 * kv_heads) * head_dim]
    let queries = ops.place(&block.attention, qkv)?; // [rows, heads * head_dim]
    ops.release(queries);
    Ok(())
}

/// The MLP or the experts: rows that enter `[rows, hidden]` -> what is added to the states `[rows, hidden]`.
fn feed_forward<B: Ops>(ops: &mut B, mlps: &FeedForward<B::Product>, x: B::Values) -> Result<B::Values> {
    let experts = match mlps {
        FeedForward::Dense(one) => return mlp(ops, one, [one.shape.entering(), &[Projection::Down]], x),
        FeedForward::Experts(experts) => experts,
    };
    let choices = ops.route(experts, &x)?;
    let mut sum = ops.zeros()?; // [rows, hidden]
    for (expert, choice) in experts.mlps.iter().zip(&choices).filter(|(_, choice)| !choice.rows.is_empty()) {
        let some = ops.gather(&x, &choice.rows)?; // [some, hidden]
        // No adapter changes an expert.
        let out = mlp(ops, expert, [&[], &[]], some)?; // [some, hidden]
        ops.scatter(&mut sum, choice, out)?;
    }
    Ok(sum)
}

/// An MLP, whose products are these projections: rows that enter it `[rows, hidden]` -> what it puts out `[rows, hidden]`.
fn mlp<B: Ops>(
    ops: &mut B,
    mlp: &Mlp<B::Product>,
    of: [&[Projection]; 2],
    x: B::Values,
) -> Result<B::Values> {
    let inner = ops.product(&mlp.into, of[0], x)?; // [rows, gate and up]
    let inner = ops.activate(mlp, inner)?; // [rows, width]
    ops.product(&mlp.down, of[1], inner) // [rows, hidden]
}

/// The states as they enter attention or the MLP, `[rows, hidden]`.
fn entering<B: Ops>(ops: &mut B, norms: &Norms<B::Norm>, states: &B::States) -> Result<B::Values> {
    match &norms.before {
        Some(norm) => ops.norm(norm, states),
        None => ops.enter(states),
    }
}

/// The states with what attention or the MLP puts out, `[rows, hidden]`.
fn leaving<B: Ops>(
    ops: &mut B,
    norms: &Norms<B::Norm>,
    states: &mut B::States,
    out: B::Values,
) -> Result<()> {
    let out = match &norms.after {
        Some(norm) => ops.norm_output(norm, out)?,
        None => out,
    };
    ops.add(states, out)?;
    norms.sum.as_ref().map_or(Ok(()), |norm| ops.norm_states(norm, states))
}
