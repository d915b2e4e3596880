"""From a clip to a clip, frame by frame."""
