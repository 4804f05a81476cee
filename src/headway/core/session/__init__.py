"""The client's side of one notebook, as a machine. Floor 3."""
