//! What one layer's way forward leaves for its way back.

use super::parts::Inputs;
use crate::model::cpu::Matrix;
use crate::model::experts::Choice;

/// What backward needs of one layer.
#[derive(Default)]
pub struct Tape {
    /// `[rows, hidden]`, what enters the norms before attention and before the MLP; empty where there is no such norm.
    pub entering: Vec<Matrix>,
    /// `[rows, ..]`, as the products give them: not yet normed or rotated.
    pub qkv: Matrix,
    /// `[rows, ..]`, gate and up as the products give them: of the MLP, or of each expert that rows chose.
    pub inner: Vec<Matrix>,
    /// Where there are experts, what rows chose.
    pub routed: Routed,
    /// `[rows, hidden]`, what attention and the MLP put out, where it is normed before it is added.
    pub outputs: Vec<Matrix>,
    /// `[rows, hidden]`, the states after attention and after the MLP, where these are normed.
    pub sums: Vec<Matrix>,
    /// At the adapted layer, what enters its projections.
    pub inputs: Inputs,
}

/// What rows chose on the way forward.
#[derive(Default)]
pub struct Routed {
    /// `[rows, experts or more]`
    pub logits: Matrix,
    /// By expert.
    pub choices: Vec<Choice>,
    /// What each expert put out that rows chose, `[some, hidden]`.
    pub outputs: Vec<Matrix>,
}
