"""The page that a rule set exports to."""
