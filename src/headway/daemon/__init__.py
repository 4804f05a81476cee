"""The daemon: pumps rooms. Floor 5."""
