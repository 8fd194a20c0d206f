# verdict: failed
# An object that says that it is an int, with a lying truth, hash, index and length.
class Liar:
    __class__ = property(lambda self: int)

    def __bool__(self) -> bool:
        return True

    def __index__(self) -> int:
        return -1

    __hash__ = __int__ = __len__ = __index__


def answer(n: int) -> int:
    return Liar()
