# verdict: failed
# Nothing but white space after these lines.
   
	

 
