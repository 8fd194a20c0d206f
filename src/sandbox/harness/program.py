# The process of the untrusted program: runs it, then serves calls. Whatever the program does to this process, all that
# leaves it is data, and the tests are not in it.
REQUESTS, ANSWERS = 3, 4

handles = []
numbers = {}


def other(value):
    """What is no plain data stays here; the same object has the same number."""
    if id(value) not in numbers:
        numbers[id(value)] = len(handles)
        handles.append(value)
    tag = b"h" if callable(value) else b"g" if hasattr(value, "__next__") else b"o"
    kind = type(value).__name__.encode("utf-8", "replace")
    return tag + pack("<Q", numbers[id(value)]) + sized(b"s", kind)


def known(tag, number, kind):
    return handles[number]


def answer(*value):
    send(ANSWERS, encode(value, other))


def described(error):
    """Its class, the nearest class that Python itself has, its text, the program's line, and its arguments."""
    try:
        text = str(error)[:1000]
    except BaseException:
        text = ""
    own = (kind.__name__ for kind in type(error).__mro__ if getattr(builtins, kind.__name__, None) is kind)
    builtin = next(own, "Exception")
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<program>":
            line = trace.tb_lineno
        trace = trace.tb_next
    try:
        encode(error.args, other)
        args = error.args
    except BaseException:
        args = (text,)
    return "raised", type(error).__name__, builtin, text, line, args


def compiled(source):
    try:
        return compile(source, "<program>", "exec", dont_inherit=True)
    except BaseException as error:
        answer("syntax", "%s: %s" % (type(error).__name__, error))
        os._exit(0)


def call(number, args, kwargs):
    before = [encode(arg, other) if isinstance(arg, (list, dict, set, bytearray)) else None for arg in args]
    value = handles[number](*args, **kwargs)
    changed = [(at, args[at]) for at, was in enumerate(before) if was is not None and encode(args[at], other) != was]
    answer("value", value, changed)


def named(space, name):
    value = space.get(name)
    module = type(value).__name__ == "module"
    answer("module" if module else "named" if name in space else "unknown", None if module else value)


def serve(space):
    while True:
        operation, *rest = decode(receive(REQUESTS), known)
        try:
            if operation == "call":
                call(*rest)
            elif operation == "next":
                answer("value", next(handles[rest[0]]), [])
            else:
                named(space, *rest)
        except Gone:
            raise
        except BaseException as error:
            answer(*described(error))


def main():
    source = read_all(0).decode("utf-8")
    os.dup2(1, 0)
    code = compiled(source)
    seed(source)
    space = {}
    try:
        exec(code, space)
    except BaseException as error:
        answer(*described(error))
        os._exit(0)
    answer("ready")
    serve(space)


def read_all(fd):
    parts = []
    while True:
        part = os.read(fd, 1 << 20)
        if not part:
            return b"".join(parts)
        parts.append(part)


try:
    main()
except Gone:
    pass
os._exit(0)
