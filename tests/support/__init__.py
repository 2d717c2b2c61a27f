"""What the flow tests stand on: a site to run flows in, processes found by their mark, and soundness of a datastore."""
