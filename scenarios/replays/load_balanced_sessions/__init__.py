"""R4: a gateway that works alone and fails behind a load balancer."""
