"""What a unit sees of the picture: receptive fields in closed form, through any network, and by gradient."""
