"""What travels between processes, sans-IO: frames, messages, the codec table, the handshake."""
