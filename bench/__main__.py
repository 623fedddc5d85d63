"""`python -m bench` is `sepbench`."""

from bench.cli import main

if __name__ == "__main__":
    main()
