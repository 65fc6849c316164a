"""Stands in for Fly on a laptop: Machines API and Fly Proxy; imports nothing else of this project."""
