"""Fly's rules and its guide's advice, before Fly says no. Pure; each over what holds by itself."""
