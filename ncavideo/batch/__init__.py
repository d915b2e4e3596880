"""Many clips: the list of jobs, their journal, and the workers that render them."""
