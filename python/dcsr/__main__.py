"""`python -m dcsr` is `dcsr`."""

from dcsr.cli.main import main

if __name__ == "__main__":
    main()
