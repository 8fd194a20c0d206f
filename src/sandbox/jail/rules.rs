//! Landlock: what may be read and written, whatever the permissions of files say.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope,
};

use super::Spec;

/// What the kernel must know of landlock: reading, writing, linking, cutting off (Linux 6.2).
const NEEDED: ABI = ABI::V3;

/// What is used of it where it is there: ports, devices, signals and sockets without a name (Linux 6.12).
const WANTED: ABI = ABI::V6;

/// Allow this process to read the interpreter and its library, to run the interpreter, to write into `folder` if it has
/// one, and nothing else.
pub fn restrict(spec: &Spec, folder: Option<&Path>) -> Result<()> {
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(NEEDED))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(WANTED))?
        .handle_access(AccessNet::from_all(WANTED))?
        .scope(Scope::from_all(WANTED))?;
    let mut ruleset = ruleset.create()?.set_compatibility(CompatLevel::HardRequirement);
    for path in spec.python.reads() {
        let access = match path.is_dir() {
            true => AccessFs::ReadFile | AccessFs::ReadDir,
            false => AccessFs::ReadFile | AccessFs::Execute,
        };
        ruleset = ruleset.add_rule(beneath(path, access)?)?;
    }
    let own = AccessFs::ReadFile
        | AccessFs::ReadDir
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir;
    if let Some(folder) = folder {
        ruleset = ruleset.add_rule(beneath(folder, own)?)?;
    }
    let status = ruleset.restrict_self()?;
    ensure!(status.ruleset != RulesetStatus::NotEnforced && status.no_new_privs, "it was not enforced");
    Ok(())
}

fn beneath(path: &Path, access: landlock::BitFlags<AccessFs>) -> Result<PathBeneath<PathFd>> {
    let opened = PathFd::new(path).with_context(|| format!("{} cannot be opened", path.display()))?;
    Ok(PathBeneath::new(opened, access))
}
