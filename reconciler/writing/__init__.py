"""Help for those who write specs: the JSON Schema, what a field means, a first fleet, what it comes to."""
