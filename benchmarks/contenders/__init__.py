"""What a user would run instead of CryoFlux, each as one measured cell in a process of its own."""
