# verdict: failed
# Raises an exception that cannot be printed.
class Nasty(BaseException):
    def __str__(self) -> str:
        raise Nasty

    __repr__ = __str__
    __class__ = property(__str__)


def answer(n: int) -> int:
    raise Nasty
