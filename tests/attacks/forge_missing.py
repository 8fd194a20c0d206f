# verdict: failed
# Takes the function away.
del answer
