#!/bin/bash
set -euo pipefail

WORKERS=${WORKERS:-1}

flask db upgrade
exec gunicorn 'forum:create_app()' \
  --bind '0.0.0.0:8000' \
  --workers "$WORKERS" \
  --worker-class gevent \
  --timeout 60
