"""What the measuring scripts beside this folder share: processes that end with
the script, requests on raw sockets, and counting by callgrind. Python's
standard library only."""
