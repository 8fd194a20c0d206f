# Which files an interpreter needs: itself, its library, and the shared objects that either loads.
import importlib
import json
import os
import sys
import sysconfig

# Modules of the library that load shared objects of the system.
for name in ("_ssl", "_hashlib", "zlib", "_bz2", "_lzma", "_ctypes", "_decimal", "pyexpat", "_uuid", "_sqlite3", "readline",
             "_curses"):
    try:
        importlib.import_module(name)
    except ImportError:
        pass

executable = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
library = [os.path.realpath(sysconfig.get_path(name, vars={"base": sys.base_prefix, "platbase": sys.base_exec_prefix,
                                                           "installed_base": sys.base_prefix}))
           for name in ("stdlib", "platstdlib")]
objects = set()
try:
    with open("/proc/self/maps") as maps:
        for line in maps:
            path = line.split(None, 5)[5].strip() if len(line.split(None, 5)) == 6 else ""
            if path.startswith("/") and ".so" in path:
                objects.add(os.path.realpath(path))
except OSError:
    pass
# The other names of the shared objects, by which the loader looks for them.
links = {}
# The loader itself is named by its place in one of the last four.
for folder in {os.path.dirname(path) for path in objects} | set(
        map(os.path.realpath, ("/lib", "/lib64", "/lib32", "/usr/lib64"))):
    if not os.path.isdir(folder):
        continue
    for entry in os.scandir(folder):
        if entry.is_symlink() and os.path.realpath(entry.path) in objects:
            links[entry.path] = os.path.realpath(entry.path)
print(json.dumps({"executable": executable, "version": ".".join(map(str, sys.version_info[:3])),
                  "library": sorted(set(library)), "objects": sorted(objects), "links": links}))
