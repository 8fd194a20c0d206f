# The checks of bin/check-slurm.sh, which starts this as the first process of its own namespaces: checks.sh FOLDER BINARY
set -Eeuo pipefail
. bin/needs.sh
work=$1 binary=$2
here=$PWD world=$work/world

# ---- Slurm

# Of a job that this may itself be in.
for variable in $(compgen -e | grep -E '^(SLURM|SBATCH|SCANCEL|SQUEUE|SINFO)_'); do unset "$variable"; done
export SLURM_CONF=$work/slurm.conf HF_HUB_OFFLINE=1
declare -A node

start_slurm() {
  hostname head
  ip link set lo up
  # Names are looked up only where there is an address other than 127.0.0.1.
  ip address add 127.0.0.2/8 dev lo
  ip address add 127.0.0.3/8 dev lo
  # Each node is a host of its own, as far as the programs can see. Nobody else sees this file.
  printf '%s\n' "127.0.0.1 localhost head" "127.0.0.2 n1" "127.0.0.3 n2" >"$work/hosts"
  mount --bind "$work/hosts" /etc/hosts
  mkdir "$work/state" "$work/munge"
  head -c 1024 /dev/urandom >"$work/munge/key"
  chmod 400 "$work/munge/key"
  # A requeued job waits for cred_expire seconds, as long as what a node was told of it before is good for.
  cat >"$SLURM_CONF" <<CONF
ClusterName=check
SlurmctldHost=head(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$work/munge/socket,cred_expire=5
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool.%n
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.%n.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerType=sched/builtin
SchedulerParameters=batch_sched_delay=0,sched_interval=1
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
KillWait=10
NodeName=n1 NodeHostname=n1 NodeAddr=127.0.0.2 CPUs=1 RealMemory=2000
NodeName=n2 NodeHostname=n2 NodeAddr=127.0.0.3 CPUs=1 RealMemory=2000
PartitionName=all Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
CONF
  munged --foreground --key-file="$work/munge/key" --socket="$work/munge/socket" --pid-file="$work/munge/pid" \
    --log-file="$work/munged.log" --seed-file="$work/munge/seed" 2>>"$work/munged.log" &
  await 20 "munged to start" test -S "$work/munge/socket"
  slurmctld -D -f "$SLURM_CONF" >>"$work/slurmctld.out" 2>&1 &
  start_node n1
  start_node n2
  await 30 "both nodes to be idle" idle
}

# A host with slurmd, in namespaces within ours, so that it can crash as a whole. Its first process collects what slurmd
# leaves, and goes on when slurmd is killed.
start_node() { # start_node NAME
  unshare --uts --mount --pid --fork --kill-child --mount-proc bash -c '
    hostname "$1"
    slurmd -D -f "$2" -L "$3/slurmd.$1.log" >>"$3/slurmd.$1.out" 2>&1 &
    while :; do sleep 1; done' node "$1" "$SLURM_CONF" "$work" 2>>"$work/slurmd.$1.out" &
  node[$1]=$!
}

# As if its power failed: nothing on it ends in order.
crash() { # crash NAME
  kill -KILL "${node[$1]}"
  wait "${node[$1]}" 2>/dev/null || true
}

idle() {
  [ "$(sinfo -h -N -o %T 2>/dev/null | sort | uniq -c | tr -s ' ')" = " 2 idle" ]
}

# Of processes whose command line holds these words; only those in here are seen.
processes() { # processes WORDS
  local process
  for process in /proc/[0-9]*; do
    case "$(tr '\0' ' ' 2>/dev/null <"$process/cmdline")" in *"$1"*) echo "${process#/proc/}" ;; esac
  done 2>/dev/null
}

# ---- What is said

passed=0
ok() { # ok WHAT
  passed=$((passed + 1))
  printf 'ok  %-104s %4d s\n' "$1" "$SECONDS"
}

