# The judge's process: holds the tests, asks the program's process for values, and says what came of it. Nothing that is
# the program's runs here.
ANSWERS, REQUESTS, VERDICT = 3, 4, 5


class Raised(Exception):
    """What the program raised, where Python has no class of that name."""


class Remote:
    """An object of the program's: it can be handed back, and equals itself alone."""

    tag = b"o"

    def __init__(self, number, kind):
        self.number = number
        self.kind = kind

    def __repr__(self):
        return "<%s of the program>" % (self.kind,)


class Function(Remote):
    tag = b"h"

    def __call__(self, *args, **kwargs):
        value, changed = ask("call", self.number, args, kwargs)
        # What the call did to its arguments is seen by the test, as it would be in one process.
        if type(changed) is not list:
            raise Malformed("changes that are no list")
        for at, now in changed:
            was = args[at] if type(at) is int and 0 <= at < len(args) else None
            if type(was) not in (list, bytearray, dict, set) or type(was) is not type(now):
                raise Malformed("a change of what cannot change so")
            was.clear()
            was.extend(now) if type(was) in (list, bytearray) else was.update(now)
        return value


class Iterator(Remote):
    tag = b"g"

    def __iter__(self):
        return self

    def __next__(self):
        return ask("next", self.number)[0]


remotes = {}
MOST_REMOTES = 100000


def remote(tag, number, kind):
    if (tag, number) not in remotes:
        if len(remotes) >= MOST_REMOTES:
            raise Malformed("too many objects")
        made = {b"h": Function, b"g": Iterator, b"o": Remote}[tag]
        remotes[tag, number] = made(number, kind)
    return remotes[tag, number]


def local(value):
    if isinstance(value, Remote):
        return value.tag + pack("<Q", value.number) + sized(b"s", b"")
    raise TypeError("a test cannot pass a %s to the program" % type(value).__name__)


def answered():
    """The program's next answer: always a tuple that begins with a word, or it is malformed."""
    message = receive(ANSWERS)
    try:
        value = decode(message, remote)
    except MemoryError:
        raise
    except Exception as error:
        raise Malformed("%s: %s" % (type(error).__name__, error))
    if type(value) is not tuple or not value:
        raise Malformed("no answer")
    kind, *rest = value
    if kind == "raised":
        raise raised(*rest)
    return kind, rest


def ask(*request):
    send(REQUESTS, encode(request, local))
    kind, rest = answered()
    if kind == "value":
        value, changed = rest
        return value, changed
    return kind, rest[0]


def raised(name, builtin, text, line, args):
    kind = getattr(builtins, str(builtin), None)
    try:
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            kind = Raised
        error = kind(*args)
    except BaseException:
        error = Raised(text)
    error.described = "%s: %s" % (name, text) if text else str(name)
    if line:
        error.described += " (line %s)" % line
    return error


def names_in(code):
    """Global names that a test may use, and more: names of attributes are among them."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if hasattr(constant, "co_names"):
            names |= names_in(constant)
    return names


def fill(space, names, asked):
    """What is asked for is the program's, whatever its name; so are names that neither Python nor the prompt has."""
    for name in asked:
        # Python's own thing of that name must not stand in for it.
        space[name] = Missing(name)
    for name in sorted(names | set(asked)):
        if name not in asked and (name in space or hasattr(builtins, name)):
            continue
        kind, value = ask("name", name)
        if kind == "named":
            space[name] = value
        elif kind == "module" and name not in asked:
            # Python's own: there is no other folder to import from.
            space[name] = __import__(name)


class Missing:
    """What a program was to define, and has not."""

    def __init__(self, name):
        self.name = name

    def __call__(self, *args, **kwargs):
        raise NameError("name '%s' is not defined" % self.name)


def judge(prompt, test, entry, asked):
    space = {}
    exec(compile(prompt, "<prompt>", "exec"), space)
    tests = compile(test, "<test>", "exec")
    asked = set(asked) | ({entry} if entry else set())
    kind, rest = answered()
    if kind == "syntax":
        return "syntax", str(rest[0])
    seed(prompt + test)
    fill(space, names_in(tests), asked)
    exec(tests, space)
    if entry:
        exec(compile("check(%s)" % entry, "<test>", "exec"), space)
    return "passed", ""


def reason(error, test):
    if hasattr(error, "described"):
        return error.described
    text = "%s: %s" % (type(error).__name__, error) if str(error) else type(error).__name__
    trace, line = error.__traceback__, 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<test>":
            line = trace.tb_lineno
        trace = trace.tb_next
    lines = test.split("\n")
    return "%s at `%s`" % (text, lines[line - 1].strip()) if 0 < line <= len(lines) else text


def main():
    prompt, test, entry, asked = [receive(0).decode("utf-8") for _ in range(4)]
    verdict, caught = "failed", None
    try:
        verdict, why = judge(prompt, test, entry, asked.split())
    except Gone:
        verdict, why = "gone", ""
    except MemoryError:
        verdict, why = "memory", "MemoryError"
    except Malformed as error:
        why = "its answer cannot be read (%s)" % error
    except BaseException as error:
        caught, why = error, type(error).__name__
    # The verdict first: what the program handed over may be too much to put into words.
    os.write(VERDICT, (verdict + "\n").encode())
    if caught is not None:
        try:
            why = reason(caught, test)
        except BaseException:
            pass
    os.write(VERDICT, why[:2000].encode("utf-8", "replace"))


main()
os._exit(0)
