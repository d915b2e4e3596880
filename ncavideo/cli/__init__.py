"""The commands, one file for each group of them: parse, call the library, report."""
