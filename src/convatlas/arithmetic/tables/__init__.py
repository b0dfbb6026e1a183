"""A network layer by layer: what each row costs, in figures, in text, and beside another network."""
