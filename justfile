# The commands of a working day: `just --list`. They use the environment that the README's test line makes.
bin := env("BIN", ".venv/bin")

# Tests that take less than a minute together.
fast *arguments:
    {{bin}}/pytest -m "not slow and not browser and not ray and not train" {{arguments}}

# All tests, or those named.
test *arguments:
    {{bin}}/pytest {{arguments}}

# Style, and the order in which packages may import each other.
lint:
    {{bin}}/ruff check .
    {{bin}}/ruff format --check .
    {{bin}}/lint-imports

# Types.
types:
    {{bin}}/mypy

# The documentation's site, into site/.
docs:
    {{bin}}/mkdocs build --strict

# Speed of this machine: cell-steps and frames a second.
bench:
    {{bin}}/ncavideo bench
