"""From scores to detections; NumPy alone, shared by evaluation and runtime."""
