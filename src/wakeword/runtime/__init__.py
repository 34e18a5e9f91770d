"""What runs on a device: NumPy, onnxruntime and soundfile alone."""
