"""Pictures without a clip."""
