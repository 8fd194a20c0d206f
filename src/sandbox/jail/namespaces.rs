//! Namespaces: no other process, no network, no other user, and a root that holds Python alone.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, chdir, getegid, geteuid, pivot_root, sethostname};

use super::{SandboxLayers, Spec};
use crate::sandbox::Policy;

/// The user without rights.
pub const NOBODY: u32 = 65534;

/// What a program's folder holds at most.
const FOLDER: &str = "size=16m,nr_inodes=1024,mode=700";

/// Where a program runs.
pub struct Room {
    /// Its empty folder, the one place where it may write.
    pub folder: PathBuf,
    /// It gives up root's rights for those of nobody.
    pub drop_root: bool,
    /// The folder is of this machine, to be removed afterwards.
    real: bool,
}

impl Room {
    /// Remove what is left of it on this machine.
    pub fn clear(&self) {
        if self.real {
            drop(fs::remove_dir_all(&self.folder));
        }
    }
}

/// Take the namespaces, and build the root.
///
/// # Errors
/// A layer is missing that must be there, or a root was begun and could not be finished.
pub fn enter(spec: &Spec, layers: &mut SandboxLayers) -> Result<Room> {
    if spec.policy != Policy::Off {
        let taken = take();
        let users = taken.as_ref().is_ok_and(|user| *user);
        let spaces =
            if users { "user, pid, net, mount, ipc and uts" } else { "pid, net, mount, ipc and uts" };
        let made = taken.map(|_| ());
        let there = made.is_ok();
        layers.add(spec.policy, &format!("{spaces} namespaces"), made)?;
        if there {
            // A name that says nothing of the machine.
            sethostname("box").context("a host name")?;
            let root = new_root(spec, if users { inner(geteuid().as_raw()) } else { NOBODY });
            root.context("the namespaces are there, but a root of their own cannot be built")?;
            layers.there.push("a root with Python alone".into());
            return Ok(Room { folder: "/box".into(), drop_root: !users && geteuid().is_root(), real: false });
        }
    }
    let folder = spec.folder.join(format!("icl-mask-jail-{}", std::process::id()));
    fs::DirBuilder::new().mode(0o700).create(&folder).context("no folder for the program")?;
    Ok(Room { folder, drop_root: false, real: true })
}

/// Whether a user namespace was needed: root can do without, and then gives up its rights for nobody's.
fn take() -> Result<bool> {
    let spaces = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS;
    let (user, group) = (geteuid(), getegid());
    if user.is_root() && unshare(spaces).is_ok() {
        return Ok(false);
    }
    unshare(spaces | CloneFlags::CLONE_NEWUSER).map_err(|error| {
        let hint = match error {
            Errno::EPERM | Errno::EACCES => {
                "; the system keeps user namespaces from you: see the sysctls kernel.unprivileged_userns_clone and \
                 kernel.apparmor_restrict_unprivileged_userns, or the settings of your container"
            }
            Errno::ENOSPC | Errno::EUSERS => "; the sysctl user.max_user_namespaces allows no more of them",
            _ => "",
        };
        anyhow::anyhow!("{}{hint}", error.desc())
    })?;
    // A user may map itself alone, and groups only where it cannot change them any more.
    fs::write("/proc/self/setgroups", "deny").context("/proc/self/setgroups")?;
    fs::write("/proc/self/uid_map", format!("{} {user} 1", inner(user.as_raw())))
        .context("/proc/self/uid_map")?;
    fs::write("/proc/self/gid_map", format!("{} {group} 1", inner(group.as_raw())))
        .context("/proc/self/gid_map")?;
    Ok(true)
}

/// Who a user is within its namespace: never root.
fn inner(id: u32) -> u32 {
    if id == 0 { NOBODY } else { id }
}

/// A root of memory that holds the folders Python needs, read-only, and one small empty folder.
fn new_root(spec: &Spec, owner: u32) -> Result<()> {
    // Hidden from the inside of this namespace alone; and nothing that Python needs is below it.
    let root = Path::new("/proc");
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).context("private mounts")?;
    let plain = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), root, Some("tmpfs"), plain, Some("size=1m,mode=755")).context("a tmpfs")?;
    for path in places(spec) {
        let inside = below(root, path);
        if path.is_dir() {
            fs::create_dir_all(&inside).with_context(|| format!("a folder for {}", path.display()))?;
        } else {
            fs::create_dir_all(inside.parent().unwrap_or(root))?;
            fs::write(&inside, "").with_context(|| format!("a place for {}", path.display()))?;
        }
        bind(path, &inside)?;
    }
    for (name, object) in &spec.python.links {
        // Those in a folder of the library came with it.
        let inside = below(root, name);
        if fs::symlink_metadata(&inside).is_err() {
            fs::create_dir_all(inside.parent().unwrap_or(root))?;
            symlink(object, &inside).with_context(|| format!("a link to {}", object.display()))?;
        }
    }
    for name in ["/lib", "/lib64", "/lib32", "/bin"] {
        // Where the loader is looked for, on a system whose /lib is a link into /usr.
        if let Ok(to) = fs::read_link(name) {
            symlink(to, below(root, Path::new(name))).context("a link")?;
        }
    }
    let folder = below(root, Path::new("/box"));
    fs::create_dir(&folder)?;
    let options = format!("{FOLDER},uid={owner},gid={owner}");
    mount(Some("tmpfs"), &folder, Some("tmpfs"), plain | MsFlags::MS_NOEXEC, Some(options.as_str()))
        .context("a tmpfs for the program")?;
    chdir(root)?;
    pivot_root(".", ".").context("pivot_root")?;
    umount2(".", MntFlags::MNT_DETACH).context("leaving the old root")?;
    chdir("/")?;
    let read_only = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY | plain;
    mount(none, "/", none, read_only, none).context("a read-only root")
}

/// What Python needs: the folders of its library, and for the rest file by file.
fn places(spec: &Spec) -> Vec<&Path> {
    let (folders, files): (Vec<&Path>, Vec<&Path>) = spec.python.reads().partition(|path| path.is_dir());
    let mut places: Vec<&Path> = Vec::new();
    for path in folders.into_iter().chain(files) {
        if !places.iter().any(|known| path.starts_with(known)) {
            places.push(path);
        }
    }
    places
}

fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// Show a folder or file at another place, with all that is mounted in it, to be read only.
fn bind(from: &Path, to: &Path) -> Result<()> {
    let none = None::<&str>;
    let shown = mount(Some(from), to, none, MsFlags::MS_BIND | MsFlags::MS_REC, none);
    shown.with_context(|| format!("showing {}", from.display()))?;
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    let path = std::ffi::CString::new(to.as_os_str().as_encoded_bytes())?;
    // SAFETY: path and attributes outlive the call, whose last argument is the size of the latter.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::AT_RECURSIVE,
            &raw const attributes,
            size_of_val(&attributes),
        )
    };
    if done != 0 {
        bail!("showing {} read-only: {}", from.display(), Errno::last().desc());
    }
    Ok(())
}

/// Give up root's rights: those of nobody are left.
pub fn become_nobody() -> Result<()> {
    let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    nix::unistd::setgroups(&[])?;
    nix::unistd::setresgid(group, group, group)?;
    nix::unistd::setresuid(user, user, user)?;
    Ok(())
}
