"""The Python client: pumps a session. Floor 5."""
