# verdict: memory
# A list that doubles without end.
grown = [0]
while True:
    grown += grown
