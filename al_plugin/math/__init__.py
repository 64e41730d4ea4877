"""Arrays in, arrays out. Nothing here knows of files, models or strategies."""
