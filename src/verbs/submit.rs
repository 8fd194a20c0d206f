//! `submit`: a call of `run` or `lora` as an array job of Slurm, a part of its cells a task.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::base::console::{note, say, say_exactly, wrapped};
use crate::base::error::input;
use crate::base::files::write_atomically;
use crate::base::hash::Hash;
use crate::cli::{SubmitArgs, Verb};
use crate::config::Experiment;
use crate::help::parsed;
use crate::run::{describe, notes, open, train};

/// Seconds before the time limit at which a task is told to stop and queue up again: a step of the largest models and the
/// writing of what is finished take less.
const WARNING: usize = 120;

/// Check the call, write the job's script, and hand it to Slurm.
///
/// # Errors
/// The call itself is wrong, or Slurm is not here or refuses.
pub fn submit(args: &SubmitArgs) -> Result<()> {
    let (experiment, training) = resolve(&args.call)?;
    // The tasks will read all this again; here it is read so that mistakes are found now.
    let models = if training { train::opened(&experiment)? } else { open(&experiment, |_, _| Ok(()))? };
    if !training {
        notes(&experiment, &models)?.iter().for_each(|sentence| note(wrapped(sentence, "  ")));
    }
    for planned in models.iter().flat_map(|(_, _, planned)| planned) {
        // Whether the weights are the same the tasks will see: they may not be here yet, and reading them takes long.
        let weights = planned.folder.manifest()?.map(|known| known.settings.model_sha256).unwrap_or_default();
        planned
            .folder
            .check(&planned.prepared.settings(&weights, &experiment), &planned.prepared.run.masks)?;
    }
    let parts = args.parts.unwrap_or(experiment.runs.len());
    if parts == 0 || parts > experiment.cells() {
        return Err(input(format!("--parts {parts}: there are {} cells to share out", experiment.cells())));
    }
    let here = std::env::current_dir().context("the current folder is gone")?;
    let folder = here.join(&experiment.results).join("slurm");
    let program = std::env::current_exe().context("where this program lies is unknown")?;
    let left_open = |words: &Option<Vec<String>>, default: &str| words.as_deref() == Some(&[default.into()]);
    let given =
        |flag: &str| args.call.iter().any(|word| word == flag || word.starts_with(&format!("{flag}=")));
    let job = Submission {
        program,
        here,
        folder: folder.clone(),
        call: &args.call,
        parts,
        options: &args.sbatch,
        threads: !given("--threads") && left_open(&experiment.typed.threads, "all"),
        memory: !given("--memory") && left_open(&experiment.typed.memory, "auto"),
    };
    let script = job.script()?;
    if args.dry_run {
        return say_exactly(&script);
    }
    let mut hash = Hash::default();
    hash.bytes(&script);
    let path = folder.join(format!("icl-mask-{}.sbatch", &hash.hex()[..8]));
    write_atomically(&path, |out| Ok(out.write_all(script.as_bytes())?))?;
    let number = sbatch(&path)?;
    say(&format!(
        "job {number}: {} cells in {parts} parts; squeue -j {number} and `icl-mask status {}` say how far it is, its output is \
         in {}",
        experiment.cells(),
        experiment.results.display(),
        folder.display(),
    ))
}

/// The call as it would be typed without `submit`.
fn resolve(call: &[String]) -> Result<(Experiment, bool)> {
    let words = std::iter::once("icl-mask").chain(call.iter().map(String::as_str));
    let cli = parsed(words).map_err(|error| input(format!("after `--`: {error}")))?;
    let refuse = |what: &str| Err(input(format!("after `--`: {what}")));
    match cli.verb {
        Verb::Run(args) if args.from_manifest.is_some() => refuse("--from-manifest cannot be shared out"),
        Verb::Run(args) if args.shard.is_some() => refuse("--shard is what submit adds itself; leave it out"),
        Verb::Run(args) if args.dry_run => refuse("--dry-run belongs before it"),
        Verb::Run(args) => Ok((Experiment::resolve(args.config.as_deref(), args.settings, describe)?, false)),
        Verb::Lora(args) if args.shard.is_some() => {
            refuse("--shard is what submit adds itself; leave it out")
        }
        Verb::Lora(args) if args.dry_run => refuse("--dry-run belongs before it"),
        Verb::Lora(args) => {
            let experiment =
                Experiment::resolve_training(args.config.as_deref(), args.settings, args.training, describe)?;
            Ok((experiment, true))
        }
        _ => refuse("write run or lora with its flags, such as: submit --parts 4 -- run --mask TTF"),
    }
}

/// What the script is made of.
struct Submission<'a> {
    program: PathBuf,
    here: PathBuf,
    folder: PathBuf,
    call: &'a [String],
    parts: usize,
    /// Of the user's, for sbatch.
    options: &'a [String],
    /// Take these from what Slurm gives.
    threads: bool,
    memory: bool,
}

