#!/usr/bin/env bash
# The study's baselines: every model, format, direction and seed without a mask. Whatever is finished is skipped, so
# the loop can be stopped and started again. Lists can be given by environment; further arguments go to `icl-mask run`:
#   MODELS="smollm2-135m qwen2.5-coder-0.5b" DATA=nations bash bin/batch_baselines.sh --limit 100
set -euo pipefail
cd "$(dirname "$0")/.."
MODELS=${MODELS:-"gpt-neo-2.7b bloom-3b starcoder2-7b llama-3.1-8b llama-3.1-8b-instruct"}
FORMATS=${FORMATS:-"instr_machine_translation instr_none_QA"}
DIRECTIONS=${DIRECTIONS:-"en-fr fr-en"}
SEEDS=${SEEDS:-"0 1 2 3 4"}
DATA=${DATA:-flores}
ICL_MASK=${ICL_MASK:-target/release/icl-mask}
# All test items, unless a limit is given.
case " $* " in *" --limit"[\ =]*) ;; *) set -- "$@" --limit all ;; esac

for model in $MODELS; do
  for direction in $DIRECTIONS; do
    for format in $FORMATS; do
      for seed in $SEEDS; do
        "$ICL_MASK" run --model "$model" --data "$DATA" --direction "$direction" --format "$format" --seed "$seed" \
          --mask none "$@"
      done
    done
  done
done
