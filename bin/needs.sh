# Sourced by the other scripts: a Rust toolchain and a C compiler, installed where they are missing.

say() { printf '%s\n' "$*" >&2; }

# What a Debian or Ubuntu machine lacks is installed; elsewhere it is named.
need() { # need COMMAND DEBIAN-PACKAGE
  command -v "$1" >/dev/null && return
  if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    say "installing $2 (for $1)"
    apt-get update -qq && apt-get install -qq -y --no-install-recommends "$2" >/dev/null
  else
    say "error: $1 is needed: install it (on Debian or Ubuntu: sudo apt-get install $2)"
    exit 1
  fi
}

need_rust() {
  [ -f "${CARGO_HOME:-$HOME/.cargo}/env" ] && . "${CARGO_HOME:-$HOME/.cargo}/env"
  need cc gcc
  if ! command -v cargo >/dev/null; then
    need curl curl
    say "installing Rust with rustup (https://rustup.rs)"
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal -c clippy -c rustfmt
    . "${CARGO_HOME:-$HOME/.cargo}/env"
  fi
}

# Packages of a requirements file into a virtual environment; 2 where that cannot be.
need_packages() { # need_packages VENV REQUIREMENTS STAMP [OPTIONS of pip]
  local venv=$1 wanted=$2 stamp=$1/$3
  shift 3
  # The copy is written last, so that an install that was broken off is done again.
  cmp -s "$wanted" "$stamp" && return
  if ! { python3 -m venv "$venv" &&
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@" --requirement "$wanted"; } >&2; then
    say "cannot install the packages of $wanted (on Debian: apt-get install python3-venv python3-pip)"
    return 2
  fi
  cp "$wanted" "$stamp"
}

# Sets `python` to an interpreter with tests/peers/requirements.txt: PEERS_PYTHON, which has it, or `.venv`, which gets it.
need_peers() {
  python=${PEERS_PYTHON:-.venv/bin/python}
  local wanted=tests/peers/requirements.txt installed=.venv/peers-installed.txt
  # The copy is written last, so that an install that was broken off is done again.
  if [ -z "${PEERS_PYTHON:-}" ] && ! cmp -s "$wanted" "$installed"; then
    python3 -m venv .venv >&2 && "$python" -m pip install --quiet --requirement "$wanted" >&2 || return 2
    cp "$wanted" "$installed"
  fi
}

# What comparisons of adapters need: the model, the corpus, `python` with tests/peers/requirements-lora.txt (which PEERS_PYTHON
# then has), and a binary where ICL_MASK_BIN names none.
need_adapters() { # need_adapters WHO MODEL
  local who=$1 model=$2
  if [ ! -f "models/$model.gguf" ]; then
    say "$who: there is no models/$model.gguf: run bash bin/prepare-models.sh $model"
    return 2
  fi
  if [ ! -f data/nations/en-fr/train.tsv ]; then
    say "$who: there is no data/nations/en-fr/train.tsv: run bash bin/prepare-nations.sh"
    return 2
  fi
  need_peers || return 2
  [ -n "${PEERS_PYTHON:-}" ] || need_packages .venv tests/peers/requirements-lora.txt lora-installed.txt || return 2
  if [ -z "${ICL_MASK_BIN:-}" ]; then
    need_rust
    cargo build --release --locked --quiet --bin icl-mask >&2 || return 2
  fi
}

# Sets `python` to an interpreter with tests/peers/requirements-choices.txt, which PEERS_PYTHON then has.
need_choices() {
  need_peers || return 2
  [ -n "${PEERS_PYTHON:-}" ] || need_packages .venv tests/peers/requirements-choices.txt choices-installed.txt
}
