"""The routes."""

from board import views
from django.urls import path

urlpatterns = [
    path("", views.index),
    path("auth/register", views.register),
    path("auth/login", views.log_in),
    path("notes", views.create),
]
