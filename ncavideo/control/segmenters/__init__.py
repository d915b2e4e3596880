"""Ways to tell the parts of a frame apart, one file each."""
