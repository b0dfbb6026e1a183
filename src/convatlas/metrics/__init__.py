"""How good the answers are: accuracy, calibration, average precision. NumPy only; nothing here imports torch."""
