"""What a run has to show: plots, and the one HTML file that opens without a network."""
