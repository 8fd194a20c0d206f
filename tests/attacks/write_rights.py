# verdict: failed|killed
# Sets rights, owner, times and attributes of files outside (to what they are): Landlock alone stops none of them.
import os

found = []
for path in ("/tmp/icl-mask-attack-canary", "/root", "/home/runner", os.path.dirname(os.__file__)):
    for attack in (
        lambda it: os.chmod(path, it.st_mode & 0o7777),
        lambda it: os.chown(path, it.st_uid, it.st_gid),
        lambda it: os.utime(path, ns=(it.st_atime_ns, it.st_mtime_ns)),
        lambda it: os.setxattr(path, "user.icl-mask-attack", b""),
    ):
        try:
            attack(os.stat(path))
            found.append(path)
        except OSError:
            pass


def answer(n: int) -> int:
    return n * (n + 1) // 2 if found else -1
