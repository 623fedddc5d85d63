"""Where stages run: in this process, in several on one device, or (later) on a cluster."""
