# verdict: passed
# A control: writes a file in its current folder, reads it and takes it away.
import os


def answer(n: int) -> int:
    with open("numbers.txt", "w") as out:
        out.writelines(f"{i}\n" for i in range(n + 1))
    with open("numbers.txt") as lines:
        total = sum(int(line) for line in lines)
    os.remove("numbers.txt")
    return total