fail() { # fail WHAT
  trap - ERR
  {
    printf '\nFAILED: %s\n' "$1"
    for log in "$work"/*.out "$work/munged.log" "$world"/*/slurm/*.log; do
      [ -s "$log" ] && printf '\n== the end of %s\n' "${log#"$work/"}" && tail -n 25 "$log"
    done
    printf '\n== jobs and nodes\n'
    scontrol -o show job
    sinfo -N -l
  } >&2 2>&1 || true
  exit 1
}
# What fails within $(...) makes the command around it fail, which then says so.
trap '[ "$BASH_SUBSHELL" != 0 ] || fail "line $LINENO of tests/slurm/checks.sh: $BASH_COMMAND"' ERR

await() { # await SECONDS WHAT COMMAND...
  local until=$((SECONDS + $1)) seconds=$1 what=$2
  shift 2
  until "$@"; do
    [ "$SECONDS" -lt "$until" ] || fail "waited $seconds s for $what"
    sleep 0.1
  done
}

# ---- Jobs

# The calls under test: two runs of 13 cells, and two trainings.
sweep=(run --model tiny --test test.tsv --demonstrations demonstrations.tsv --direction en-fr --format instr_machine_translation
  --mask none,TTF,FTF,TTT --from-layer all --max-new-tokens 48 --no-stop --seed 0,1 --batch 16)
cells=26
training=(lora --model tiny --data pairs.yaml --direction en-fr --max-new-tokens 8 --no-stop --train-size 6 --dev-size 2
  --train-batch 2 --epochs 4 --learning-rate 0.01 --seed 0,1)

submit() { # submit ARGS of submit...: sets `job` to its number
  "$binary" submit --sbatch=--cpus-per-task=1 --sbatch=--mem=1000 --sbatch=--time=10 "$@" >"$work/said" 2>&1 ||
    fail "submit $*: $(cat "$work/said")"
  job=$(sed -n 's/^job \([0-9]*\): .*/\1/p' "$work/said")
}

submit_sweep() { # submit_sweep RESULTS
  submit --parts 4 -- "${sweep[@]}" --results "$1"
}

field() { # field TASK NAME: what Slurm says of a task, such as 7_2
  scontrol -o show job "$1" | tr ' ' '\n' | sed -n "s/^$2=//p" | head -n 1
}

ended() { # ended JOB
  local queued
  queued=$(squeue -h -j "$1" 2>"$work/squeue") && [ -z "$queued" ] || grep -q "Invalid job id" "$work/squeue"
}

states() { # states JOB: those that its tasks are in
  scontrol -o show job "$1" | tr ' ' '\n' | sed -n 's/^JobState=//p' | sort -u | xargs
}

runs_again() { # runs_again TASK
  [ "$(field "$1" Restarts)" -ge 1 ] && [ "$(field "$1" JobState)" != PENDING ]
}

task_on() { # task_on JOB NODE: the number of the task that runs there
  squeue -h -j "$1" -w "$2" -t RUNNING -o %K | head -n 1
}

# Some generations are kept of what is being computed on this node.
halfway() { # halfway RESULTS NODE
  "$binary" status "$1" 2>/dev/null | grep -qE "on $2: [^;]*, [1-9][0-9]* of [0-9]+ generations"
}

kept() { # kept RESULTS: generations in its files, those of broken-off cells too
  find "$1" -path "$1/slurm" -prune -o -name '*.jsonl' ! -name items.jsonl -print0 | xargs -0 cat | wc -l
}

computed() { # computed RESULTS JOB: generations that its tasks say they have made
  cat "$1"/slurm/"$2"_*.log | awk '/^[0-9]+ generations: / { sum += $1 } END { print sum + 0 }'
}

# The job ends well, with what is in the folder that undisturbed runs have.
completes() { # completes RESULTS JOB [REFERENCE]
  await 120 "job $2 to end" ended "$2"
  [ "$(states "$2")" = COMPLETED ] || fail "job $2 should be COMPLETED and is $(states "$2")"
  python3 "$here/tests/slurm/same.py" "${3:-reference}" "$1" >"$work/differs" || fail "$(cat "$work/differs")"
}

# What a call that was submitted again has made is just what was missing.
makes_the_rest() { # makes_the_rest RESULTS JOB BEFORE
  local made
  made=$(computed "$1" "$2")
  [ "$made" = $((total - $3)) ] || fail "$made generations were made, where $3 of $total were kept"
}

# Submit, and wait until both nodes are in the middle of their first task. Sets `job`.
in_the_middle() { # in_the_middle RESULTS
  submit_sweep "$1"
  await 30 "n1 to compute" halfway "$1" n1
  await 30 "n2 to compute" halfway "$1" n2
}

# ---- The checks

python3 tests/slurm/world.py "$world" "${ITEMS:-80}"
cd "$world"
"$binary" "${sweep[@]}" --results reference >"$work/said" 2>&1 || fail "the call without Slurm: $(cat "$work/said")"
total=$(kept reference)
ok "reference: the call without Slurm, $cells cells, $total generations"

start_slurm
others=$(cat /proc/net/tcp /proc/net/tcp6 | awk '$4 == "0A" && $2 !~ /7F:/')
[ -z "$others" ] || fail "something listens to others: $others"
ok "Slurm $(sbatch --version | cut -d' ' -f2) with two nodes, on loopback alone"

# What is wrong is found before anything is submitted.
jobs() { scontrol -o show job | grep -c JobId= || true; }
refused() { # refused EXIT-CODE SENTENCE ARGS of submit...
  local expected=$1 sentence=$2 code=0
  shift 2
  PATH=${search:-$PATH} "$binary" submit "$@" >"$work/said" 2>&1 || code=$?
  [ "$code" = "$expected" ] || fail "submit $* should exit with $expected and exits with $code: $(cat "$work/said")"
  grep -q -- "$sentence" "$work/said" || fail "submit $* should say '$sentence' and says: $(cat "$work/said")"
}
refused 0 '^#SBATCH --array=1-4$' --parts 4 --dry-run -- "${sweep[@]}" --results refused
[ ! -e refused ] || fail "--dry-run has written to its results folder"
ok "submit --dry-run prints the script"
refused 2 XTF --parts 4 -- "${sweep[@]}" --mask XTF --results refused
refused 2 'there are 26 cells to share out' --parts 27 -- "${sweep[@]}" --results refused
refused 2 '--shard is what submit adds itself' --parts 2 -- "${sweep[@]}" --shard 1/2 --results refused
[ ! -e refused ] || fail "a wrong call has written to its results folder"
"$binary" "${sweep[@]/48/4}" --results settings >"$work/said" 2>&1
refused 2 'holds results of other settings (max_new_tokens was 4, now 48)' --parts 4 -- "${sweep[@]}" --results settings
ok "a wrong call is refused"
search=/nowhere refused 1 'there is no sbatch here; hand the script to it where Slurm is: sbatch /' --parts 4 -- "${sweep[@]}"
refused 1 'sbatch refused' --parts 4 --sbatch=--partition=nowhere -- "${sweep[@]}"
ok "without sbatch, or where it refuses, that is said"
[ "$(jobs)" = 0 ] || fail "some of this was submitted after all: $(scontrol -o show job)"

# Nothing happens to it.
in_the_middle plain
"$binary" status plain >"$work/status"
[ "$(grep -c 'computed by process [0-9]* on n[12]: ' "$work/status")" -ge 2 ] || fail "status: $(cat "$work/status")"
ok "status says which process on which node computes what"
completes plain "$job"
makes_the_rest plain "$job" 0
grep -q '"threads": 1,' plain/*/*/*/manifest.json || fail "a task does not take as many threads as it has processors"
grep -q '"900MiB"' plain/*/*/*/manifest.json || fail "a task does not take nine tenths of its 1000 MiB of memory"
"$binary" submit --parts 1 --sbatch=--mem-per-cpu=700 -- "${sweep[@]/48/4}" --results per-cpu >"$work/said"
await 60 "a task to write what it takes" test -s per-cpu/tiny/test.en-fr/instr_machine_translation-k5-seed1/manifest.json
grep -q '"threads": 1,' per-cpu/*/*/*/manifest.json || fail "a task does not take the one processor that it has"
grep -q '"630MiB"' per-cpu/*/*/*/manifest.json || fail "a task does not take nine tenths of the 700 MiB of its processor"
await 60 "both nodes to be idle" idle
ok "an array of 4 tasks: the same as the reference, with the threads and the memory that Slurm gives"
[ "$("$binary" status plain | grep -c ': 13 of 13 cells finished')" = 2 ] || fail "status: $("$binary" status plain)"
"$binary" verify plain >"$work/said" 2>&1 || fail "verify: $(cat "$work/said")"
"$binary" figure masks plain --out figures >"$work/said" 2>&1 || fail "figure: $(cat "$work/said")"
[ -s figures/masks.svg ] || fail "figure masks has drawn nothing"
ok "status, verify and figure of it"

# Without --parts, as many tasks as there are runs.
"$binary" "${training[@]}" --results reference-lora >"$work/said" 2>&1 || fail "the training without Slurm: $(cat "$work/said")"
submit -- "${training[@]}" --results lora
completes lora "$job" reference-lora
[ "$(ls lora/slurm/*.log | wc -l)" = 2 ] || fail "two trainings should be two tasks: $(ls lora/slurm)"
ok "a training, its two runs as two tasks: the same, adapters included"

# Its program is killed, as when memory runs out.
in_the_middle killed
task=$(task_on "$job" n1)
kill -KILL $(processes "--shard $task/4")
await 60 "job $job to end" ended "$job"
[ "$(field "${job}_$task" JobState) $(field "${job}_$task" ExitCode)" = "FAILED 137:0" ] || fail "a killed task has not failed"
before=$(kept killed)
[ "$before" -lt "$total" ] || fail "all was finished in spite of the kill"
submit_sweep killed
completes killed "$job"
makes_the_rest killed "$job" "$before"
ok "a killed task fails; submitted again: the same, and $before of $total generations were not made twice"

# A node is drained, and its task has to go.
in_the_middle drained
task=$(task_on "$job" n1)
scontrol update nodename=n1 state=drain reason=test
scontrol requeue "${job}_$task"
await 60 "task ${job}_$task to run again" runs_again "${job}_$task"
completes drained "$job"
[ "$(field "${job}_$task" BatchHost)" = n2 ] || fail "the task should have run again on the other node"
scontrol update nodename=n1 state=resume
await 30 "both nodes to be idle" idle
ok "a task requeued from a drained node runs again on the other one: the same"

# One node crashes. Of the other one only slurmd is lost: its task goes on while Slurm runs it again elsewhere, which must leave
# to it what it computes. It halts until that can be seen.
in_the_middle lost
first=$(task_on "$job" n1) second=$(task_on "$job" n2)
crash n1
kill -KILL $(processes "slurmd -D -f $SLURM_CONF -L $work/slurmd.n2.log")
scontrol update nodename=n1,n2 state=down reason=test
lost=$(processes "--shard $second/4")
kill -STOP $lost || fail "the task on n2 should go on without slurmd"
start_node n1
scontrol update nodename=n1 state=resume
await 60 "task ${job}_$first to run again" runs_again "${job}_$first"
await 60 "task ${job}_$second to run again" runs_again "${job}_$second"
await 60 "it to leave cells to the lost node" grep -q "computed by process .* on n2; waiting" "lost/slurm/${job}_$second.log"
kill -CONT $lost
completes lost "$job"
crash n2
start_node n2
scontrol update nodename=n2 state=resume
await 30 "both nodes to be idle" idle
ok "a node that crashes and one that is lost while its task goes on: both tasks run again, the same"

# Its time is nearly up: what Slurm sends by itself 120 s before the limit.
in_the_middle warned
task=$(task_on "$job" n1)
# The first try arrives; Slurm calls it one all the same, and scancel would try again after 5 s.
timeout 3 scancel --signal=USR1 --batch "${job}_$task" 2>"$work/said" || true
await 60 "task ${job}_$task to run again" runs_again "${job}_$task"
completes warned "$job"
log=warned/slurm/${job}_$task.log
[ "$(grep -cE "stopping after this step|interrupted; what was finished is kept|part $task queues up again" "$log")" = 3 ] ||
  fail "the task was not stopped in order, or not once: $(cat "$log")"
ok "a task told that its time is up stops and queues up again: the same"

# Somebody wants it to end.
in_the_middle cancelled
scancel "$job"
await 60 "job $job to end" ended "$job"
sleep 5
[ "$(cat cancelled/slurm/"$job"_*.log | grep -c "interrupted; what was finished is kept")" = 2 ] ||
  fail "cancelled tasks should end in order: $(cat cancelled/slurm/"$job"_*.log)"
ended "$job" && [ "$(states "$job")" = CANCELLED ] || fail "a cancelled job should be CANCELLED and is $(states "$job")"
before=$(kept cancelled)
[ "$before" -gt 0 ] && [ "$before" -lt "$total" ] || fail "$before of $total generations are kept of a cancelled job"
code=0
"$binary" verify cancelled >"$work/said" 2>&1 || code=$?
[ "$code" = 1 ] || fail "verify exits with $code where cells are missing: $(cat "$work/said")"
submit_sweep cancelled
completes cancelled "$job"
makes_the_rest cancelled "$job" "$before"
ok "a cancelled job ends, and its tasks do not queue up again; submitted again: the same"

say "$passed checks in $SECONDS s"
