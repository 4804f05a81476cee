"""What kernels say, and how they live. Floor 1."""
