# verdict: syntax
# Returns where there is no function.
return 6
