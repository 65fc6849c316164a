"""Sends people to their own app by answering with `fly-replay`; imports nothing else of this project."""
