"""ImageNet: its archives, how TFDS prepares them, and batches from what it prepared."""
