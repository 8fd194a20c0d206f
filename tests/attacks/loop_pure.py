# verdict: timeout
# A loop without end, before there is an answer.
while True:
    pass
