"""How commands ask and steer the running service, and how the state of a stopped one answers the same questions."""
