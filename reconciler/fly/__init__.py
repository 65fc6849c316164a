"""Speaks Fly's Machines API; imports nothing else of this project."""
