"""`recloser top`: a dashboard in a terminal, live."""
