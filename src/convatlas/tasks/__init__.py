"""One file a task: how labels become targets, which losses, how a network's output is decoded, which measures."""
