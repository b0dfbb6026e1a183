"""What a network costs, counted for any `torch.nn.Module`. This room never imports the models."""
