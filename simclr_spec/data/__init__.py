"""Images on disk, looked at without torch: where they lie, which they are, whether they can be read; weights of TensorFlow."""
