"""Many clips: what is to be rendered, a journal of how it went, and workers that do it."""
