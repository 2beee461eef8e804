"""The web server: gunicorn's settings and worker, and the processes of one machine."""
