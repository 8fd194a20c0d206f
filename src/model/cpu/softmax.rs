//! Softmax of rows of scores that are there at once. Attention's own kernel ([`attend`](super::attend)) works on vectors of
//! sixteen, with an exponential of its own, and leaves the division to the sum that follows.

/// Scores -> weights in their place, which sum to 1, or with a sink to 1 with its share; nothing where there is no score.
pub fn softmax(scores: &mut [f32], sink: Option<f32>) {
    let most = scores.iter().copied().chain(sink).fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.;
    for score in scores.iter_mut() {
        *score = (*score - most).exp();
        sum += *score;
    }
    sum += sink.map_or(0., |sink| (sink - most).exp());
    scores.iter_mut().for_each(|weight| *weight /= sum);
}

/// The same with powers and their sum in f64: for weights that are looked at.
pub fn softmax_to_be_shown(scores: &mut [f32], sink: Option<f32>) {
    let most = scores.iter().copied().chain(sink).fold(f32::NEG_INFINITY, f32::max);
    let power = |score: f32| f64::from(score - most).exp();
    let sum: f64 = scores.iter().copied().chain(sink).map(power).sum();
    scores.iter_mut().for_each(|score| *score = (power(*score) / sum) as f32);
}
