//! Experts, back. Which of them a row chose is taken as given: the gradient goes through what they put out and through the
//! weights by which that is multiplied.

use super::activation;
use super::tape::{Routed, Tape};
use super::transpose::Transpose;
use crate::model::cpu::Matrix;
use crate::model::cpu::rowwise::{add, each_row};
use crate::model::cpu::softmax::softmax;
use crate::model::experts::{Experts, Routing, Scoring};
use crate::model::parts::Linear;

/// The gradient of the sum of what experts put out, `[rows, hidden]` -> that of the normed rows.
pub fn backward(
    experts: &Experts<Linear>,
    transposes: &Experts<Transpose>,
    saved: &Tape,
    of_out: &Matrix,
) -> Matrix {
    let routing = experts.routing;
    let Routed { logits, choices, outputs } = &saved.routed;
    // By row and expert, the gradient of the weight by which the expert's output is multiplied.
    let mut of_weights = Matrix::zeros(of_out.rows(), logits.width());
    let mut weights = Matrix::zeros(of_out.rows(), logits.width());
    let mut of_normed = Matrix::default();
    let hit = (0..routing.experts).filter(|&expert| !choices[expert].rows.is_empty());
    for (at, expert) in hit.enumerate() {
        let choice = &choices[expert];
        let mut of_one = of_out.select(choice.rows.iter().copied());
        for (some, (&row, &weight)) in choice.rows.iter().zip(&choice.weights).enumerate() {
            let back = of_one.row(some).iter().zip(outputs[at].row(some));
            of_weights.row_mut(row)[expert] = back.map(|(back, out)| back * out).sum();
            weights.row_mut(row)[expert] = weight;
        }
        each_row(&mut of_one, |some, back| {
            back.iter_mut().for_each(|back| *back *= choice.weights[some]);
        });
        let (mlp, back) = (&experts.mlps[expert], &transposes.mlps[expert]);
        let of_inner = activation::backward(mlp, &saved.inner[at], &back.down.back(&of_one));
        let of_some = back.into.back(&of_inner);
        if of_normed.width() == 0 {
            of_normed = Matrix::zeros(of_out.rows(), of_some.width());
        }
        each_row(&mut of_normed, |row, sum| {
            let Ok(at) = choice.rows.binary_search(&row) else { return };
            sum.iter_mut().zip(of_some.row(at)).for_each(|(sum, back)| *sum += back);
        });
    }
    through_scores(routing, logits, &weights, &mut of_weights);
    add(&mut of_normed, &transposes.router.back(&of_weights));
    of_normed
}

/// The gradients of weights become those of the router's logits. Of a softmax `w` that is `w (back - sum(w back))`. One over those
/// chosen and one over all that is divided by the sum of those chosen are the same.
fn through_scores(routing: Routing, logits: &Matrix, weights: &Matrix, of_weights: &mut Matrix) {
    each_row(of_weights, |row, back| {
        let mut scores = match routing.scoring {
            Scoring::All => logits.row(row)[..routing.experts].to_vec(),
            Scoring::Renormed | Scoring::Chosen => weights.row(row)[..routing.experts].to_vec(),
        };
        if routing.scoring == Scoring::All {
            softmax(&mut scores, None);
        }
        let mean: f32 = scores.iter().zip(back.iter()).map(|(score, back)| score * back).sum();
        back.iter_mut().zip(&scores).for_each(|(back, score)| *back = score * (*back - mean));
    });
}
