"""Where stages run: in this process, or (later) on a cluster."""
