"""Scans: bytes of a 3D file become a checked mesh, its browser files and its picture; pure, no I/O."""
