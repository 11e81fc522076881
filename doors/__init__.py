"""Three doors, one result: the same recipe on the same pictures, run in many ways, must give the same bytes."""
