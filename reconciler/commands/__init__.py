"""One command a file: flags in, texts and an exit code out. `reconciler.cli` lists them."""
