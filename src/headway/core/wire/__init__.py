"""What peers say: messages, commands, and their bytes. Floor 1."""
