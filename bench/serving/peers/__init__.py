"""What the server is compared with, each a server that the bench starts."""