impl Submission<'_> {
    fn script(&self) -> Result<String> {
        let mut options = vec![
            "--job-name=icl-mask".into(),
            format!("--array=1-{}", self.parts),
            format!("--chdir={}", plain(&self.here)?),
            // Slurm puts numbers where a % is.
            format!("--output={}/%A_%a.log", plain(&self.folder)?.replace('%', "%%")),
            "--open-mode=append".into(),
            "--requeue".into(),
            format!("--signal=B:USR1@{WARNING}"),
        ];
        let impossible =
            |option: &&String| !option.starts_with('-') || option.contains(['\n', '\r', '"', '\'', '\\']);
        if let Some(bad) = self.options.iter().find(impossible) {
            return Err(input(format!(
                "--sbatch {bad}: write an option of sbatch, such as --sbatch=--time=4:00:00"
            )));
        }
        options.extend(self.options.iter().map(|option| match option.contains(char::is_whitespace) {
            true => format!("\"{option}\""),
            false => option.clone(),
        }));
        let options: String = options.iter().map(|option| format!("#SBATCH {option}\n")).collect();
        let mut words = vec![quoted(&self.program.display().to_string())];
        words.extend(self.call.iter().map(|word| quoted(word)));
        words.push(format!("--shard \"$SLURM_ARRAY_TASK_ID/{}\"", self.parts));
        if self.threads {
            words.push("--threads \"${SLURM_CPUS_PER_TASK:-${SLURM_CPUS_ON_NODE:-all}}\"".into());
        }
        if self.memory {
            words.push("--memory \"$memory\"".into());
        }
        Ok(format!(
            "#!/bin/bash\n{options}\
# Each task computes one part of the cells. Finished cells are not computed again, so the script can be submitted again.
set -u
# The log may be lost. The part goes on all the same, and queues up again.
trap '' PIPE
memory=auto
given=${{SLURM_MEM_PER_NODE:-$((${{SLURM_MEM_PER_CPU:-0}} * ${{SLURM_CPUS_ON_NODE:-1}}))}}
if [ \"$given\" -gt 0 ]; then memory=$((given * 9 / 10))MiB; fi
signalled=no requeue=no part=
# The time is nearly up: stop at the next step, and queue up again.
trap 'signalled=yes requeue=yes; kill -TERM \"$part\" 2>/dev/null' USR1
# The job is cancelled. Slurm signals the part itself too; after a second signal it would not finish its step.
trap 'signalled=yes' TERM
{} &
part=$!
if [ $requeue = yes ]; then kill -TERM \"$part\"; fi
# A signal ends the waiting, not the part.
code=
while [ -z \"$code\" ]; do
  signalled=no
  wait \"$part\"
  code=$?
  if [ $signalled = yes ]; then code=; fi
done
# 143: the signal came before the program could handle it.
if [ $requeue = yes ] && {{ [ \"$code\" = 130 ] || [ \"$code\" = 143 ]; }}; then
  scontrol requeue \"${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID\"
  echo \"part $SLURM_ARRAY_TASK_ID queues up again\" >&2
fi
exit \"$code\"
",
            words.join(" ")
        ))
    }
}

/// A path as a line `#SBATCH` can hold it.
fn plain(path: &Path) -> Result<String> {
    let text = path.display().to_string();
    match text.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | '\\' | '#'))
    {
        true => {
            Err(input(format!("{text}: Slurm's scripts cannot hold such a path; work in another folder")))
        }
        false => Ok(text),
    }
}

/// A word for the shell.
fn quoted(word: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "-_./,:=+@%".contains(c);
    match !word.is_empty() && word.chars().all(harmless) {
        true => word.into(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// The number of the job.
fn sbatch(script: &Path) -> Result<String> {
    let output = Command::new("sbatch").arg("--parsable").arg(script).output();
    let output = match output {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => bail!(
            "there is no sbatch here; hand the script to it where Slurm is: sbatch {}",
            script.display()
        ),
        output => output.context("cannot start sbatch")?,
    };
    if !output.status.success() {
        bail!("sbatch refused {}: {}", script.display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    let said = String::from_utf8_lossy(&output.stdout);
    Ok(said.trim().split(';').next().unwrap_or_default().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_words_in_the_shell() {
        for word in ["TTF,FTF", "a b", "it's", "", "$HOME", "a\"b", "x;rm -rf y", "é"] {
            let output = Command::new("bash").arg("-c").arg(format!("printf %s {}", quoted(word))).output();
            assert_eq!(String::from_utf8(output.unwrap().stdout).unwrap(), word);
        }
    }
}
