"""How to say it to the world: each sink answers one item at a time."""
