"""Procedural worlds and the sensors in them. NumPy, SciPy, OpenCV and Open3D only."""
