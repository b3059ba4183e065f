"""The table of notes."""

from django.db import models


class Note(models.Model):
    """A note, with a file or without."""

    text = models.TextField()
    file = models.FileField(blank=True)
