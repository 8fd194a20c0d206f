//! `figure attention`: one prompt computed anew, and what a layer looks at.

use anyhow::{Context, Result};

use super::output::{check_out, style, write};
use crate::base::error::input;
use crate::cli::AttentionArgs;
use crate::config::{Compute, Experiment, Purpose, Run};
use crate::engine::Plain;
use crate::figure::attention::AttentionMap;
use crate::hub::ModelFiles;
use crate::intervene::{Columns, Condition, Intervention, Sees};
use crate::lora::peft;
use crate::model::{Adapters, Decoder, Matrix, Transformer};
use crate::run::{OpenModel, Place, RunInputs, describe, fitting, on_host, set_threads};

/// The one run and condition that are to be shown: beside a baseline, the other.
fn one(experiment: &Experiment) -> Result<(Run, Condition)> {
    let [run] = experiment.runs.as_slice() else {
        return Err(input(format!(
            "one prompt is shown, but these settings make {} runs",
            experiment.runs.len()
        )));
    };
    let masked: Vec<&Condition> =
        run.conditions.iter().filter(|condition| !condition.is_baseline()).collect();
    match masked.as_slice() {
        [] => Ok((run.clone(), run.conditions[0])),
        [condition] => Ok((run.clone(), **condition)),
        _ => Err(input(format!(
            "one prompt is shown, but --mask and --from-layer make {} cells; name one of each, such as --mask TTF \
             --from-layer 0",
            masked.len()
        ))),
    }
}

/// One layer's attention over one prompt.
pub fn attention(args: AttentionArgs) -> Result<()> {
    let experiment =
        Experiment::resolve_for(Purpose::Attention, args.config.as_deref(), args.settings, describe)?;
    let (run, condition) = one(&experiment)?;
    if experiment.device != Compute::Cpu {
        return Err(input(format!(
            "--device {}: figure attention computes one prompt on the CPU; write --device cpu",
            experiment.device
        )));
    }
    check_out(&args.out)?;
    let style = style(&args.style, std::iter::once(run.model.name.as_str()))?;
    let head = match args.head.as_str() {
        "mean" => None,
        word => Some(
            word.parse::<usize>()
                .map_err(|_| input(format!("--head: `{word}` is neither a number nor mean")))?,
        ),
    };
    if args.layer >= run.model.layers {
        let last = run.model.layers - 1;
        return Err(input(format!("--layer {}: {} has the layers 0 to {last}", args.layer, run.model.name)));
    }
    set_threads(experiment.threads)?;
    let mut model = OpenModel::open(&run.model, ModelFiles::Weights)?;
    let heads = model.arch.heads;
    if let Some(head) = head.filter(|head| *head >= heads) {
        return Err(input(format!("--head {head}: {} has the heads 0 to {}", run.model.name, heads - 1)));
    }
    let prepared = RunInputs::new(run.clone(), &model)?;
    let items = prepared.prompts.len();
    if args.item >= items {
        return Err(input(format!("--item {}: there are {items} items, 0 to {}", args.item, items - 1)));
    }
    let rows = prepared.prompts[args.item].tokens.len();
    model.take_lengths(rows..=rows)?;
    check_memory(&prepared, condition, args.item, &model, &experiment)?;
    let mut decoder = on_host(&run.model, &model, experiment.dtype)?;
    if let Some(adapter) = &run.adapter {
        decoder.adapt(Adapters::everywhere(peft::read(&adapter.path, &model.arch)?))?;
    }
    let mut seen = seen(&decoder, &model, &prepared, condition, [args.item, args.layer], head)?;
    seen.title = format!("{}{}", style.names.of(&run.model.name), seen.title);
    let name = format!(
        "attention-{}{}-item{}-{}-layer{}-{}",
        run.model.name.replace('/', "--"),
        run.adapter.as_ref().map_or(String::new(), |adapter| format!("-adapter-{}", adapter.name)),
        args.item,
        match condition {
            Condition::Baseline => condition.series().to_string(),
            Condition::At { intervention, layer } => format!("{intervention}-from{layer}"),
        },
        args.layer,
        head.map_or("mean".into(), |head| format!("head{head}"))
    );
    let rows: Vec<_> = seen.rows().collect();
    write(&args.out, &name, &seen.image(&style)?, &rows)
}

/// Refuse what cannot fit into memory: the model with one prompt, and all weights of a head or their means.
fn check_memory(
    prepared: &RunInputs,
    condition: Condition,
    item: usize,
    model: &OpenModel,
    experiment: &Experiment,
) -> Result<()> {
    let request = prepared.request(condition, item, 0)?;
    let rows = request.prompt.tokens.len() as u64;
    let shown = 2 * rows * rows * size_of::<f32>() as u64;
    fitting(prepared, &[request], shown, model, experiment, &Place::of(experiment)?).map(drop)
}

fn seen(
    decoder: &Transformer,
    model: &OpenModel,
    prepared: &RunInputs,
    condition: Condition,
    [item, layer]: [usize; 2],
    head: Option<usize>,
) -> Result<AttentionMap> {
    let prompt = &prepared.prompts[item];
    let plan = prepared.plan(condition, item)?;
    let positions: Vec<usize> = (0..prompt.tokens.len()).collect();
    let mut entering: Option<Matrix> = match layer {
        0 => Some(decoder.embed(&prompt.tokens, &positions)?),
        _ => None,
    };
    let fed = Plain::new(decoder, &plan, prompt.tokens.len())?.feed(&prompt.tokens, |at, states| {
        if at + 1 == layer {
            entering = Some(states.clone());
        }
    });
    fed.with_context(|| format!("item {}", prompt.item))?;
    let entering = entering.context("a layer was left out")?;
    let heads = match head {
        Some(head) => head..head + 1,
        None => 0..decoder.arch().heads,
    };
    let (n, count) = (positions.len(), heads.len() as f32);
    let mut weights = vec![vec![0.; n]; n];
    for head in heads {
        let of_head = decoder.attention(layer, &entering, &plan, head)?;
        for (row, weights) in weights.iter_mut().enumerate() {
            weights.iter_mut().zip(of_head.row(row)).for_each(|(mean, weight)| *mean += weight / count);
        }
    }
    if !weights.iter().flatten().all(|weight| weight.is_finite()) {
        return Err(input(format!(
            "the model computed NaN or an infinity instead of the attention of layer {layer}: its weights{} are damaged, or \
             --dtype overflows",
            if prepared.run.adapter.is_some() { " or the adapter's" } else { "" }
        )));
    }
    let done = match condition {
        Condition::Baseline => "nothing hidden".into(),
        Condition::At { intervention, layer } => match intervention {
            Intervention::Ablation => format!("layer {layer} without attention"),
            Intervention::Lora => format!("layer {layer} with an adapter"),
            mask => format!("{mask} from layer {layer}"),
        },
    };
    let head = head.map_or("mean over heads".into(), |head| format!("head {head}"));
    let adapter = prepared.run.adapter.as_ref();
    let adapted = adapter.map_or(String::new(), |adapter| format!(" with adapter {}", adapter.name));
    Ok(AttentionMap {
        title: format!("{adapted}, layer {layer}, {head}, {done}"),
        weights,
        tokens: prompt.tokens.iter().map(|token| model.tokenizer.token_text(*token)).collect(),
        segments: prompt.segments.named().map(|(name, range)| (name.into(), range.clone())).to_vec(),
        hidden: match plan.sight(layer, n - 1).reads {
            Sees::Except(hidden) => hidden,
            Sees::Own | Sees::Nothing => Columns::default(),
        },
    })
}
