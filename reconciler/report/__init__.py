"""Plans and states as people read them: summary first, nothing hidden, one fact a line."""
