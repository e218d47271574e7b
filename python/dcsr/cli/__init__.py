"""Command-line tools, one module each with `main()`."""
