"""Language models behind one protocol: servers that run already, and a worker of our own."""
