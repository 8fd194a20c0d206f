# verdict: failed
# Nothing but comments: the prompt's function returns None.
