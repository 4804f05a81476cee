"""The daemon's side of one notebook, as a machine. Floor 3."""
