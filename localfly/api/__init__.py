"""The Machines API over HTTP, and the control endpoints: requests in, JSON in Fly's shapes and words out."""
