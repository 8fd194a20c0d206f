# How the program's process and the judge's talk: plain data in length-prefixed messages, written and read by hand, so
# that nothing a program sends can be more than data. The same text stands at the head of both scripts.
import sys

# Before anything else is imported: nothing that lies in a current folder is a module of Python's.
sys.path[:] = [folder for folder in sys.path if folder]

import builtins
import os
from struct import pack, unpack

MOST = 16 << 20  # bytes of a message


class Gone(BaseException):
    """The other side has closed its end."""


class Malformed(Exception):
    """A message that is no data."""


def send(fd, message):
    if len(message) > MOST:
        raise ValueError("larger than %d MiB" % (MOST >> 20))
    view = memoryview(pack("<Q", len(message)) + message)
    try:
        while view:
            view = view[os.write(fd, view):]
    except OSError:
        raise Gone


def receive(fd):
    length, = unpack("<Q", exactly(fd, 8))
    if length > MOST:
        raise Malformed("larger than %d MiB" % (MOST >> 20))
    return exactly(fd, length)


def exactly(fd, length):
    parts = []
    while length:
        try:
            part = os.read(fd, min(length, 1 << 20))
        except OSError:
            raise Gone
        if not part:
            raise Gone
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def sized(tag, data):
    return tag + pack("<Q", len(data)) + data


# What stays with the program and is known by a number: functions and classes, iterators, and other objects.
REFERENCES = (b"h", b"g", b"o")

# Containers of the same kind on both sides; a subclass travels as its base.
SEQUENCES = ((list, b"l"), (tuple, b"t"), (set, b"S"), (frozenset, b"Z"))


def queue(items):
    from collections import deque
    return deque(items)


# Other kinds that are made anew from their items.
VIEWS = {
    "dict_keys": lambda items: dict.fromkeys(items).keys(),
    "dict_values": lambda items: dict(enumerate(items)).values(),
    "dict_items": lambda items: dict(items).items(),
    "deque": queue,
}

# Classes and single objects that both sides have; no functions, which would run on the side that gets them.
NAMES = ("int", "float", "complex", "bool", "str", "bytes", "list", "tuple", "dict", "set", "frozenset", "object",
         "Ellipsis", "NotImplemented")


def encode(value, other):
    """`other` encodes what is not plain data."""
    out = []
    encode_into(out, value, other)
    return b"".join(out)


def encode_into(out, value, other):
    if value is None:
        out.append(b"N")
    elif value is True or value is False:
        out.append(b"T" if value else b"F")
    elif isinstance(value, int):
        out.append(sized(b"i", b"%x" % value))
    elif isinstance(value, float):
        out.append(b"f" + pack("<d", value))
    elif isinstance(value, complex):
        out.append(b"c" + pack("<dd", value.real, value.imag))
    elif isinstance(value, str):
        out.append(sized(b"s", value.encode("utf-8", "surrogatepass")))
    elif isinstance(value, (bytes, bytearray)):
        out.append(sized(b"b" if isinstance(value, bytes) else b"a", bytes(value)))
    elif isinstance(value, range):
        out.append(b"r")
        for end in (value.start, value.stop, value.step):
            encode_into(out, end, other)
    elif isinstance(value, dict):
        out.append(b"d" + pack("<Q", len(value)))
        for key in value:
            encode_into(out, key, other)
            encode_into(out, value[key], other)
    else:
        for kind, tag in SEQUENCES:
            if isinstance(value, kind):
                items = list(value)
                out.append(tag + pack("<Q", len(items)))
                for item in items:
                    encode_into(out, item, other)
                return
        kind = type(value).__name__
        name = next((name for name in NAMES if getattr(builtins, name) is value), None)
        if name is not None:
            out.append(sized(b"B", name.encode()))
        elif kind in VIEWS and type(value).__module__ in ("builtins", "collections"):
            out.append(sized(b"v", kind.encode()))
            encode_into(out, list(value), other)
        elif type(value).__module__ in ("decimal", "fractions"):
            out.append(sized(b"n", ("%s %s" % (type(value).__name__, value)).encode()))
        else:
            out.append(other(value))


def decode(message, other):
    """`other(tag, number, kind)` stands for what is not plain data."""
    value, end = decode_at(message, 0, other)
    if end != len(message):
        raise Malformed("left-over bytes")
    return value


def decode_at(message, at, other):
    tag, at = message[at:at + 1], at + 1
    if tag in (b"N", b"T", b"F"):
        return {b"N": None, b"T": True, b"F": False}[tag], at
    if tag == b"f":
        return unpack("<d", message[at:at + 8])[0], at + 8
    if tag == b"c":
        return complex(*unpack("<dd", message[at:at + 16])), at + 16
    if tag == b"r":
        ends = []
        for _ in range(3):
            end, at = decode_at(message, at, other)
            ends.append(end)
        return range(*ends), at
    length, = unpack("<Q", message[at:at + 8])
    at += 8
    if tag in REFERENCES:
        kind, at = decode_at(message, at, other)
        return other(tag, length, kind), at
    if length > len(message) - at:
        raise Malformed("cut off")
    if tag == b"d":
        pairs = {}
        for _ in range(length):
            key, at = decode_at(message, at, other)
            pairs[key], at = decode_at(message, at, other)
        return pairs, at
    for kind, known in SEQUENCES:
        if tag == known:
            items = []
            for _ in range(length):
                item, at = decode_at(message, at, other)
                items.append(item)
            return kind(items), at
    data = message[at:at + length]
    at += length
    if tag == b"i":
        return int(data, 16), at
    if tag == b"s":
        return data.decode("utf-8", "surrogatepass"), at
    if tag == b"b":
        return data, at
    if tag == b"a":
        return bytearray(data), at
    if tag == b"B":
        name = data.decode("ascii")
        if name not in NAMES:
            raise Malformed("unknown name")
        return getattr(builtins, name), at
    if tag == b"v":
        items, at = decode_at(message, at, other)
        if type(items) is not list:
            raise Malformed("a view of what is no list")
        return VIEWS[data.decode("ascii")](items), at
    if tag == b"n":
        return exact_number(data.decode("ascii")), at
    raise Malformed("unknown tag")


def exact_number(text):
    name, number = text.split(" ")
    if name == "Decimal":
        from decimal import Decimal
        return Decimal(number)
    if name == "Fraction":
        from fractions import Fraction
        return Fraction(number)
    raise Malformed("unknown number")


def seed(source):
    """The same random numbers on every run, where a text speaks of them at all."""
    if "random" in source:
        import random
        random.seed(0)
