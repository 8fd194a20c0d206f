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
print(json.dumps({"executable": executable, "version": ".".join(map(str, sys.version_info[:3])),
                  "library": sorted(set(library)), "objects": sorted(objects)}))
