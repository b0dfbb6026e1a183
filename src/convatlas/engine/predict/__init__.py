"""Prediction from a bundle. On an exported bundle it runs on ONNX Runtime, Pillow and NumPy, without torch."""
