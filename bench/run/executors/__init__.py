"""Where stages run: in this process and its like on one device, or elsewhere."""
