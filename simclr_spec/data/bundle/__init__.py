"""TensorFlow's checkpoints (tensor bundles), read with numpy alone. No graph is looked at, and nothing is executed."""
