//! The product in containers, driven by the docker command line.
