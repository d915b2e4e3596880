"""What becomes of the two fields of an interlaced frame: the names of the choices."""

KEEP, DEINTERLACE = "keep", "deinterlace"
FIELDS = (DEINTERLACE, KEEP)
