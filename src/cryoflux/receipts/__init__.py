"""RECORD: what a receipt says, its bytes, its signature, its place in the log, its storage.

Importing this package brings in neither a database nor a trainer nor a web server.
"""
