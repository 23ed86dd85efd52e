"""When and how often an item is offered to a sink."""
