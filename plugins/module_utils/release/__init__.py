"""Releases of an app on a host: their layout, and building, switching and listing them."""
