"""The neural cellular automaton: its definition, rule sets, and the engines that run it."""
