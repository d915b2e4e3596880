"""From a texture and its source frame to one picture."""
