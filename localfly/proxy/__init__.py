"""Fly Proxy: doors, the choice of app and machine, replays, and bytes both ways."""
