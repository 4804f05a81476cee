"""What a notebook is: the two documents, over the engine. Floor 1."""
