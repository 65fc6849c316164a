"""Deletion: what must never lead to one, and what does, in which order."""
