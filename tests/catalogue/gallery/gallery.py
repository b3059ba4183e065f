"""A gallery: its theme is a submodule, and its picture is in Git LFS."""

from pathlib import Path

from flask import Flask

HERE = Path(__file__).parent

app = Flask(__name__, static_folder="theme", static_url_path="/theme")


@app.get("/")
def index():
    """Return the sizes of the picture and of the theme's file."""
    return {
        "version": 1,
        "notes": [],
        "picture": (HERE / "picture.jpg").stat().st_size,
        "theme": (HERE / "theme/style.css").stat().st_size,
    }
