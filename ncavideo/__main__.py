"""`python -m ncavideo`: the command line."""

from ncavideo.cli.main import main

if __name__ == "__main__":
    main(prog_name="ncavideo")
