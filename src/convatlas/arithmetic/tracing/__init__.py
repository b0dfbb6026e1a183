"""How a network is run once, without its weights where that can be, and everything it did recorded."""
