"""What is started and where: target manifests, packages, the two runtimes, the engine child and its supervisor."""
