"""Makes Fly match what git says: verbs live here and await, nouns live in `core` and never do."""
