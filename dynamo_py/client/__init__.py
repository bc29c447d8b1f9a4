"""The client library: routing without I/O, requests over links, and the face that users see."""
