"""Classification networks, one paper family a file."""
