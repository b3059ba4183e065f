"""The Debian packages that are found in an image."""

import pytest
from support.detection import FLASK, Detect

APT = {
    "libraries, programs and tools of the image": (
        "RUN apt-get update && apt-get install -y --no-install-recommends \\\n    build-essential libpq-dev git curl \\\n    ffmpeg=7:* \\\n"
        "    && rm -rf /var/lib/apt/lists/*\n",
        ["gcc", "python3-dev", "libpq-dev"],
        ["ffmpeg"],
    ),
    "tools of the image only": ("RUN apt-get install -qq build-essential wget nginx\n", None, None),
    "tools to compile with": (
        "RUN apt update; apt install -y g++ pkg-config libxmlsec1-dev libc-dev\n",
        ["gcc", "python3-dev", "g++", "pkg-config", "libxmlsec1-dev"],
        None,
    ),
    "a here-document": (
        "RUN <<EOF\napt-get -o Acquire::Retries=3 install -y tesseract-ocr\nEOF\n",
        None,
        ["tesseract-ocr"],
    ),
    "an earlier name": ("RUN apt-get install -y libgl1-mesa-glx libffi7\n", None, ["libgl1"]),
    "a name with a number": ("RUN apt-get install -y libicu72 libmagic1\n", None, ["libicu72", "libmagic1"]),
    "variables": ("RUN apt-get install -y $PACKAGES poppler-utils\n", None, ["poppler-utils"]),
}


@pytest.mark.parametrize("shape", APT)
def test_debian_packages_of_an_image_are_found(detect: Detect, shape: str) -> None:
    run, build, packages = APT[shape]
    report = detect(
        {
            "backend/app.py": FLASK,
            "backend/requirements.txt": "flask\n",
            "backend/Dockerfile": f"FROM python:3.13\n{run}",
            "front/Dockerfile": "FROM node\nRUN apt-get install -y libvips\n",
        }
    )
    assert (report.get("app_build_packages"), report.get("app_packages")) == (build, packages)
    for name in ("app_build_packages", "app_packages"):
        if name in report.findings:
            assert str(report.findings[name]).startswith("backend/Dockerfile:2: the image installs ") or "EOF" in run
    assert bool([note for note in report.notes if "libicu72: the number is" in note]) == ("number" in shape)
