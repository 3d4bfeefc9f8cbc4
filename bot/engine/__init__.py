"""Carrying out a project on a Docker Engine: images, containers, networks, the edge, probes and ports."""
