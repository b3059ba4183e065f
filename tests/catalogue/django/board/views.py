"""The pages."""

from django.contrib.auth import authenticate, login
from django.contrib.auth.models import User
from django.http import JsonResponse
from django.views.decorators.csrf import csrf_exempt

from board.models import Note


def index(request):
    """Return the notes."""
    return JsonResponse({"version": 1, "notes": list(Note.objects.order_by("id").values_list("text", flat=True))})


@csrf_exempt
def register(request):
    """Create an account."""
    User.objects.create_user(request.POST["name"], password=request.POST["password"])
    return JsonResponse({})


@csrf_exempt
def log_in(request):
    """Log in."""
    user = authenticate(request, username=request.POST["name"], password=request.POST["password"])
    if user is None:
        return JsonResponse({}, status=403)
    login(request, user)
    return JsonResponse({})


@csrf_exempt
def create(request):
    """Add a note."""
    if not request.user.is_authenticated:
        return JsonResponse({}, status=403)
    Note.objects.create(text=request.POST["text"], file=request.FILES.get("file", ""))
    return JsonResponse({})
