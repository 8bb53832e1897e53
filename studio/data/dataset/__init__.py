"""The list of images, its split, and the data set made of it."""
