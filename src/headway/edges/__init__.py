"""One file per outside thing: performs, never decides. Floor 4."""
