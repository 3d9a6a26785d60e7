"""What a browser meets: app.py shows the routes at a glance."""
