#!/usr/bin/env bash
# The study's main experiment: every model, direction and seed, its masks at every start layer. Whatever is
# finished is skipped, so the loop can be stopped and started again. One call a seed keeps the work of a seed together.
#   MODELS="smollm2-135m" DATA=nations SEEDS=0 bash bin/batch_masks.sh --limit 50
set -euo pipefail
cd "$(dirname "$0")/.."
MODELS=${MODELS:-"gpt-neo-2.7b bloom-3b starcoder2-7b llama-3.1-8b llama-3.1-8b-instruct"}
DIRECTIONS=${DIRECTIONS:-"en-fr fr-en"}
SEEDS=${SEEDS:-"1 2 3 4"}
DATA=${DATA:-flores}
LAYERS=${LAYERS:-all}
ICL_MASK=${ICL_MASK:-target/release/icl-mask}
# All test items, unless a limit is given.
case " $* " in *" --limit"[\ =]*) ;; *) set -- "$@" --limit all ;; esac

run() { # run FORMAT MASKS ARGUMENTS...
  "$ICL_MASK" run --model "$model" --data "$DATA" --direction "$direction" --seed "$seed" --from-layer "$LAYERS" \
    --format "$1" --mask "$2" "${@:3}"
}
for model in $MODELS; do
  for direction in $DIRECTIONS; do
    for seed in $SEEDS; do
      run "${FORMAT:-instr_machine_translation}" "${MASKS:-TTF,FTF,FFT,TTT}" "$@"
      # Without instructions, hiding the examples is the study's third curve.
      run "${FORMAT_WITHOUT_INSTRUCTIONS:-instr_none_QA}" FTF "$@"
    done
  done
done
