"""The web server: gunicorn's settings and worker, and processes of one machine."""
