# verdict: passed
# A control: only an indented body, which goes on with the prompt's function.
    return n * (n + 1) // 2
