"""Statistics in, a picture and its sentence out."""
