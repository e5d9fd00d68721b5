"""`/ws`: what dashboards and kernels ask of a hub, and what it sends them unasked."""
